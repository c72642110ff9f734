package tlsrptin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/internal/nexthop"
	"postern/internal/smtp"
	"postern/internal/testreport"
	"postern/tlsrpt"
)

const reportsAddress = "tls-reports@ours.example"

// A fakeStore is a store in memory.
type fakeStore struct {
	mu    sync.Mutex
	added []ledger.Report
	err   error
	new   chan struct{}
}

func newFakeStore() *fakeStore { return &fakeStore{new: make(chan struct{}, 1000)} }

func (s *fakeStore) AddReport(_ context.Context, r ledger.Report) (ledger.AddedReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return ledger.AddedReport{}, s.err
	}
	known := slices.ContainsFunc(s.added, func(k ledger.Report) bool { return string(k.Content) == string(r.Content) })
	s.added = append(s.added, r)
	s.new <- struct{}{}
	return ledger.AddedReport{ID: int64(len(s.added)), New: !known}, nil
}

func (s *fakeStore) reports() []ledger.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.added)
}

// A backend is a next hop that accepts everything but one recipient.
type backend struct {
	nexthop.Session
	refuses  string // a recipient
	forgets  bool   // the text
	reply    smtp.Reply
	commands []string
	messages []string
}

func (b *backend) Extensions() smtp.Extensions         { return smtp.Extensions{} }
func (b *backend) Open(nexthop.Sender) nexthop.Session { return b }

func (b *backend) answer(reply smtp.Reply, command string) nexthop.Answer {
	b.commands = append(b.commands, command)
	return func() smtp.Reply { return reply }
}

func (b *backend) Mail(smtp.Mail) nexthop.Answer {
	return b.answer(smtp.NewReply(250, "2.1.0", "ok"), "MAIL")
}
func (b *backend) Data() nexthop.Answer { return b.answer(smtp.Reply{Code: 354}, "DATA") }
func (b *backend) Reset()               { b.commands = append(b.commands, "RSET") }

func (b *backend) Rcpt(r smtp.Recipient) nexthop.Answer {
	reply := smtp.NewReply(250, "2.1.5", "ok")
	if r.To == b.refuses {
		reply = smtp.NewReply(550, "5.1.1", "no")
	}
	return b.answer(reply, "RCPT "+r.To)
}

func (b *backend) Send(r io.Reader) smtp.Reply {
	if b.forgets {
		io.Copy(io.Discard, r)
		return b.reply
	}
	text, err := io.ReadAll(r)
	if err == nil {
		b.messages = append(b.messages, string(text))
	}
	return b.reply
}

var accepted = smtp.NewReply(250, "2.0.0", "accepted by the next hop")

// A testReceiver is a Receiver with a store, a next hop and a log.
type testReceiver struct {
	*Receiver
	*fakeStore
	next *backend
	log  *strings.Builder
}

func newTestReceiver(t *testing.T, s Settings) *testReceiver {
	t.Helper()
	s.Addresses = []string{"TLS-Reports@Ours.example"}
	tr := &testReceiver{fakeStore: newFakeStore(), next: &backend{reply: accepted}, log: new(strings.Builder)}
	tr.Receiver = New(s, tr.fakeStore, slog.New(slog.NewTextHandler(tr.log, nil)))
	t.Cleanup(func() { tr.Receiver.Close(t.Context()) })
	return tr
}

// reserved returns the bytes that are reserved in both rooms.
func (rc *Receiver) reserved() int { return 80<<20 - rc.mail.left() - rc.posts.left() }

func (r *room) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free
}

// deliver sends a message and returns the replies to its recipients and to itself.
func (s *testReceiver) deliver(text io.Reader, to ...string) (recipients []int, reply smtp.Reply) {
	return s.deliverFrom("192.0.2.7", text, to...)
}

func (s *testReceiver) deliverFrom(client string, text io.Reader, to ...string) (recipients []int, reply smtp.Reply) {
	session := s.Hop(s.next).Open(nexthop.Sender{SessionID: "7Q2F", Addr: netip.AddrPortFrom(netip.MustParseAddr(client), 4711)})
	session.Mail(smtp.Mail{From: "tlsrpt@microsoft.test"})()
	for _, address := range to {
		recipients = append(recipients, session.Rcpt(smtp.Recipient{To: address})().Code)
	}
	if reply := session.Data()(); reply.Code != 354 {
		return recipients, reply
	}
	return recipients, session.Send(text)
}

