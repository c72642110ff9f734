package main

import (
	"strings"
	"testing"
	"time"
)

func TestRatiosAreThoseOfEachRound(t *testing.T) {
	a := series{{rate: 100}, {rate: 400}, {rate: 90}}
	b := series{{rate: 50}, {rate: 100}, {rate: 30}}
	if got := a.over(b); got != 3 {
		t.Errorf("ratio %v, want 3", got)
	}
	if got := a.rate(); got != 100 {
		t.Errorf("rate %v, want 100", got)
	}
	if got := (series{{latency: 2 * time.Millisecond}, {latency: time.Millisecond}}).latency(); got != 1500*time.Microsecond {
		t.Errorf("latency %v, want 1.5 ms", got)
	}
}

func TestReportListsMissedTargets(t *testing.T) {
	report := newReport(plan{rounds: 1})
	r := &result{section: section{title: "Something", text: "It is measured."}}
	r.header("a", "b")
	r.row(1, 2*time.Millisecond)
	r.atLeast("faster", 2.5, 4)
	atMost(r, "smaller", bytes(30<<10), 40<<10)
	report.add(r)
	text := report.markdown()
	for _, want := range []string{
		"1 of 2 met.",
		"| faster | 2.50× | ≥ 4.00× | **missed** |",
		"| smaller | 30.0 KiB | ≤ 40.0 KiB | met |",
		"## Something\n\nIt is measured.\n\n| a | b |\n| --- | --- |\n| 1 | 2000 µs |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report has no %q:\n%s", want, text)
		}
	}
}

func TestReadBenchmark(t *testing.T) {
	b := readBenchmark("Bulk \t 200\t 12.66 %slower\t 0.5503 %slower-paired\t 165545 bare-ns\n")
	if b.name != "Bulk" || b.values["%slower-paired"] != 0.5503 || b.values["bare-ns"] != 165545 {
		t.Errorf("%+v", b)
	}
}
