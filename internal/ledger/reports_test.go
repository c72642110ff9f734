package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// signed is a verified report about the day before noon.
func signed(id string) Report {
	return Report{
		At: noon, Via: ByMail, Session: "7Q2F", Address: netip.MustParseAddr("192.0.2.7"),
		Verified: true, Signer: "sender.example", Verdict: "signed by sender.example",
		Submitter: "sender.example", Organization: "Sender Inc.", ReportID: id,
		Start: noon.Add(-36 * time.Hour), End: noon.Add(-12 * time.Hour), Domains: []string{"ours.example"},
		Successful: 5, Failed: 7, Warnings: []string{"contact-info: is missing"},
		Content: []byte(`{"report-id":"` + id + `"}`),
	}
}

// posted is the same report, unverified.
func posted(id string) Report {
	r := signed(id)
	r.Via, r.Session, r.Verified, r.Signer, r.Verdict = ByHTTPS, "", false, "", "came by HTTPS"
	return r
}

// reported opens a ledger, adds reports and returns the results.
func reported(t *testing.T, reports ...Report) (path string, added []AddedReport) {
	t.Helper()
	path = empty(t)
	l := opened(t, path, Options{})
	for _, r := range reports {
		f, err := l.AddReport(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, f)
	}
	return path, added
}

// ids returns the ReportIDs of the reports that match f, in order.
func ids(t testing.TB, path string, f ReportFilter) string {
	t.Helper()
	found, err := reader(t, path).Reports(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range found {
		names = append(names, r.ReportID)
	}
	return strings.Join(names, " ")
}

func TestReportIsReadAsAdded(t *testing.T) {
	t.Parallel()
	want := signed("a1")
	path, added := reported(t, want)
	if want := []AddedReport{{ID: 1, New: true}}; !slices.Equal(added, want) {
		t.Errorf("filed as %v, want %v", added, want)
	}
	want.ID, want.Versions = 1, 1
	got, err := reader(t, path).Report(t.Context(), 1)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\n%+v, want\n%+v", err, got, want)
	}
	want.Content = nil
	listed, err := reader(t, path).Reports(t.Context(), ReportFilter{})
	if err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
		t.Errorf("listed %v\n%+v, want\n%+v", err, listed, want)
	}
	if _, err := reader(t, path).Report(t.Context(), 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that was never there: %v, want fs.ErrNotExist", err)
	}
}

func TestReportWithFewFieldsIsReadAsAdded(t *testing.T) {
	t.Parallel()
	want := Report{At: noon, Via: ByFile, Domains: []string{}, Warnings: []string{}, Content: []byte("{}")}
	path, _ := reported(t, want)
	want.ID, want.Versions = 1, 1
	got, err := reader(t, path).Report(t.Context(), 1)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\n%+v, want\n%+v", err, got, want)
	}
}

func TestSameReportIsStoredOnce(t *testing.T) {
	t.Parallel()
	later := signed("a1")
	later.At = noon.Add(time.Hour)
	path, added := reported(t, signed("a1"), later)
	if want := []AddedReport{{ID: 1, New: true}, {ID: 1}}; !slices.Equal(added, want) {
		t.Errorf("filed as %v, want %v", added, want)
	}
	if r, err := reader(t, path).Report(t.Context(), 1); err != nil || !r.At.Equal(noon) {
		t.Errorf("came at %v, %v; want when it came first", r.At, err)
	}
}

// An unverified copy does not change the origin of a report.
func TestUnverifiedCopyChangesNothing(t *testing.T) {
	t.Parallel()
	again := posted("a1")
	again.Via, again.Verdict, again.Submitter = ByMail, "is not signed", "evil.example"
	path, added := reported(t, posted("a1"), again)
	if want := []AddedReport{{ID: 1, New: true}, {ID: 1}}; !slices.Equal(added, want) {
		t.Errorf("filed as %v, want %v", added, want)
	}
	if r, err := reader(t, path).Report(t.Context(), 1); err != nil || r.Via != ByHTTPS || r.Submitter != "sender.example" {
		t.Errorf("got %v\n%+v, want it as it came first", err, r)
	}
}

