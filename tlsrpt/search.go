package tlsrpt

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message"
)

// A search goes through a mail's parts until one holds a report.
type search struct {
	mail  *Mail
	warn  *warnings
	parts int
	tries int
	fault error // why the likeliest part was none
}

// entity searches one part, given the error that came with it.
func (s *search) entity(e *message.Entity, err error, depth int) error {
	if s.parts++; s.parts > maxParts {
		return fmt.Errorf("more than %d parts: %w", maxParts, ErrTooLarge)
	}
	if depth > maxPartDepth {
		return fmt.Errorf("parts nested more than %d deep: %w", maxPartDepth, ErrTooLarge)
	}
	if message.IsUnknownEncoding(err) {
		e = s.mendEncoding(e)
	}
	kind, _, _ := e.Header.ContentType()
	switch inner := e.MultipartReader(); {
	case inner != nil:
		return s.multipart(inner, depth)
	case kind == "message/rfc822" || kind == "message/global":
		forwarded, err := message.Read(e.Body)
		if forwarded == nil {
			return err
		}
		s.warn.add("", "the report lies in a forwarded mail")
		return s.entity(forwarded, err, depth+1)
	}
	return s.leaf(e, kind)
}

func (s *search) multipart(parts message.MultipartReader, depth int) error {
	for s.mail.Report == nil {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if part == nil {
			return err
		}
		if err := s.entity(part, err, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mendEncoding reads a Content-Transfer-Encoding by its first word, and takes one that is
// not known even so for none.
func (s *search) mendEncoding(e *message.Entity) *message.Entity {
	const name = "Content-Transfer-Encoding"
	given := e.Header.Get(name)
	s.warn.add(name, "%.80q is not known", given)
	word := strings.FieldsFunc(given, func(r rune) bool { return strings.ContainsRune(" \t\"';,()", r) })
	header := e.Header.Copy()
	header.Del(name)
	if len(word) > 0 {
		header.Set(name, word[0])
	}
	mended, err := message.New(header, e.Body)
	if message.IsUnknownEncoding(err) {
		header.Del(name)
		mended, _ = message.New(header, e.Body)
	}
	return mended
}

// leaf reads the part if it may be a report.
func (s *search) leaf(e *message.Entity, kind string) error {
	name := fileName(&e.Header)
	data, damage := readAll(e.Body)
	if data == nil {
		return damage
	}
	declared := strings.HasPrefix(kind, "application/tlsrpt")
	if !declared && !looksLikeReport(name, data) {
		return nil
	}
	report, err := parse(data)
	if err != nil {
		return s.failed(declared, err)
	}
	s.mail.Report, s.mail.FileName = report, name
	s.checkPart(kind, compressed(data), damage)
	return nil
}

// failed remembers why a part is none, those before others that claim to be one. It ends the
// search when there were too many.
func (s *search) failed(declared bool, err error) error {
	if s.fault == nil || declared {
		s.fault = err
	}
	if s.tries++; s.tries == maxTries {
		return s.fault
	}
	return nil
}

func looksLikeReport(name string, data []byte) bool {
	if compressed(data) || bytes.HasPrefix(bytes.TrimLeft(data, "\ufeff \t\r\n"), []byte("{")) {
		return true
	}
	_, zipped := cutSuffixFold(name, ".gz")
	_, plain := cutSuffixFold(name, ".json")
	return zipped || plain
}

// fileName is where most mail programs put it; encoded words and RFC 2231 are read.
func fileName(h *message.Header) string {
	if _, params, err := h.ContentDisposition(); err == nil && params["filename"] != "" {
		return params["filename"]
	}
	_, params, _ := h.ContentType()
	return params["name"]
}

// checkPart warns of what is odd about the part that holds the report.
func (s *search) checkPart(kind string, zipped bool, damage error) {
	right := "application/tlsrpt+json"
	if zipped {
		right = "application/tlsrpt+gzip"
	}
	if kind != right {
		s.warn.add("Content-Type", "%.80q of the report's part, which is %s", kind, right)
	}
	if damage != nil {
		s.warn.add("Content-Transfer-Encoding", "the report's part is damaged (%.80q)", damage)
	}
	var ok bool
	if s.mail.Name, ok = ParseFileName(s.mail.FileName); !ok {
		s.warn.add("file name", "%.80q is not submitter!domain!start!end!id.json.gz", s.mail.FileName)
	}
}
