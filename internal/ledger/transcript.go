package ledger

import (
	"bytes"
	"compress/gzip"
	"io"
)

// pack compresses a transcript. It returns nil for none and for one that is too large.
func (s *store) pack(transcript []byte) ([]byte, error) {
	if len(transcript) == 0 || len(transcript) > maxTranscript {
		return nil, nil
	}
	var packed bytes.Buffer
	s.gzip.Reset(&packed)
	if _, err := s.gzip.Write(transcript); err != nil {
		return nil, err
	}
	err := s.gzip.Close()
	return packed.Bytes(), err
}

// unpack undoes pack.
func unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxTranscript))
}