// A report with a verified copy is verified, in whatever order they are added.
func TestVerifiedCopyCounts(t *testing.T) {
	t.Parallel()
	path, added := reported(t, posted("a1"), signed("a1"), posted("a1"))
	if want := []AddedReport{{ID: 1, New: true}, {ID: 1, Confirmed: true}, {ID: 1}}; !slices.Equal(added, want) {
		t.Errorf("filed as %v, want %v", added, want)
	}
	r, err := reader(t, path).Report(t.Context(), 1)
	if err != nil || !r.Verified || r.Via != ByMail || r.Signer != "sender.example" || r.Session != "7Q2F" {
		t.Errorf("got %v\n%+v, want it as it came signed", err, r)
	}
}

func TestCorrectionIsStoredBesideTheReport(t *testing.T) {
	t.Parallel()
	correction := signed("a1")
	correction.Failed, correction.Content = 9, []byte(`{"report-id":"a1","corrected":true}`)
	path, added := reported(t, signed("a1"), correction, signed("b2"))
	if !added[1].New || added[1].ID != 2 {
		t.Errorf("the correction is filed as %v, want a new one", added[1])
	}
	found, err := reader(t, path).Reports(t.Context(), ReportFilter{})
	if err != nil || len(found) != 3 {
		t.Fatalf("%d reports, %v; want 3", len(found), err)
	}
	for i, want := range []int64{1, 2, 2} {
		if found[i].Versions != want {
			t.Errorf("report %d has %d versions, want %d", found[i].ID, found[i].Versions, want)
		}
	}
}

// Forged reports change nothing about verified ones: neither the number of versions, nor which
// are found.
func TestForgeriesDoNotAffectVerifiedReports(t *testing.T) {
	t.Parallel()
	forged, boasting, elsewhere := posted("a1"), signed("evil"), posted("a1")
	forged.Content, forged.End = []byte(`{"forged":true}`), noon.Add(1000*day)
	boasting.Submitter, boasting.Organization, boasting.End = "evil.example", "sender.example", noon.Add(1000*day)
	elsewhere.Content, elsewhere.Submitter = []byte(`{}`), ""
	nameless := elsewhere
	nameless.Content, nameless.Organization = []byte(`[]`), "Others"
	path, _ := reported(t, signed("a1"), forged, boasting, elsewhere, nameless)
	found, err := reader(t, path).Reports(t.Context(), ReportFilter{From: "sender.example", Verified: true, Limit: 1})
	if err != nil || len(found) != 1 || found[0].ID != 1 || found[0].Versions != 1 {
		t.Errorf("got %v, %+v", err, found)
	}
	for id, want := range map[int64]int64{1: 1, 2: 2, 4: 1} {
		if r, err := reader(t, path).Report(t.Context(), id); err != nil || r.Versions != want {
			t.Errorf("report %d has %d versions, %v; want %d", id, r.Versions, err, want)
		}
	}
}

// Some submitters send no report id, others the same every day.
func TestUselessIDsMakeNoVersions(t *testing.T) {
	t.Parallel()
	for id, later := range map[string]time.Duration{"": 0, "001": day} {
		next := signed(id)
		next.Start, next.Content = next.Start.Add(later), []byte(`{"next":true}`)
		path, _ := reported(t, signed(id), next)
		if r, err := reader(t, path).Report(t.Context(), 1); err != nil || r.Versions != 1 {
			t.Errorf("id %q: %d versions, %v", id, r.Versions, err)
		}
	}
}

