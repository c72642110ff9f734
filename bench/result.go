package main

import (
	"fmt"
	"time"
)

// result is what a section found: a table, and what of it was aimed at.
type result struct {
	section section
	columns []string
	rows    [][]string
	goals   []goal
	err     error
}

// goal is a figure with its target.
type goal struct {
	what      string
	got, want string
	met       bool
}

func (r *result) header(columns ...string) { r.columns = columns }

func (r *result) row(values ...any) {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	r.rows = append(r.rows, cells)
}

// cells begin a row with the pattern.
func (p pattern) cells(values ...any) []any {
	return append([]any{p.senders, p.messages, p.handshake()}, values...)
}

// String names the pattern within a goal.
func (p pattern) String() string {
	return fmt.Sprintf("%d at once, %d a connection, %s", p.senders, p.messages, p.handshake())
}

// number is a figure that can be aimed at.
type number interface {
	~int64 | ~float64
}

func (r *result) atLeast(what string, got, want factor) {
	r.goals = append(r.goals, goal{what, cell(got), "≥ " + cell(want), got >= want})
}

// atMost is for all kinds of figures.
func atMost[N number](r *result, what string, got, want N) {
	r.goals = append(r.goals, goal{what, cell(got), "≤ " + cell(want), got <= want})
}

// Units of figures.
type (
	perSecond float64
	factor    float64
	bytes     int64
	percent   float64
)

// cell writes a value with its unit.
func cell(v any) string {
	switch v := v.(type) {
	case perSecond:
		return fmt.Sprintf("%.0f/s", float64(v))
	case percent:
		return fmt.Sprintf("%.1f %%", float64(v))
	case factor:
		return fmt.Sprintf("%.2f×", float64(v))
	case bytes:
		return v.String()
	case time.Duration:
		return fmt.Sprintf("%.0f µs", float64(v)/float64(time.Microsecond))
	}
	return fmt.Sprint(v)
}

// String writes b in KiB or MiB.
func (b bytes) String() string {
	if b >= 1<<20 || b <= -1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(b)/(1<<10))
}
