package probe

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// What a domain says of itself is as hostile as what a server says.
func TestHostileDomainsAreToldOf(t *testing.T) {
	for name, tt := range map[string]struct {
		records []string
		serve   func(http.ResponseWriter)
		id      string
	}{
		"policy without end":  {serve: func(w http.ResponseWriter) { endless(w, "mx: a.example.test\n") }, id: "mta-sts-policy"},
		"bomb for a policy":   {serve: bomb, id: "mta-sts-policy"},
		"escapes in a policy": {serve: func(w http.ResponseWriter) { io.WriteString(w, "version: \x1b[2J\u202e\n") }, id: "mta-sts-policy"},
		"escapes in a mode":   {serve: func(w http.ResponseWriter) { io.WriteString(w, strings.Replace(goodPolicy, "enforce", "\x1b[2J", 1)) }, id: "mta-sts-policy"},
		"escapes in a record": {records: []string{`_smtp._tls.example.test. TXT "v=TLSRPTv1; rua=mailto:\027[2J@example.test"`}, id: "tlsrpt"},
		"escapes in an MX":    {records: []string{`example.test. MX 20 \027[2J.example.test.`}, id: "mx-without-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.txt("_mta-sts", "v=STSv1; id=1")
			p.records = append(p.records, tt.records...)
			p.serve = tt.serve
			r := p.probe()
			if !slices.ContainsFunc(r.Whole, func(f Finding) bool { return f.ID == tt.id && f.Severity > Notice }) {
				t.Errorf("no finding %s in %+v", tt.id, r.Whole)
			}
			for _, f := range r.Findings() {
				for _, text := range append([]string{f.Title}, f.Evidence...) {
					if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
						t.Errorf("%s has a control character at %d: %q", f.ID, i, text)
					}
				}
				for _, a := range f.Advice {
					if strings.ContainsFunc(a.Do, func(r rune) bool { return !unicode.IsPrint(r) }) {
						t.Errorf("%s has a control character in its advice: %q", f.ID, a.Do)
					}
				}
			}
		})
	}
}

func endless(w io.Writer, line string) {
	for {
		if _, err := io.WriteString(w, strings.Repeat(line, 1000)); err != nil {
			return
		}
	}
}

// bomb is 256 MiB of nothing in a quarter of a MiB.
func bomb(w http.ResponseWriter) {
	w.Header().Set("Content-Encoding", "gzip")
	small := new(bytes.Buffer)
	large := gzip.NewWriter(small)
	for range 256 {
		large.Write(make([]byte, 1<<20))
	}
	large.Close()
	w.Write(small.Bytes())
}
