package dkim

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A signature is a DKIM-Signature field (RFC 6376, Section 3.5).
type signature struct {
	field            field
	domain, selector string // d=, s=
	identity         string // the domain of i=
	algorithm        string // a= before "-sha256"
	header           []string
	hash, signed     []byte // bh=, b=
	expires          time.Time
	relaxedHeader    bool // c=
	relaxedBody      bool
	key              key
	err              error
}

// parse parses the field. With an error the domain may be set.
func (s *signature) parse() error {
	tags, err := parseTags(s.field.value())
	if err != nil {
		return err
	}
	missing := []string{"v", "a", "b", "bh", "d", "h", "s"}
	for _, t := range tags {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == t.name })
		if t.name == "d" {
			s.domain = unfold(t.value)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("tag %s is missing", missing[0])
	}
	s.identity = s.domain
	for _, t := range tags {
		if err := s.set(t); err != nil {
			return err
		}
	}
	return s.check()
}

func (s *signature) set(t tag) (err error) {
	switch t.name {
	case "v":
		if t.value != "1" {
			return fmt.Errorf("version %.40q is unknown", t.value)
		}
	case "a":
		var hash string
		s.algorithm, hash, _ = strings.Cut(unfold(t.value), "-")
		if hash != "sha256" { // RFC 8301, Section 3.1: not SHA-1
			return fmt.Errorf("algorithm %.40q is not supported", t.value)
		}
	case "b":
		s.signed, err = decode(t)
	case "bh":
		s.hash, err = decode(t)
	case "c":
		return s.setCanonicalization(unfold(t.value))
	case "h":
		s.header = values(t.value)
	case "i":
		value := unfold(t.value)
		s.identity = value[strings.LastIndexByte(value, '@')+1:]
	case "l":
		return errors.New("it is for a part of the body only (l=)")
	case "q":
		if !slices.Contains(values(t.value), "dns/txt") {
			return fmt.Errorf("key query %.40q is not supported", t.value)
		}
	case "s":
		s.selector = unfold(t.value)
	case "x":
		seconds, err := strconv.ParseInt(unfold(t.value), 10, 64)
		if err != nil || seconds < 0 {
			return fmt.Errorf("x=%.40q is not a time", t.value)
		}
		s.expires = time.Unix(min(seconds, maxTime), 0)
	}
	return err
}

// maxTime is a time that package time can compare and format. Section 3.5 allows 12 digits.
const maxTime = 999_999_999_999

func decode(t tag) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(unfold(t.value))
	if err != nil {
		return nil, fmt.Errorf("%s= is not base64", t.name)
	}
	return data, nil
}

func (s *signature) setCanonicalization(value string) error {
	header, body, given := strings.Cut(value, "/")
	if !given {
		body = "simple"
	}
	for _, c := range []string{header, body} {
		if c != "simple" && c != "relaxed" {
			return fmt.Errorf("canonicalization %.40q is unknown", value)
		}
	}
	s.relaxedHeader, s.relaxedBody = header == "relaxed", body == "relaxed"
	return nil
}

func (s *signature) check() error {
	if !slices.ContainsFunc(s.header, func(name string) bool { return strings.EqualFold(name, "From") }) {
		return errors.New("it does not sign the field From") // Section 6.1.1
	}
	if !strings.EqualFold(s.identity, s.domain) && !strings.HasSuffix(strings.ToLower(s.identity), "."+strings.ToLower(s.domain)) {
		return fmt.Errorf("i=%.80q is not in its domain", s.identity)
	}
	return nil
}

// bodyHashes compute the hash of a body by each canonicalization, once for all signatures.
type bodyHashes struct{ simple, relaxed func() []byte }

func newBodyHashes(body []byte) bodyHashes {
	return bodyHashes{
		simple:  sync.OnceValue(func() []byte { return bodyHash(body, false) }),
		relaxed: sync.OnceValue(func() []byte { return bodyHash(body, true) }),
	}
}

func (h bodyHashes) of(s *signature) []byte {
	if s.relaxedBody {
		return h.relaxed()
	}
	return h.simple()
}

// bodyHash computes the hash of a body (RFC 6376, Section 3.7).
func bodyHash(body []byte, relaxed bool) []byte {
	h := sha256.New()
	w := bufio.NewWriter(h)    // a body of short lines would take ten times as long without
	empty, written := 0, false // empty lines count only if another line follows
	for len(body) > 0 {
		var line []byte
		if line, body = cutLine(body); relaxed {
			line = collapse(line)
		}
		if len(line) == 0 {
			empty++
			continue
		}
		for ; empty > 0; empty-- {
			w.WriteString("\r\n")
		}
		w.Write(line)
		w.WriteString("\r\n")
		written = true
	}
	if !written && !relaxed {
		w.WriteString("\r\n") // Section 3.4.3: an empty body is one empty line
	}
	w.Flush()
	return h.Sum(nil)
}

// collapse returns a line with one space for each run of spaces and tabs, and none at its end.
func collapse(line []byte) []byte {
	line = bytes.TrimRight(line, " \t")
	if !bytes.ContainsAny(line, "\t") && !bytes.Contains(line, []byte("  ")) {
		return line
	}
	collapsed := make([]byte, 0, len(line))
	for i, b := range line {
		switch {
		case b != ' ' && b != '\t':
			collapsed = append(collapsed, b)
		case i == 0 || line[i-1] != ' ' && line[i-1] != '\t':
			collapsed = append(collapsed, ' ')
		}
	}
	return collapsed
}

// headerHash computes the hash of the signed fields and of the signature's own.
func (s *signature) headerHash(header []field) []byte {
	h := sha256.New()
	fields := make(map[string][]field)
	for _, f := range header {
		name := strings.ToLower(f.name())
		fields[name] = append(fields[name], f)
	}
	for _, name := range s.header { // Section 5.4.2: of fields with one name, from the last one up
		name = strings.ToLower(name)
		if all := fields[name]; len(all) > 0 {
			last := len(all) - 1
			h.Write([]byte(s.canonical(all[last]) + "\r\n"))
			fields[name] = all[:last]
		}
	}
	h.Write([]byte(s.canonical(s.field.withoutSignature())))
	return h.Sum(nil)
}

func (s *signature) canonical(f field) string {
	if !s.relaxedHeader {
		return string(f)
	}
	value := strings.ReplaceAll(f.value(), "\r\n", "")
	return strings.ToLower(f.name()) + ":" + strings.TrimLeft(string(collapse([]byte(value))), " ")
}

// withoutSignature returns the field with an empty b=.
func (f field) withoutSignature() field {
	name, list, _ := strings.Cut(string(f), ":")
	specs := strings.Split(list, ";")
	for i, spec := range specs {
		if tag, _, ok := strings.Cut(spec, "="); ok && strings.Trim(tag, whitespace) == "b" {
			specs[i] = tag + "="
		}
	}
	return field(name + ":" + strings.Join(specs, ";"))
}
