package handshake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// micros is a duration written as microseconds, in decimals where it has nanoseconds. It is
// no float64, which loses them after 104 days.
type micros time.Duration

func (m micros) MarshalJSON() ([]byte, error) {
	sign, ns := "", uint64(m)
	if m < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%03d", sign, ns/1000, ns%1000)
	return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
}

func (m *micros) UnmarshalJSON(number []byte) error {
	whole, decimals, _ := strings.Cut(string(number), ".")
	if len(decimals) <= 3 {
		ns, err := strconv.ParseInt(whole+(decimals + "000")[:3], 10, 64)
		if err == nil {
			*m = micros(ns)
			return nil
		}
	}
	return fmt.Errorf("time %s: write microseconds, such as 1250 or 1250.125", shown(string(number)))
}
