package main

import (
	"strings"
	"time"

	"postern/internal/testpeer"
)

// maxPage is how large a page may be.
const maxPage bytes = 150 << 10

// measurePages runs the benchmark of package dashboard that makes every page.
func measurePages(_ *testpeer.Scope, p plan, r *result) error {
	r.header("page", "time", "CPU", "size")
	return p.benchmarks("./internal/dashboard", "Pages", func(b benchmark) {
		page := strings.ReplaceAll(strings.TrimPrefix(b.name, "Pages/"), "/", ", ")
		cpu := time.Duration(b.values["cpu-ms/page"] * float64(time.Millisecond))
		r.row(page, b.queryTime(), cpu, bytes(b.values["bytes"]))
		atMost(r, "CPU of the page "+page, cpu, 200*time.Millisecond)
		atMost(r, "bytes of the page "+page, bytes(b.values["bytes"]), maxPage)
	}, p.queryFlags()...)
}
