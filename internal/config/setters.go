package config

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"time"

	"postern/mtasts"
)

// expected is the problem of a value of the wrong type or form.
func expected(what string, got value, remedy string) *Problem {
	return &Problem{What: fmt.Sprintf("expected %s, got %v", what, got), Remedy: remedy}
}

func text(to *string) setter {
	return func(s setting) *Problem {
		if s.value.text == nil || *s.value.text == "" {
			return expected("a text", s.value, "write it in quotes")
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
				return expected("a list of texts", v, "write each in quotes")
			}
			all = append(all, *v.text)
		}
		if s.value.list == nil {
			return expected("a list", s.value, `write ["first", "second"], also for one`)
		}
		*to = all
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
			return expected("true or false", s.value, "write one of them, without quotes")
		}
		*to = s.value.literal == "true"
		return nil
	}
}

func count(to *int) setter {
	return func(s setting) *Problem {
		n := s.value.number
		if n == nil || *n < 1 || *n > math.MaxInt32 {
			return expected("a number of at least 1", s.value, "write a whole number without quotes, such as 20")
		}
		*to = int(*n)
		return nil
	}
}

// parsed is for values that are texts with a form of their own.
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
	return parsed(to, parse, "a size", `write a number with one of the units B, KiB, MiB and GiB in quotes, such as "50MiB"`)
}

func period(to *time.Duration) setter {
	return parsed(to, parsePeriod, "a time", `write a number with one of the units ms, s, m and h in quotes, such as "5m"`)
}

func rate(to *float64) setter {
	return parsed(to, parseRate, "a number a second", `write it in quotes, such as "100/s"`)
}

func sizeRate(to *float64) setter {
	return parsed(to, parseSizeRate, "a size a second", `write it in quotes, such as "20MiB/s"`)
}

func (c *Config) setTicketPolicy(s setting) *Problem {
	if s.value.text == nil || c.TicketPolicy.UnmarshalText([]byte(*s.value.text)) != nil {
		return expected("a ticket policy", s.value, "use first-write, own-write, never or stock")
	}
	return nil
}

func (c *Config) setMode(s setting) *Problem {
	if s.value.text == nil || !slices.Contains([]mtasts.Mode{mtasts.Testing, mtasts.Enforce, mtasts.None}, mtasts.Mode(*s.value.text)) {
		return expected("a mode of MTA-STS", s.value, "use testing, enforce or none")
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