func TestReportIsDeliveredToTheNextHopAndStored(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	s := newTestReceiver(t, Settings{Resolver: testreport.Resolver(t, signer.KeyRecord("s=tlsrpt;"))})
	mail := signer.Sign(t, october.Mail())
	_, reply := s.deliver(strings.NewReader(mail), reportsAddress, "postmaster@ours.example")
	if reply.String() != accepted.String() || !slices.Equal(s.next.messages, []string{mail}) {
		t.Errorf("replied %v, the next hop has %d messages; want its own reply to the complete message", reply, len(s.next.messages))
	}
	<-s.new
	r := s.reports()[0]
	if !r.Verified || r.Submitter != "microsoft.test" || r.Via != ledger.ByMail || r.Session != "7Q2F" ||
		r.Address.String() != "192.0.2.7" || r.Failed != 27 || !slices.Equal(r.Domains, []string{"ours.example"}) {
		t.Errorf("stored %+v", r)
	}
	s.Receiver.Close(t.Context())
	if !strings.Contains(s.log.String(), `"TLS report stored" report=1 new=true via=mail session=7Q2F submitter=microsoft.test verdict="signed by microsoft.test"`) {
		t.Errorf("the log says %s", s.log)
	}
	if again, err := tlsrpt.Parse(strings.NewReader(string(r.Content))); err != nil || again.ID != october.ID {
		t.Errorf("the content parses as %v, %v", again, err)
	}
}

// White space and escapes differ when a report is stored, and so does its size.
func TestReportIsAsLargeAsItIsStored(t *testing.T) {
	empty, err := newReport(new(tlsrpt.Report))
	if err != nil {
		t.Fatal(err)
	}
	largest := strings.Repeat("x", 8388608-len(empty.Content))
	if r, err := newReport(&tlsrpt.Report{ID: largest}); err != nil || len(r.Content) != 8388608 {
		t.Errorf("%d bytes, %v", len(r.Content), err)
	}
	if _, err := newReport(&tlsrpt.Report{ID: largest + "x"}); !errors.Is(err, tlsrpt.ErrTooLarge) || err.Error() != "8388609 bytes when normalised: too large" {
		t.Error(err)
	}
}

// A report may have several policies of a domain: one for MTA-STS and one for DANE.
func TestDomainsOfAReportAreListedOnce(t *testing.T) {
	var several tlsrpt.Report
	for _, name := range []string{"ours.example", "Ours.Example", "", "other.example", "ours.example"} {
		several.Policies = append(several.Policies, tlsrpt.PolicyResult{Policy: tlsrpt.Policy{Domain: name}, Successful: 1, Failed: 2})
	}
	r, err := newReport(&several)
	if err != nil || !slices.Equal(r.Domains, []string{"ours.example", "other.example"}) || r.Successful != 5 || r.Failed != 10 {
		t.Errorf("%q, %d successful, %d failed, %v", r.Domains, r.Successful, r.Failed, err)
	}
}

func TestReportThatCannotBeWrittenIsNone(t *testing.T) {
	broken := &tlsrpt.Report{Extra: tlsrpt.Extra{"x": []byte("{")}}
	if r, err := newReport(broken); !errors.Is(err, tlsrpt.ErrNotReport) {
		t.Errorf("%+v, %v", r, err)
	}
}

// The server passes A-labels on (RFC 5890).
func TestReportAddressMayHaveAnInternationalDomain(t *testing.T) {
	s := &testReceiver{fakeStore: newFakeStore(), next: &backend{reply: accepted}}
	s.Receiver = New(Settings{Addresses: []string{"Reports@Bücher.example"}, Only: true}, s.fakeStore, slog.New(slog.DiscardHandler))
	defer s.Receiver.Close(t.Context())
	if _, reply := s.deliver(strings.NewReader(october.Mail()), "reports@xn--bcher-kva.example"); reply.Code != 250 || len(s.reports()) != 1 {
		t.Errorf("replied %v, %d reports are stored", reply, len(s.reports()))
	}
}

