package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// A value is one of TOML's, as far as keys use them. The zero value is no
// value at all.
type value struct {
	text    *string
	number  *int64
	list    []value // not nil if it is one
	literal string  // one of another type, as it is written
	table   bool    // the header of a table, whose keys have settings of their own

	places map[string]string // of a list's elements, by "[0]", "[1]" and so on
}

func textValue(s string) value { return value{text: &s} }

// String describes the value in a message.
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

// units of sizes. All are powers of 1024, so that nobody has to wonder.
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

// parsePeriod reads a time of at least a millisecond, such as "5m".
func parsePeriod(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return 0, errors.New("not a time")
	}
	return d, nil
}
