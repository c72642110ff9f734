package tlsrptin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
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

// A shelf is a store in memory.
type shelf struct {
	mu    sync.Mutex
	kept  []ledger.Report
	fails error
	new   chan struct{} // has room
}

func newShelf() *shelf { return &shelf{new: make(chan struct{}, 1000)} }

func (s *shelf) AddReport(_ context.Context, r ledger.Report) (ledger.AddedReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return ledger.AddedReport{}, s.fails
	}
	known := slices.ContainsFunc(s.kept, func(k ledger.Report) bool { return string(k.Content) == string(r.Content) })
	s.kept = append(s.kept, r)
	s.new <- struct{}{}
	return ledger.AddedReport{ID: int64(len(s.kept)), New: !known}, nil
}

func (s *shelf) reports() []ledger.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// A backend is a next hop that takes what it is not told to refuse.
type backend struct {
	nexthop.Session
	refuses string // a recipient
	reply   smtp.Reply
	said    []string // the dialogue
	texts   []string
}

func (b *backend) Extensions() smtp.Extensions         { return smtp.Extensions{} }
func (b *backend) Open(nexthop.Sender) nexthop.Session { return b }

func (b *backend) answer(reply smtp.Reply, said string) nexthop.Answer {
	b.said = append(b.said, said)
	return func() smtp.Reply { return reply }
}

func (b *backend) Mail(smtp.Mail) nexthop.Answer {
	return b.answer(smtp.NewReply(250, "2.1.0", "ok"), "MAIL")
}
func (b *backend) Data() nexthop.Answer { return b.answer(smtp.Reply{Code: 354}, "DATA") }
func (b *backend) Reset()               { b.said = append(b.said, "RSET") }

func (b *backend) Rcpt(r smtp.Recipient) nexthop.Answer {
	reply := smtp.NewReply(250, "2.1.5", "ok")
	if r.To == b.refuses {
		reply = smtp.NewReply(550, "5.1.1", "no")
	}
	return b.answer(reply, "RCPT "+r.To)
}

func (b *backend) Send(r io.Reader) smtp.Reply {
	text, err := io.ReadAll(r)
	if err == nil {
		b.texts = append(b.texts, string(text))
	}
	return b.reply
}

var taken = smtp.NewReply(250, "2.0.0", "taken by the next hop")

// A stage is an intake before a next hop.
type stage struct {
	*Receiver
	*shelf
	next *backend
	log  *strings.Builder
}

func newStage(t *testing.T, s Settings) *stage {
	t.Helper()
	s.Addresses = []string{"TLS-Reports@Ours.example"}
	stage := &stage{shelf: newShelf(), next: &backend{reply: taken}, log: new(strings.Builder)}
	stage.Receiver = New(s, stage.shelf, slog.New(slog.NewTextHandler(stage.log, nil)))
	t.Cleanup(func() { stage.Receiver.Close(t.Context()) })
	return stage
}

// deliver sends a message and returns the replies to its recipients and to itself.
func (s *stage) deliver(text io.Reader, to ...string) (recipients []int, reply smtp.Reply) {
	session := s.Hop(s.next).Open(nexthop.Sender{SessionID: "7Q2F", Addr: netip.MustParseAddrPort("192.0.2.7:4711")})
	session.Mail(smtp.Mail{From: "tlsrpt@microsoft.test"})()
	for _, address := range to {
		recipients = append(recipients, session.Rcpt(smtp.Recipient{To: address})().Code)
	}
	if reply := session.Data()(); reply.Code != 354 {
		return recipients, reply
	}
	return recipients, session.Send(text)
}

func TestReportGoesToTheNextHopAndIsTakenIn(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	s := newStage(t, Settings{Resolver: testreport.Resolver(t, signer.Record("s=tlsrpt;"))})
	mail := signer.Sign(t, october.Mail())
	_, reply := s.deliver(strings.NewReader(mail), reportsAddress, "postmaster@ours.example")
	if reply.String() != taken.String() || !slices.Equal(s.next.texts, []string{mail}) {
		t.Errorf("replied %v, the next hop has %d messages; want its own reply to the whole message", reply, len(s.next.texts))
	}
	<-s.new
	r := s.reports()[0]
	if !r.Verified || r.Submitter != "microsoft.test" || r.Via != ledger.ByMail || r.Session != "7Q2F" ||
		r.Address.String() != "192.0.2.7" || r.Failed != 27 || !slices.Equal(r.Domains, []string{"ours.example"}) {
		t.Errorf("kept %+v", r)
	}
	if again, err := tlsrpt.Parse(strings.NewReader(string(r.Content))); err != nil || again.ID != october.ID {
		t.Errorf("the content reads as %v, %v", again, err)
	}
}

