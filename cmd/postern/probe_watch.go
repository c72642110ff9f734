package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/probe"
)

// repeat probes again and again, and tells what has changed, until it is ended.
func (p probing) repeat(ctx context.Context, ui terminal, examine examination, known []map[string]string) {
	ticker := time.NewTicker(p.Watch)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i, pending := range p.start(ctx, examine) {
			now := standing(<-pending)
			if ctx.Err() != nil {
				return // what was cut off tells nothing
			}
			for _, line := range changes(known[i], now) {
				fmt.Fprintf(ui.out, "%s  %s: %s\n", time.Now().Format(time.DateTime), printable(p.Targets[i]), line)
			}
			known[i] = now
		}
	}
}

// standing is what there is to mend now, by where and what it is.
func standing(result probed) map[string]string {
	all := make(map[string]string)
	note := func(where string, findings []probe.Finding) {
		for i, f := range findings {
			if f.Severity > probe.Notice {
				key := where + f.ID
				if i > 0 && findings[i-1].ID == f.ID { // of another host
					key += strings.Join(f.Evidence, " ")
				}
				all[key] = fmt.Sprintf("%s: %s%s", f.Severity, where, f.Title)
			}
		}
	}
	if result.err != nil {
		all["error"] = "unclear: " + printable(result.err.Error())
		return all
	}
	note("", result.report.Whole)
	for _, h := range result.report.Hosts {
		for _, a := range h.Addresses {
			note(a.Addr.String()+" ", a.Findings)
		}
	}
	return all
}

// changes tells what is new and what is gone, each in its order.
func changes(before, now map[string]string) (lines []string) {
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if before[key] != now[key] {
			lines = append(lines, "new, "+now[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[key]; !still {
			lines = append(lines, "gone, "+before[key])
		}
	}
	return lines
}
