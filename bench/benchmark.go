package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// benchmark is a line of go test -bench: a name and values by unit.
type benchmark struct {
	name   string
	values map[string]float64
}

// benchmarks runs those of a package whose names match, and gives each to use.
func (p plan) benchmarks(pkg, names string, use func(benchmark)) error {
	cmd := exec.Command("go", "test", "-run=^$", "-bench="+names, fmt.Sprintf("-benchtime=%dx", p.handshakes), pkg)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	for line := range strings.Lines(string(output)) {
		if name, ok := strings.CutPrefix(line, "Benchmark"); ok {
			use(readBenchmark(name))
		}
	}
	return nil
}

func readBenchmark(line string) benchmark {
	fields := strings.Fields(line)
	name := strings.TrimSuffix(fields[0], fmt.Sprintf("-%d", runtime.GOMAXPROCS(0)))
	b := benchmark{name, make(map[string]float64)}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err == nil {
			b.values[fields[i+1]] = value
		}
	}
	return b
}

// pair adds a benchmark that compares crypto/tls as it is with something else, whose
// time has the unit with. It reports how much slower that is, if it is one.
func (r *result) pair(b benchmark, with string) (slower percent, ok bool) {
	paired, ok := b.values["%slower-paired"]
	if ok {
		r.row(b.name, time.Duration(b.values["bare-ns"]), time.Duration(b.values[with]), percent(paired))
	}
	return percent(paired), ok
}