func TestReportFilter(t *testing.T) {
	t.Parallel()
	other := signed("other")
	other.Submitter, other.Organization, other.Domains = "mail.other.example", "Other 100%", []string{"theirs.example", "ours.example"}
	old := signed("old")
	old.Start, old.End = noon.Add(-100*day), noon.Add(-99*day)
	undated := signed("undated")
	undated.Start, undated.End = time.Time{}, time.Time{}
	future := signed("future")
	future.At, future.End = noon.Add(-200*day), noon.Add(1000*day)
	nameless := signed("nameless")
	nameless.Submitter, nameless.Organization = "", "Other 100%"
	nameless.At, nameless.Start, nameless.End = noon.Add(-300*day), time.Time{}, time.Time{}
	path, _ := reported(t, signed("a1"), old, undated, other, future, nameless)
	for _, test := range []struct {
		name   string
		filter ReportFilter
		want   string
	}{
		{"the newest first", ReportFilter{}, "undated other a1 old future nameless"},
		{"Since is the reported time", ReportFilter{Since: noon.Add(-2 * day)}, "undated other a1"},
		{"Until is before the end", ReportFilter{Since: noon.Add(-2 * day), Until: noon.Add(-12 * time.Hour)}, ""},
		{"Until is after the end", ReportFilter{Since: noon.Add(-2 * day), Until: noon.Add(-12*time.Hour + time.Second)}, "other a1"},
		{"Since is before the end", ReportFilter{Since: noon.Add(-20 * time.Hour)}, "undated other a1"},
		{"Since ignores dates in the future", ReportFilter{Since: noon.Add(day)}, ""},
		{"Domain", ReportFilter{Domain: "Theirs.example"}, "other"},
		{"Domain is no part of one", ReportFilter{Domain: "example"}, ""},
		{"Submitter by its domain", ReportFilter{Submitter: "OTHER.ex"}, "other"},
		{"Submitter by its name", ReportFilter{Submitter: "100%"}, "other nameless"},
		{"From is no part of one", ReportFilter{From: "sender"}, ""},
		{"From or Organization", ReportFilter{From: "mail.other.example", Organization: "Other 100%"}, "other nameless"},
		{"Organization is of those without a submitter", ReportFilter{Organization: "Other 100%"}, "nameless"},
		{"Limit", ReportFilter{Limit: 2}, "undated other"},
	} {
		if got := ids(t, path, test.filter); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestReportIsAddedByAnotherProcess(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := newLedger(path, Options{})
	l.delay = time.Millisecond // each round waits for a batch
	l.start()
	defer l.Close()
	for i := range 20 {
		l.AddHandshake(success("meanwhile"))
		inside, outside := signed(fmt.Sprint("in", i)), posted(fmt.Sprint("out", i))
		if f, err := l.AddReport(t.Context(), inside); err != nil || !f.New {
			t.Fatalf("from inside: %v, %v", f, err)
		}
		if f, err := AddReport(t.Context(), path, outside); err != nil || !f.New {
			t.Fatalf("from outside: %v, %v", f, err)
		}
	}
	if got := len(strings.Fields(ids(t, path, ReportFilter{}))); got != 40 {
		t.Errorf("%d reports are kept, want 40", got)
	}
	if f, err := AddReport(t.Context(), path, signed("in3")); err != nil || f.New || f.ID != 7 {
		t.Errorf("one that the server has: %v, %v; want it known as 7", f, err)
	}
}

func TestReportThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	l := opened(t, empty(t), Options{})
	random := make([]byte, maxPacked+1)
	rand.NewChaCha8([32]byte{}).Read(random)
	for name, content := range map[string][]byte{"of zeros": make([]byte, maxContent+1), "of noise": random} {
		r := signed("a1")
		r.Content = content
		if _, err := l.AddReport(t.Context(), r); !errors.Is(err, ErrReportTooLarge) {
			t.Errorf("%s: %v, want ErrReportTooLarge", name, err)
		}
	}
}

func TestUntrustedTextOfAReportIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 1<<20)
	r := Report{At: noon, Content: []byte("{}"), Submitter: long, Organization: long, ReportID: long, Signer: long, Verdict: long}
	for range 10_000 {
		r.Domains, r.Warnings = append(r.Domains, long[:300]), append(r.Warnings, long[:3000])
	}
	path, _ := reported(t, r)
	got, err := reader(t, path).Report(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	total := len(got.Submitter) + len(got.Organization) + len(got.ReportID) + len(got.Signer) + len(got.Verdict)
	total += len(strings.Join(got.Domains, "")) + len(strings.Join(got.Warnings, ""))
	if total > 4*maxName+maxText+maxDomains*maxName+maxWarnings*maxText {
		t.Errorf("%d bytes of texts are kept", total)
	}
}