func TestOtherMailIsPassedOn(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	if _, reply := s.deliver(strings.NewReader(october.Mail()), "ann@ours.example"); reply.String() != accepted.String() {
		t.Errorf("replied %v", reply)
	}
	s.Receiver.Close(t.Context())
	if got := len(s.reports()); got != 0 {
		t.Errorf("%d reports of mail to others", got)
	}
}

// The sender retries what the next hop did not accept, and what was incomplete.
func TestOnlyWhatTheNextHopAcceptedIsStored(t *testing.T) {
	for name, tt := range map[string]struct {
		next backend
		text io.Reader
	}{
		"refused":           {backend{reply: smtp.NewReply(451, "4.3.0", "no")}, strings.NewReader(october.Mail())},
		"recipient refused": {backend{reply: accepted, refuses: reportsAddress}, strings.NewReader(october.Mail())},
		"incomplete":        {backend{reply: accepted}, io.MultiReader(strings.NewReader(october.Mail()), iotest.ErrReader(errors.New("gone")))},
	} {
		store := newFakeStore()
		i := New(Settings{Addresses: []string{reportsAddress}}, store, slog.New(slog.DiscardHandler))
		s := &testReceiver{Receiver: i, next: &tt.next}
		s.deliver(tt.text, "ann@ours.example", reportsAddress)
		i.Close(t.Context())
		if got := len(store.reports()); got != 0 {
			t.Errorf("%s: %d reports are stored", name, got)
		}
		if n := i.reserved(); n != 0 {
			t.Errorf("%s: %d bytes were not released", name, n)
		}
	}
}

func TestMailWithoutReportIsDeliveredAndLogged(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	if _, reply := s.deliver(strings.NewReader("Subject: hello\r\n\r\nNo report here.\r\n"), reportsAddress); reply.String() != accepted.String() {
		t.Errorf("replied %v", reply)
	}
	s.Receiver.Close(t.Context())
	if !strings.Contains(s.log.String(), "report mail not stored; next hop has it") || !strings.Contains(s.log.String(), "not a TLS report") {
		t.Errorf("the log says %q", s.log)
	}
}

// A brokenStore has a bug.
type brokenStore struct{}

func (brokenStore) AddReport(context.Context, ledger.Report) (ledger.AddedReport, error) {
	panic("index out of range")
}

// A report that runs into a bug costs that report, and not the server.
func TestABugStopsNoServer(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	s.store = brokenStore{}
	for range 40 { // more than are read at a time
		s.deliver(strings.NewReader(october.Mail()), reportsAddress)
	}
	s.Receiver.pending.Wait()
	if n := strings.Count(s.log.String(), `err="panic: index out of range`); n != 40 {
		t.Errorf("%d of 40 are logged: %.300s", n, s.log)
	}
	s.store = s.fakeStore
	s.deliver(strings.NewReader(october.Mail()), reportsAddress)
	s.Receiver.Close(t.Context())
	if len(s.reports()) != 1 || s.reserved() != 0 {
		t.Errorf("after that %d reports are stored, %d bytes are reserved", len(s.reports()), s.reserved())
	}
}

// A slowStore stores nothing in time.
type slowStore struct{}

func (slowStore) AddReport(ctx context.Context, _ ledger.Report) (ledger.AddedReport, error) {
	<-ctx.Done()
	return ledger.AddedReport{}, ctx.Err()
}

// A server that stops waits for its reports no longer than it may, and says which it does not have.
func TestReportsThatAStopLeaves(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	s.store = slowStore{}
	s.deliver(strings.NewReader(october.Mail()), reportsAddress)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	s.Receiver.Close(stopped)
	s.deliver(strings.NewReader(october.Mail()), reportsAddress) // the session's last one
	s.Receiver.pending.Wait()
	if n := strings.Count(s.log.String(), `"report mail not stored; next hop has it" session=7Q2F err="the server stops"`); n != 2 || s.reserved() != 0 {
		t.Errorf("%d of two reports are named, %d bytes are reserved; the log says %s", n, s.reserved(), s.log)
	}
}

