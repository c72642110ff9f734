package main

import (
	"fmt"
	"time"
)

// localTime is t with its zone, so that it can be compared with other logs.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// plural is a number with its noun, as in "2 warnings".
func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// each returns f of each element, for lists in JSON: never nil.
func each[T, R any](all []T, f func(T) R) []R {
	results := make([]R, 0, len(all))
	for _, one := range all {
		results = append(results, f(one))
	}
	return results
}