func TestAddReportFailsIfItCannotBeStored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none", "ledger")
	l := Open(path, Options{})
	if f, err := l.AddReport(t.Context(), signed("a1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v, %v", f, err)
	}
	l.Close()
	if f, err := l.AddReport(t.Context(), signed("a1")); !errors.Is(err, errClosed) {
		t.Errorf("when closed: %v, %v", f, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	idle := newLedger(path, Options{}) // as one whose disk hangs
	if f, err := idle.AddReport(ended, signed("a1")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a disk that hangs: %v, %v", f, err)
	}
}

func TestLedgerThatIsNotMigratedIsNotUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := writeOld(path, 2, func(*store) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(path); !errors.Is(err, ErrOlder) {
		t.Errorf("reading: %v, want ErrOlder", err)
	}
	if _, err := AddReport(t.Context(), path, signed("a1")); !errors.Is(err, ErrOlder) {
		t.Errorf("adding: %v, want ErrOlder", err)
	}
}

// add stores reports as the writer does.
func (k *kept) add(reports ...Report) {
	k.t.Helper()
	for _, r := range reports {
		packed, err := r.pack()
		if err != nil {
			k.t.Fatal(err)
		}
		k.store.last++
		if _, _, err := r.insert(k.t.Context(), k.conn, packed, k.store.last, here); err != nil {
			k.t.Fatal(err)
		}
	}
}

func TestOldReportIsDeleted(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 3 * day, maxSize: DefaultMaxSize})
	k.rounds(1, noon)
	future := signed("of a clock that ran ahead")
	future.At = noon.Add(4 * 365 * day)
	k.add(signed("a1"), future)
	k.rounds(110, noon.Add(3*day))
	if got := ids(t, k.path, ReportFilter{}); got != "of a clock that ran ahead a1" && got != "a1 of a clock that ran ahead" {
		t.Errorf("after 3 days: %q", got)
	}
	k.rounds(2, noon.Add(3*day+time.Hour))
	if got := ids(t, k.path, ReportFilter{}); got != "of a clock that ran ahead" {
		t.Errorf("an hour later: %q", got)
	}
	k.hours(3*24+2, noon)
	if got := ids(t, k.path, ReportFilter{}); got != "" {
		t.Errorf("after 3 days that the server ran: %q", got)
	}
}

// fillReports adds n reports of 10 KiB, as the writer does, each changed by change.
func (k *kept) fillReports(name string, n int, change func(i int, r *Report)) {
	k.t.Helper()
	noise := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%32s", name))))
	for i := range n {
		r := signed(fmt.Sprint(name, i))
		r.At, r.Content = noon.Add(time.Duration(i)*time.Minute), make([]byte, 10<<10)
		noise.Read(r.Content)
		change(i, &r)
		k.add(r)
		if err := k.byReports(k.store); err != nil {
			k.t.Fatal(err)
		}
	}
}

// countReports returns how many of the reports with a name are kept.
func (k *kept) countReports(name string) int {
	k.t.Helper()
	return strings.Count(ids(k.t, k.path, ReportFilter{Limit: maxLimit}), name)
}

// bySigner makes a report a verified one of a domain.
func bySigner(domain string) func(int, *Report) {
	return func(_ int, r *Report) { r.Submitter, r.Signer = domain, domain }
}

// from makes a report an unverified one that an address sent.
func from(address func(i int) string) func(int, *Report) {
	return func(i int, r *Report) {
		r.Verified, r.Signer, r.Address = false, "", netip.MustParseAddr(address(i))
		r.Submitter = fmt.Sprintf("s%d.example", i)
	}
}

// The room of 256 KiB holds some 24 reports.
func TestSenderOfManyReportsDisplacesItsOwn(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]func(int, *Report){
		"a verified submitter":  bySigner("flood.test"),
		"one owner's domains":   func(i int, r *Report) { bySigner(fmt.Sprintf("s%d.flood.test", i))(i, r) },
		"a dynamic DNS service": func(i int, r *Report) { bySigner(fmt.Sprintf("s%d.duckdns.org", i))(i, r) },
		"names of one network":  from(func(i int) string { return fmt.Sprint("203.0.113.", i%200) }),
		"one provider of IPv6":  from(func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKept(t, retention{maxAge: 90 * day, maxSize: 1 << 20})
			k.fillReports("honest", 5, bySigner("sender.example"))
			k.fillReports("posted", 2, from(func(int) string { return "192.0.2.1" }))
			k.fillReports("flood", 75, flood)
			if honest, posted, flood := k.countReports("honest"), k.countReports("posted"), k.countReports("flood"); honest != 5 || posted != 2 || flood < 13 || flood > 18 {
				t.Errorf("%d of 5 verified and %d of 2 unverified reports are kept, and %d of the flood", honest, posted, flood)
			}
			if newest := ids(t, k.path, ReportFilter{Limit: 1}); newest != "flood74" {
				t.Errorf("of the flood %s is the newest", newest)
			}
		})
	}
}