// Once a server has stopped, the ledger is closed too.
func TestNoReportIsStoredAfterAStop(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	s.Receiver.Close(t.Context())
	if _, reply := s.deliver(strings.NewReader(october.Mail()), reportsAddress); reply.String() != accepted.String() {
		t.Errorf("replied %v", reply)
	}
	s.Receiver.pending.Wait()
	if len(s.reports()) != 0 || !strings.Contains(s.log.String(), `"report mail not stored; next hop has it" session=7Q2F err="the server stops"`) || s.reserved() != 0 {
		t.Errorf("%d reports are stored, %d bytes are reserved; the log says %s", len(s.reports()), s.reserved(), s.log)
	}
}

// Whatever a stranger writes, the log line stays short.
func TestLogOfAReportIsShort(t *testing.T) {
	signer := testreport.NewSigner(t, "evil.test")
	s := newTestReceiver(t, Settings{Only: true, Resolver: testreport.Resolver(t, signer.KeyRecord(""))})
	long := strings.Repeat("x", 50_000)
	mail := signer.Sign(t, strings.Replace(october.Mail(), "TLS-Report-Submitter: microsoft", "TLS-Report-Submitter: "+long, 1))
	if _, reply := s.deliver(strings.NewReader(mail), reportsAddress); reply.Code != 250 {
		t.Fatal(reply)
	}
	r := s.reports()[0]
	want := `file name: names the submitter "microsoft.test", TLS-Report-Submitter names "` + long[:40] + `"…"` + long[:40] + `"`
	if len(r.Submitter) != 255 || r.Warnings[0] != want {
		t.Errorf("a submitter of %d bytes, %q", len(r.Submitter), r.Warnings)
	}
	if logged := s.log.String(); len(logged) > 1000 || !strings.Contains(logged, "signed by evil.test, not by xxx") {
		t.Errorf("%d bytes: %.300s", len(logged), logged)
	}
}

func TestWithOnlyTheReplyIsForTheReport(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	broken, theirs := testreport.NewSigner(t, "broken.test"), october
	theirs.Submitter = broken.Domain
	names := testreport.Resolver(t, signer.KeyRecord(""))
	for name, tt := range map[string]struct {
		text  io.Reader
		err   error
		want  string
		added int
	}{
		"signed":            {strings.NewReader(signer.Sign(t, october.Mail())), nil, "250 2.0.0 report stored", 1},
		"not signed":        {strings.NewReader(october.Mail()), nil, "250 2.0.0 report stored", 1},
		"no report":         {strings.NewReader("Subject: hello\r\n\r\nhello\r\n"), nil, "550 5.6.0 message contains no TLS report (RFC 8460, section 5.3), and this address accepts nothing else", 0},
		"the disk is full":  {strings.NewReader(october.Mail()), errors.New("disk full"), "451 4.3.0 cannot store report, try again later", 0},
		"too large to keep": {strings.NewReader(october.Mail()), ledger.ErrReportTooLarge, "552 5.3.4 report too large", 0},
		"key not to be had": {strings.NewReader(broken.Sign(t, theirs.Mail())), nil, "451 4.7.5 cannot look up the DKIM key of the report, try again later", 0},
		"too long":          {strings.NewReader(october.Mail() + strings.Repeat("x", tlsrpt.MaxMailSize)), nil, "552 5.3.4 report too large", 0},
		"incomplete":        {io.MultiReader(strings.NewReader(october.Mail()), iotest.ErrReader(io.ErrUnexpectedEOF)), nil, "451 4.3.0 message is incomplete", 0},
	} {
		s := newTestReceiver(t, Settings{Only: true, Resolver: names})
		s.err = tt.err
		recipients, reply := s.deliver(tt.text, reportsAddress)
		if !slices.Equal(recipients, []int{250}) || reply.String() != tt.want {
			t.Errorf("%s: recipients %v, replied %v; want %s", name, recipients, reply, tt.want)
		}
		if got := len(s.reports()); got != tt.added {
			t.Errorf("%s: %d reports are stored, want %d", name, got, tt.added)
		}
		if want := []string{"MAIL", "RSET"}; !slices.Equal(s.next.commands, want) {
			t.Errorf("%s: the next hop got %q, want %q", name, s.next.commands, want)
		}
		if n := s.reserved(); n != 0 {
			t.Errorf("%s: %d bytes were not released", name, n)
		}
	}
}