// The server hands on A-labels (RFC 5890).
func TestReportAddressMayBeInternational(t *testing.T) {
	s := &stage{shelf: newShelf(), next: &backend{reply: taken}}
	s.Receiver = New(Settings{Addresses: []string{"Reports@Bücher.example"}, Only: true}, s.shelf, slog.New(slog.DiscardHandler))
	defer s.Receiver.Close(t.Context())
	if _, reply := s.deliver(strings.NewReader(october.Mail()), "reports@xn--bcher-kva.example"); reply.Code != 250 || len(s.reports()) != 1 {
		t.Errorf("replied %v, %d reports are kept", reply, len(s.reports()))
	}
}

func TestOtherMailPassesAsEver(t *testing.T) {
	s := newStage(t, Settings{})
	if _, reply := s.deliver(strings.NewReader(october.Mail()), "ann@ours.example"); reply.String() != taken.String() {
		t.Errorf("replied %v", reply)
	}
	s.Receiver.Close(t.Context())
	if got := len(s.reports()); got != 0 {
		t.Errorf("%d reports of mail to others", got)
	}
}

// What the next hop did not take, or what never came to its end, is no report of ours: the
// sender brings it again.
func TestNothingIsTakenInThatTheNextHopDidNotTake(t *testing.T) {
	for name, tt := range map[string]struct {
		next backend
		text io.Reader
	}{
		"refused":           {backend{reply: smtp.NewReply(451, "4.3.0", "no")}, strings.NewReader(october.Mail())},
		"recipient refused": {backend{reply: taken, refuses: reportsAddress}, strings.NewReader(october.Mail())},
		"broken off":        {backend{reply: taken}, io.MultiReader(strings.NewReader(october.Mail()), iotest.ErrReader(errors.New("gone")))},
	} {
		shelf := newShelf()
		i := New(Settings{Addresses: []string{reportsAddress}}, shelf, slog.New(slog.DiscardHandler))
		s := &stage{Receiver: i, next: &tt.next}
		s.deliver(tt.text, "ann@ours.example", reportsAddress)
		i.Close(t.Context())
		if got := len(shelf.reports()); got != 0 {
			t.Errorf("%s: %d reports are kept", name, got)
		}
		if i.room.left != maxHeld {
			t.Errorf("%s: %d bytes are held still", name, maxHeld-i.room.left)
		}
	}
}

func TestMailThatIsNoReportIsLeftToTheNextHop(t *testing.T) {
	s := newStage(t, Settings{})
	if _, reply := s.deliver(strings.NewReader("Subject: hello\r\n\r\nNo report here.\r\n"), reportsAddress); reply.String() != taken.String() {
		t.Errorf("replied %v", reply)
	}
	s.Receiver.Close(t.Context())
	if !strings.Contains(s.log.String(), "was not taken in, the next hop has it") || !strings.Contains(s.log.String(), "not a TLS report") {
		t.Errorf("the log says %q", s.log)
	}
}

func TestWithOnlyTheReplyIsWhatBecameOfTheReport(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	broken, theirs := testreport.NewSigner(t, "broken.test"), october
	theirs.Submitter = broken.Domain
	names := testreport.Resolver(t, signer.Record(""))
	for name, tt := range map[string]struct {
		text  string
		fails error
		want  string
		kept  int
	}{
		"signed":            {signer.Sign(t, october.Mail()), nil, "250 2.0.0 report is kept", 1},
		"not signed":        {october.Mail(), nil, "250 2.0.0 report is kept", 1},
		"no report":         {"Subject: hello\r\n\r\nhello\r\n", nil, "550 5.6.0", 0},
		"the disk is full":  {october.Mail(), errors.New("disk full"), "451 4.3.0", 0},
		"too large to keep": {october.Mail(), ledger.ErrReportTooLarge, "552 5.3.4", 0},
		"key not to be had": {broken.Sign(t, theirs.Mail()), nil, "451 4.7.5", 0},
		"too long":          {october.Mail() + strings.Repeat("x", tlsrpt.MaxMailSize), nil, "552 5.3.4", 0},
	} {
		s := newStage(t, Settings{Only: true, Resolver: names})
		s.fails = tt.fails
		recipients, reply := s.deliver(strings.NewReader(tt.text), reportsAddress)
		if !slices.Equal(recipients, []int{250}) || !strings.HasPrefix(reply.String(), tt.want) {
			t.Errorf("%s: recipients %v, replied %v; want %s", name, recipients, reply, tt.want)
		}
		if got := len(s.reports()); got != tt.kept {
			t.Errorf("%s: %d reports are kept, want %d", name, got, tt.kept)
		}
		if want := []string{"MAIL", "RSET"}; !slices.Equal(s.next.said, want) {
			t.Errorf("%s: the next hop heard %q, want %q", name, s.next.said, want)
		}
		if s.room.left != maxHeld {
			t.Errorf("%s: %d bytes are held still", name, maxHeld-s.room.left)
		}
	}
}

