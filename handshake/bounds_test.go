package handshake

import (
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile are streams that try to make a recorder hold more.
func hostile() map[string][]piece {
	greedy := &ClientHello{ // each list is as long as its place allows
		Version: 0x0303, ALPN: slices.Repeat([]string{"x"}, 1000), SessionID: true,
		Extensions: []Extension{extALPN, extSupportedGroups, extSignatureAlgorithms, extKeyShare, extALPN, extSupportedGroups},
		Groups:     make([]Group, 500), Signatures: make([]SignatureScheme, 500),
	}
	greedy.Suites = make([]Suite, (maxClientHello-len(helloBody(greedy)))/2-1)
	named := &ClientHello{Version: 0x0303, Suites: []Suite{0x1301}, Extensions: []Extension{extServerName}, ServerName: strings.Repeat("x", 60_000)}
	endless := records(message(1, make([]byte, maxClientHello)))
	return map[string][]piece{
		"the longest ClientHello that is kept, and all messages": {
			client(records(message(1, helloBody(greedy)))), serve(serverHello(aes128, false)), serve(slices.Repeat(sealed(100), 1000))},
		"the longest name": {client(records(message(1, helloBody(named)))), serve(serverHello(aes128, false))},
		"a ClientHello and a ServerHello that do not end": {
			client(endless[:4000]), serve(record(22, message(2, make([]byte, maxServerHello))[:maxServerHello]))},
		"many small alerts": {client(slices.Repeat(record(21, []byte{1, 90}), 5000))},
		"many tickets":      {client(plainHello), serve(slices.Repeat(record(22, message(4, make([]byte, 400))), 1000))},
		"clear text":        {client(make([]byte, 1<<20)), serve(make([]byte, 1<<20))},
		"one record after another": {
			client(plainHello), serve(serverHello(aes128, false)), client(slices.Repeat(sealed(1<<14), 100))},
	}
}

func TestRecorderHoldsNoMoreThanMaxMemory(t *testing.T) {
	const count = 200
	for name, pieces := range hostile() {
		held := make([]any, 0, 2*count)
		before := heap()
		for range count {
			r := recorded(AtServer, pieces...)
			held = append(held, r, r.Transcript())
		}
		each := (heap() - before) / count
		runtime.KeepAlive(held)
		t.Logf("%s: %d bytes with its transcript", name, each)
		if each > maxMemory {
			t.Errorf("%s: a recorder and its transcript hold %d bytes", name, each)
		}
	}
}

// A ClientHello that does not end takes about as much memory as arrived of it.
func TestUnfinishedClientHelloHoldsWhatArrived(t *testing.T) {
	const count = 50
	all := records(message(1, make([]byte, maxClientHello)))
	for _, arrived := range []int{20, 10_000, len(all) - 1} {
		held := make([]*Recorder, 0, count)
		before := heap()
		for range count {
			r := NewRecorder(AtServer, time.Unix(1e9, 0))
			for b := range slices.Chunk(all[:arrived], 1000) {
				r.Feed(Client, b, time.Unix(1e9, 0))
			}
			held = append(held, r)
		}
		each := (heap() - before) / count
		runtime.KeepAlive(held)
		if limit := int64(maxMemory/2 + arrived*3/2); each > limit {
			t.Errorf("after %d bytes a recorder holds %d, more than %d", arrived, each, limit)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The figure of the package's documentation.
func TestHealthyHandshakeHoldsLittle(t *testing.T) {
	const count = 200
	held := make([]*Recorder, 0, count)
	before := heap()
	for range count {
		held = append(held, recorded(AtServer, client(plainHello), full(aes128, 36), client(sealed(36)), serve(sealed(120), sealed(40))))
	}
	each := (heap() - before) / count
	runtime.KeepAlive(held)
	t.Logf("%d bytes", each)
	if each > 4<<10 {
		t.Errorf("a healthy handshake holds %d bytes", each)
	}
}

// sink is a conn that every Read and Write succeeds on.
type sink struct{ net.Conn }

func (sink) Read(b []byte) (int, error)  { return len(b), nil }
func (sink) Write(b []byte) (int, error) { return len(b), nil }
func (sink) LocalAddr() net.Addr         { return nil }
func (sink) RemoteAddr() net.Addr        { return nil }

// A transcript that Stop returned does not change when a write ends late.
func TestLateEndOfAWriteChangesNothing(t *testing.T) {
	near, far := net.Pipe()
	c := NewConn(far, AtServer)
	c.Begin()
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(changeCipherSpec)
		done <- err
	}()
	near.Read(make([]byte, 1)) // so the Write has begun
	transcript := c.Stop(UseNone)
	far.SetWriteDeadline(time.Unix(1, 0))
	if err := <-done; err == nil {
		t.Fatal("all was written")
	}
	checkOutline(t, transcript, "< CCS\nopen, completed false, unused")
}

// Before Begin and after Stop bytes pass unchanged and nothing is allocated.
func TestConnThatDoesNotRecordCostsNoAllocation(t *testing.T) {
	c := NewConn(sink{}, AtServer)
	b := make([]byte, 64)
	pass := func() { c.Write(b); c.Read(b) }
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations before Begin", n)
	}
	if c.ClientHello() != nil || c.Stop(UseNone) != nil {
		t.Error("something is recorded before Begin")
	}
	c.Begin()
	pass()
	if transcript := c.Stop(UseData); transcript == nil || transcript.Use != UseData || len(transcript.Messages) == 0 {
		t.Errorf("transcript %+v", transcript)
	}
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations after Stop", n)
	}
	if c.Stop(UseNone) != nil {
		t.Error("something is recorded after Stop")
	}
}