func TestRepliesToRecipientsOfReports(t *testing.T) {
	s := newTestReceiver(t, Settings{Only: true})
	session := s.Hop(s.next).Open(nexthop.Sender{Addr: netip.MustParseAddrPort("192.0.2.7:4711")})
	session.Mail(smtp.Mail{})()
	const separately = "452 4.5.3 reports need a message of their own, send this recipient another copy"
	for _, tt := range []struct{ to, want string }{
		{reportsAddress, "250 2.1.5 report address ok"}, {"ann@ours.example", separately}, {reportsAddress, "250 2.1.5 report address ok"},
	} {
		if reply := session.Rcpt(smtp.Recipient{To: tt.to})(); reply.String() != tt.want {
			t.Errorf("%s: %v, want %s", tt.to, reply, tt.want)
		}
	}
	if reply := session.Data()(); reply.String() != "354 send the report" {
		t.Error(reply)
	}
	session.Mail(smtp.Mail{})() // another message
	for _, tt := range []struct{ to, want string }{{"ann@ours.example", "250 2.1.5 ok"}, {reportsAddress, separately}} {
		if reply := session.Rcpt(smtp.Recipient{To: tt.to})(); reply.String() != tt.want {
			t.Errorf("the next message, %s: %v, want %s", tt.to, reply, tt.want)
		}
	}
}

// 32 reports wait for DNS at a time, and 2 are parsed and stored, which takes memory.
func TestSoManyReportsAreReadAtOnce(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	mail := signer.Sign(t, october.Mail())
	synctest.Test(t, func(t *testing.T) {
		s := newTestReceiver(t, Settings{})
		var reading, storing atomic.Int64
		s.keys = func(context.Context, string) ([]string, error) {
			reading.Add(1)
			time.Sleep(time.Second)
			return nil, nil
		}
		s.store = storeFunc(func(ctx context.Context) error {
			storing.Add(1)
			<-ctx.Done()
			return ctx.Err()
		})
		for range 40 {
			s.deliver(strings.NewReader(mail), reportsAddress)
		}
		if synctest.Wait(); reading.Load() != 32 {
			t.Errorf("%d keys are looked up", reading.Load())
		}
		time.Sleep(2 * time.Second)
		if synctest.Wait(); storing.Load() != 2 {
			t.Errorf("%d are stored", storing.Load())
		}
		time.Sleep(29500 * time.Millisecond) // the wait for the disk
		if synctest.Wait(); storing.Load() != 4 || strings.Count(s.log.String(), `err="context deadline exceeded"`) != 2 {
			t.Errorf("%d are stored; the log says %s", storing.Load(), s.log)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		s.Receiver.Close(stopped)
		s.pending.Wait()
	})
}

// A storeFunc is a store.
type storeFunc func(context.Context) error

func (f storeFunc) AddReport(ctx context.Context, _ ledger.Report) (ledger.AddedReport, error) {
	return ledger.AddedReport{}, f(ctx)
}

// The five minutes are for a report to arrive. It may wait for its key longer, and gives way to
// others meanwhile.
func TestReportThatWaitsForItsKey(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	mail := signer.Sign(t, october.Mail())
	_, key, _ := strings.Cut(strings.TrimSuffix(signer.KeyRecord(""), `"`), `"`)
	for name, crowded := range map[string]bool{"with room": false, "without": true} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestReceiver(t, Settings{})
			lookups := 0
			s.keys = func(context.Context, string) ([]string, error) {
				if lookups++; lookups == 1 {
					return nil, &net.DNSError{Err: "no answer", IsTemporary: true}
				}
				return []string{key}, nil
			}
			s.deliver(io.MultiReader(delay(4*time.Minute+30*time.Second), strings.NewReader(mail)), reportsAddress)
			synctest.Wait()
			if crowded {
				for n := range 48 << 20 / 4096 {
					b := s.mail.buffer(netip.AddrFrom4([4]byte{198, byte(n >> 8), byte(n), 1}), 4096)
					defer b.release()
					b.Write(make([]byte, 4096))
				}
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			stored := s.reports()
			if dropped := strings.Contains(s.log.String(), `err="too many reports at once"`); dropped != crowded || !crowded && (len(stored) != 1 || !stored[0].Verified) {
				t.Errorf("%s: %d reports are stored; the log says %s", name, len(stored), s.log)
			}
		})
	}
}

