package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/fallback"
	"postern/internal/smtp"
	"postern/mtasts"
)

// A value is a TOML value of a type that keys use. The zero value is none.
type value struct {
	text    *string
	number  *int64
	list    []value // not nil if it is one
	literal string  // of another type, as written
	table   bool    // a table header; its keys have their own settings

	lines []int // of a list's elements; 0: unknown
}

func textValue(s string) value { return value{text: &s} }

// String describes the value in an error.
func (v value) String() string {
	switch {
	case v.text != nil:
		return strconv.Quote(*v.text)
	case v.number != nil:
		return strconv.FormatInt(*v.number, 10)
	case v.list != nil:
		return "a list"
	case v.table:
		return "a table"
	}
	return v.literal
}

// units of sizes, all powers of 1024 and named so (IEC 80000-13).
var units = []struct {
	name string
	size int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1},
}

var errSize = errors.New("not a size")

// parseSize reads a number of bytes of at least 1, such as "50MiB".
func parseSize(s string) (int64, error) {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		if err != nil || n == 0 || n > math.MaxInt64/uint64(unit.size) {
			return 0, errSize
		}
		return int64(n) * unit.size, nil
	}
	return 0, errSize
}

// parseSizeRate reads bytes a second, such as "20MiB/s".
func parseSizeRate(s string) (float64, error) {
	size, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return 0, errSize
	}
	n, err := parseSize(strings.TrimSpace(size))
	return float64(n), err
}

// parseRate reads a number a second, such as "100/s" or "0.5/s".
func parseRate(s string) (float64, error) {
	digits, ok := strings.CutSuffix(s, "/s")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !ok || err != nil || !(n > 0) || math.IsInf(n, 0) {
		return 0, errors.New("not a rate")
	}
	return n, nil
}

// parseDuration reads a duration of at least a millisecond, such as "5m".
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return 0, errors.New("not a duration")
	}
	return d, nil
}

// expected is the problem of a value with the wrong type or form.
func expected(what string, got value, remedy string) *Problem {
	return &Problem{What: fmt.Sprintf("expected %s, got %v", what, got), Remedy: remedy}
}

func text(to *string) setter {
	return func(s setting) *Problem {
		if s.value.text == nil {
			return expected("text", s.value, "write it in quotes")
		}
		if *s.value.text == "" {
			return expected("text", s.value, "write it between the quotes, or remove the key to have its default")
		}
		*to = *s.value.text
		return nil
	}
}

func texts(to *[]string) setter {
	return func(s setting) *Problem {
		all := make([]string, 0, len(s.value.list))
		for _, v := range s.value.list {
			if v.text == nil || *v.text == "" {
				return expected("a list of text", v, "write each element in quotes")
			}
			all = append(all, *v.text)
		}
		if s.value.list == nil {
			return expected("a list", s.value, `write ["first", "second"], or ["first"] for a single one`)
		}
		*to = all
		return nil
	}
}

// networks reads addresses and networks.
func networks(to *[]netip.Prefix, remedy string) setter {
	return func(s setting) *Problem {
		var all []string
		if problem := texts(&all)(s); problem != nil {
			return problem
		}
		parsed := make([]netip.Prefix, len(all))
		for i, text := range all {
			var err error
			if parsed[i], err = fallback.ParseNetwork(text); err != nil {
				return &Problem{What: err.Error(), Remedy: remedy}
			}
		}
		*to = parsed
		return nil
	}
}

func path(to *string) setter {
	return func(s setting) *Problem {
		if problem := text(to)(s); problem != nil {
			return problem
		}
		if s.base != "" && !filepath.IsAbs(*to) {
			*to = filepath.Join(s.base, *to)
		}
		return nil
	}
}

func yesOrNo(to *bool) setter {
	return func(s setting) *Problem {
		if s.value.literal != "true" && s.value.literal != "false" {
			return expected("true or false", s.value, "write it without quotes")
		}
		*to = s.value.literal == "true"
		return nil
	}
}

func count(to *int) setter {
	return func(s setting) *Problem {
		n := s.value.number
		if n == nil || *n < 1 || *n > math.MaxInt32 {
			return expected("a number above 0", s.value, "write a whole number without quotes, such as 20")
		}
		*to = int(*n)
		return nil
	}
}

// parsed sets values that are written as text.
func parsed[T any](to *T, parse func(string) (T, error), what, remedy string) setter {
	return func(s setting) *Problem {
		if s.value.text == nil {
			return expected(what, s.value, remedy)
		}
		v, err := parse(*s.value.text)
		if err != nil {
			return expected(what, s.value, remedy)
		}
		*to = v
		return nil
	}
}

func size[T int | int64](to *T) setter {
	parse := func(s string) (T, error) {
		n, err := parseSize(s)
		if int64(T(n)) != n {
			err = errSize
		}
		return T(n), err
	}
	return parsed(to, parse, "a size", `write a number and B, KiB, MiB or GiB in quotes, such as "50MiB"`)
}

func duration(to *time.Duration) setter {
	return parsed(to, parseDuration, "a duration", `write a number and ms, s, m or h in quotes, such as "5m"`)
}

func rate(to *float64) setter {
	return parsed(to, parseRate, "a number per second", `write it in quotes, such as "100/s"`)
}

func sizeRate(to *float64) setter {
	return parsed(to, parseSizeRate, "a size per second", `write it in quotes, such as "20MiB/s"`)
}

func addresses(to *smtp.AddressDetail) setter {
	return func(s setting) *Problem {
		if s.value.text == nil || to.UnmarshalText([]byte(*s.value.text)) != nil {
			return expected("how much of addresses to keep", s.value, "use full, domain or none")
		}
		return nil
	}
}

func (c *Config) setMode(s setting) *Problem {
	if s.value.text == nil || c.Mode.UnmarshalText([]byte(*s.value.text)) != nil {
		return expected("a TLS mode", s.value, "use own-write, first-write, no-ticket, tls12 or stock")
	}
	return nil
}

func (c *Config) setMTASTSMode(s setting) *Problem {
	if s.value.text == nil || !slices.Contains([]mtasts.Mode{mtasts.Testing, mtasts.Enforce, mtasts.None}, mtasts.Mode(*s.value.text)) {
		return expected("an MTA-STS mode", s.value, "use testing, enforce or none")
	}
	c.MTASTS.Mode = mtasts.Mode(*s.value.text)
	return nil
}

func (c *Config) setLogFormat(s setting) *Problem {
	if s.value.text == nil || *s.value.text != "text" && *s.value.text != "json" {
		return expected("a log format", s.value, "use text or json")
	}
	c.Log.Format = *s.value.text
	return nil
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (c *Config) setLogLevel(s setting) *Problem {
	remedy := "use debug, info, warn or error"
	if s.value.text == nil {
		return expected("a log level", s.value, remedy)
	}
	level, ok := logLevels[*s.value.text]
	if !ok {
		return expected("a log level", s.value, remedy)
	}
	c.Log.Level = level
	return nil
}