// Else one reply had to speak for two that may differ.
func TestWithOnlyReportsComeInMessagesOfTheirOwn(t *testing.T) {
	s := newStage(t, Settings{Only: true})
	if recipients, reply := s.deliver(strings.NewReader(october.Mail()), reportsAddress, "ann@ours.example"); !slices.Equal(recipients, []int{250, 452}) || reply.Code != 250 {
		t.Errorf("recipients %v, replied %v", recipients, reply)
	}
	if recipients, reply := s.deliver(strings.NewReader(october.Mail()), "ann@ours.example", reportsAddress); !slices.Equal(recipients, []int{250, 452}) || reply.String() != taken.String() {
		t.Errorf("recipients %v, replied %v", recipients, reply)
	}
	s.next.refuses = "bob@ours.example"
	if recipients, _ := s.deliver(strings.NewReader(october.Mail()), "bob@ours.example", reportsAddress); !slices.Equal(recipients, []int{550, 250}) {
		t.Errorf("recipients %v; the first was refused, so the report is alone", recipients)
	}
	if got := len(s.reports()); got != 2 {
		t.Errorf("%d reports are kept, want 2", got)
	}
}

// Mail goes on however many reports come at once.
func TestFloodOfReportsHoldsUpNoMail(t *testing.T) {
	s := newStage(t, Settings{Resolver: "127.0.0.1:1"})
	for range cap(s.reading) {
		s.reading <- struct{}{} // nobody reads
	}
	const room = 4 << 20
	s.room.left = room
	large := october.Mail() + strings.Repeat("x", 100<<10)
	for n := range 100 {
		if _, reply := s.deliver(strings.NewReader(large), reportsAddress); reply.String() != taken.String() {
			t.Fatalf("message %d: %v", n, reply)
		}
		if s.room.left < 0 {
			t.Fatalf("%d bytes are held", room-s.room.left)
		}
	}
	if len(s.next.texts) != 100 {
		t.Errorf("the next hop has %d messages of 100", len(s.next.texts))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.Receiver.Close(ended)
	s.working.Wait()
	if said := strings.Count(s.log.String(), "was not taken in, the next hop has it"); said != 100 || len(s.reports()) != 0 {
		t.Errorf("the log tells of %d, want 100", said)
	}
	if s.room.left != room {
		t.Errorf("%d bytes are held still", room-s.room.left)
	}
}

func TestHeldGrowsWithWhatComes(t *testing.T) {
	r := &room{left: maxHeld}
	h := &held{room: r}
	fmt.Fprint(h, "hello")
	if took := maxHeld - r.left; took != least {
		t.Errorf("5 bytes take %d", took)
	}
	for range 20 {
		h.Write(make([]byte, 1<<20))
	}
	if !errors.Is(h.lost, tlsrpt.ErrTooLarge) || r.left != maxHeld {
		t.Errorf("20 MiB: %v, %d bytes are held", h.lost, maxHeld-r.left)
	}
	h.free()
	if r.left != maxHeld {
		t.Errorf("given back twice: %d", r.left)
	}
}

func TestKeyIsAskedForAgainWhereTheMailIsSafe(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	_, key, _ := strings.Cut(strings.TrimSuffix(signer.Record(""), `"`), `"`)
	silent := &net.DNSError{Err: "no answer", IsTimeout: true, IsTemporary: true}
	for name, tt := range map[string]struct {
		failures int
		trusted  bool
		after    time.Duration
	}{
		"at once":            {0, true, 0},
		"the second time":    {1, true, again},
		"until it is enough": {attempts, false, (attempts - 1) * again},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, Settings{})
			asked := 0
			s.keys.texts = func(context.Context, string) ([]string, error) {
				if asked++; asked <= tt.failures {
					return nil, silent
				}
				return []string{key}, nil
			}
			began := time.Now()
			s.deliver(strings.NewReader(signer.Sign(t, october.Mail())), reportsAddress)
			<-s.new
			if r := s.reports()[0]; r.Verified != tt.trusted || time.Since(began) != tt.after {
				t.Errorf("%s: trusted %v after %v, %q", name, r.Verified, time.Since(began), r.Verdict)
			}
		})
	}
}