func TestRegisteredDomain(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]string{
		"mail.sender.example": "sender.example", "sender.example": "sender.example", "a.sender.co.uk": "sender.co.uk",
		"a.b.duckdns.org": "duckdns.org", "duckdns.org": "duckdns.org", "org": "org", "": "",
		"bucket.s3.amazonaws.com": "amazonaws.com", "a.test": "a.test", "x.github.io": "github.io",
	} {
		if got := registered(domain); got != want {
			t.Errorf("%q: %q, want %q", domain, got, want)
		}
	}
}

// Of the two kinds each has room that the other cannot take.
func TestUnverifiedReportsTakeNoRoomOfVerifiedOnes(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day, maxSize: 1 << 20})
	k.fillReports("honest", 17, bySigner("sender.example"))
	k.fillReports("flood", 75, from(func(i int) string { return fmt.Sprintf("198.51.%d.1", i%250) }))
	if honest, flood := k.countReports("honest"), k.countReports("flood"); honest != 17 || flood < 5 {
		t.Errorf("%d of 17 verified reports are kept, and %d of a flood", honest, flood)
	}
}

// The sizes of both kinds are kept with each change, so that they need not be added up for each
// new report.
func TestSizesOfReportsAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day, maxSize: 1 << 20})
	check := func(after string, unverified, verified int64) {
		t.Helper()
		for kind, rows := range []int64{unverified, verified} {
			n, err := k.number(`SELECT count(*) FROM reports WHERE verified = ?`, kind)
			if err != nil || n != rows && rows >= 0 {
				t.Errorf("%s: %d rows of kind %d, want %d; %v", after, n, kind, rows, err)
			}
			sum, err := k.number(`SELECT coalesce(sum(size), 0) FROM reports WHERE verified = ?`, kind)
			if err != nil {
				t.Fatal(err)
			}
			if size, err := k.number(`SELECT size FROM report_sizes WHERE verified = ?`, kind); err != nil || size != sum {
				t.Errorf("%s: the size of kind %d is %d, want %d; %v", after, kind, size, sum, err)
			}
		}
	}
	check("at first", 0, 0)
	k.add(posted("a1"), posted("b2"), signed("c3"))
	check("3 added", 2, 1)
	k.add(signed("a1"), posted("c3"), signed("b2"), posted("b2"))
	check("2 confirmed", 0, 3)
	k.fillReports("flood", 40, from(func(int) string { return "192.0.2.1" }))
	check("a flood, of which some are deleted", -1, 3)
	if err := k.forget(noon.Add(1000*day), 0); err != nil {
		t.Fatal(err)
	}
	check("all forgotten", 0, 0)
}

// An added report is stored even after kill -9.
func TestAddedReportSurvivesAKill(t *testing.T) {
	t.Parallel()
	path, _ := reported(t, signed("a1"))
	copied := filepath.Join(t.TempDir(), "ledger")
	for _, end := range suffixes[:2] { // as the dead process leaves them
		content, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+end, bytes.Clone(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, copied, ReportFilter{}); got != "a1" {
		t.Errorf("%q is kept, want a1", got)
	}
}

// Reports can be added before a server has run once. The server goes on with the same file.
func TestCreatedLedgerIsTheServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	added, err := AddReport(t.Context(), path, Report{At: time.Now(), Via: ByFile, Content: []byte(`{"report-id":"1","policies":[]}`)})
	if err != nil || added.ID != 1 {
		t.Fatalf("%+v, %v", added, err)
	}
	l := Open(path, Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if found, err := r.Report(t.Context(), 1); err != nil || found.ReportID != "" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := Create(filepath.Join(t.TempDir(), "missing", "ledger.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

// The owner of the data folder is the user that the server runs as.
func TestCreatedLedgerHasTheOwnerOfItsFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ledger.db")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := fmt.Sprintf("%+v", info.Sys()); !strings.Contains(owner, "Uid:4711 Gid:4712") {
		t.Errorf("owner: %s", owner)
	}
}