// Otherwise one reply would have to stand for two different results.
func TestWithOnlyReportsNeedMessagesOfTheirOwn(t *testing.T) {
	s := newTestReceiver(t, Settings{Only: true})
	if recipients, reply := s.deliver(strings.NewReader(october.Mail()), reportsAddress, "ann@ours.example"); !slices.Equal(recipients, []int{250, 452}) || reply.Code != 250 {
		t.Errorf("recipients %v, replied %v", recipients, reply)
	}
	if recipients, reply := s.deliver(strings.NewReader(october.Mail()), "ann@ours.example", reportsAddress); !slices.Equal(recipients, []int{250, 452}) || reply.String() != accepted.String() {
		t.Errorf("recipients %v, replied %v", recipients, reply)
	}
	if want := []string{"MAIL", "RSET", "MAIL", "RCPT ann@ours.example", "DATA"}; !slices.Equal(s.next.commands, want) {
		t.Errorf("the next hop got %q, want %q", s.next.commands, want)
	}
	s.next.refuses = "bob@ours.example"
	if recipients, _ := s.deliver(strings.NewReader(october.Mail()), "bob@ours.example", reportsAddress); !slices.Equal(recipients, []int{550, 250}) {
		t.Errorf("recipients %v; the first was refused, so the message has only the report", recipients)
	}
	if got := len(s.reports()); got != 2 {
		t.Errorf("%d reports are stored, want 2", got)
	}
}

func TestVerificationIsTimedWithItsLookUps(t *testing.T) {
	mail := testreport.NewSigner(t, "microsoft.test").Sign(t, october.Mail())
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		s := newTestReceiver(t, Settings{Verified: func(one time.Duration) { took = append(took, one) }})
		s.keys = func(context.Context, string) ([]string, error) {
			time.Sleep(3 * time.Second)
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
		s.deliver(strings.NewReader(mail), reportsAddress)
		<-s.new
		if !slices.Equal(took, []time.Duration{3 * time.Second}) {
			t.Errorf("%v", took)
		}
	})
}

// To look for lines in a large body takes less time than to hash it.
func TestVerificationIsTimedWithItsHash(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	took := make(chan time.Duration, 1)
	s := newTestReceiver(t, Settings{Verified: func(one time.Duration) { took <- one }})
	s.keys = slowFor("evil.test", signer)
	s.deliver(strings.NewReader(signer.Sign(t, october.Mail())+strings.Repeat("x  y\r\n", 400_000)), reportsAddress)
	if d := <-took; d <= 0 {
		t.Error(d)
	}
}

func TestDKIMKeyLookupIsRetriedAfterDelivery(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	_, key, _ := strings.Cut(strings.TrimSuffix(signer.KeyRecord(""), `"`), `"`)
	silent := &net.DNSError{Err: "no answer", IsTimeout: true, IsTemporary: true}
	for name, tt := range map[string]struct {
		failures int
		verified bool
		after    time.Duration
	}{
		"at once":           {0, true, 0},
		"the second time":   {1, true, time.Minute},
		"until it gives up": {3, false, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestReceiver(t, Settings{})
			lookups := 0
			s.keys = func(context.Context, string) ([]string, error) {
				if lookups++; lookups <= tt.failures {
					return nil, silent
				}
				return []string{key}, nil
			}
			began := time.Now()
			s.deliver(strings.NewReader(signer.Sign(t, october.Mail())), reportsAddress)
			<-s.new
			if r := s.reports()[0]; r.Verified != tt.verified || time.Since(began) != tt.after {
				t.Errorf("%s: verified %v after %v, %q", name, r.Verified, time.Since(began), r.Verdict)
			}
		})
	}
}
