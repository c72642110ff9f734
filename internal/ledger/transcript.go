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
	return compress(s.gzip, transcript)
}

// compress uses z for all, since one is large.
func compress(z *gzip.Writer, data []byte) ([]byte, error) {
	var packed bytes.Buffer
	z.Reset(&packed)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err := z.Close()
	return packed.Bytes(), err
}

// unpack undoes compress, for at most limit bytes.
func unpack(packed []byte, limit int64) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, limit))
}
