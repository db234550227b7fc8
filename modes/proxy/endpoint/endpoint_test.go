package endpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// conns stands for the connections to an endpoint.
type conns struct{ closed atomic.Bool }

func (c *conns) Close() error { c.closed.Store(true); return nil }

func newSet(t *testing.T, o Options) *Set {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Network, o.Make = "tcp", func(string) io.Closer { return new(conns) }
	s := New(o)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func acquire(t *testing.T, s *Set, tried ...*Endpoint) *Endpoint {
	t.Helper()
	e, err := s.Acquire(t.Context(), tried)
	if err != nil {
		t.Fatalf("got %v, want an endpoint", err)
	}
	return e
}

var three = []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}

func TestCallsOneAfterTheOtherAreSpreadEvenly(t *testing.T) {
	s := newSet(t, Options{Addresses: three})
	calls := map[string]int{}
	for range 3000 {
		e := acquire(t, s)
		calls[e.Address]++
		e.Release(true)
	}
	for _, a := range three {
		if calls[a] < 900 || calls[a] > 1100 {
			t.Errorf("%s: got %d of 3000 calls, want about 1000", a, calls[a])
		}
	}
}

func TestTheEndpointWithTheFewestCallsGetsTheNext(t *testing.T) {
	s := newSet(t, Options{Addresses: three})
	first, second, third := acquire(t, s), acquire(t, s), acquire(t, s)
	if first == second || second == third || first == third {
		t.Errorf("got %s, %s and %s, want one call each", first.Address, second.Address, third.Address)
	}
	second.Release(true)
	if next := acquire(t, s); next != second {
		t.Errorf("got %s, want %s, which has no call", next.Address, second.Address)
	}
}

func TestAnEndpointThatFailsIsLeftOutLongerEachTimeAndComesBackByOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, Options{Addresses: three[:2]})
		bad := acquire(t, s)
		bad.Release(false)
		bad.Fails(errors.New("connection refused"))
		for _, pause := range []time.Duration{firstOut, 2 * firstOut, 4 * firstOut} {
			time.Sleep(pause - time.Millisecond)
			if e := acquire(t, s); e == bad {
				t.Fatalf("got the endpoint that failed %v ago, want the other", pause-time.Millisecond)
			} else {
				e.Release(true)
			}
			time.Sleep(2 * time.Millisecond)
			trial := acquire(t, s)
			if trial != bad {
				t.Fatalf("after %v: got %s, want a call that tries %s", pause, trial.Address, bad.Address)
			}
			if e := acquire(t, s); e == bad {
				t.Errorf("got a second call for an endpoint that one tries already")
			} else {
				e.Release(true)
			}
			trial.Release(false)
			trial.Fails(errors.New("connection refused"))
		}
		time.Sleep(mostOut)
		trial := acquire(t, s)
		trial.Release(true)
		if all, _ := s.Status(); all[0].State != "ready" || all[1].State != "ready" {
			t.Errorf("got %+v, want both ready after a call that was answered", all)
		}
	})
}

func TestWhereAllAreLeftOutACallStillTriesOne(t *testing.T) {
	s := newSet(t, Options{Addresses: three[:1]})
	e := acquire(t, s)
	e.Release(false)
	e.Fails(errors.New("connection refused"))
	if again := acquire(t, s); again != e {
		t.Errorf("got %v, want the only endpoint", again)
	}
	if _, err := s.Acquire(t.Context(), []*Endpoint{e}); !errors.Is(err, ErrNone) {
		t.Errorf("got %v for a call that tried it, want ErrNone", err)
	}
}

func TestAProbeLeavesAnEndpointOutUntilItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ill atomic.Bool
		ill.Store(true)
		s := newSet(t, Options{Addresses: three[:2], Interval: time.Second, Failures: 3, Probe: func(_ context.Context, address string) error {
			if address == three[0] && ill.Load() {
				return errors.New("GET /healthz: 500")
			}
			return nil
		}})
		acquire(t, s).Release(true) // probes begin with the first call
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		all, _ := s.Status()
		if all[0].State != "left-out" || !strings.Contains(all[0].Reason, "its probe fails: GET /healthz: 500") || all[1].State != "ready" {
			t.Errorf("got %+v, want the first left out by its probe", all)
		}
		for range 5 {
			time.Sleep(mostOut)
			if e := acquire(t, s); e.Address == three[0] {
				t.Errorf("got a call for an endpoint whose probe fails")
			} else {
				e.Release(true)
			}
		}
		ill.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if all, _ := s.Status(); all[0].State != "ready" {
			t.Errorf("got %+v, want it back when its probe succeeds", all)
		}
		_ = s.Close()
	})
}

// dns is a name server over TCP whose answer can be changed.
type dns struct {
	mu     sync.Mutex
	ips    []string
	status dnsmessage.RCode
}

func (d *dns) set(status dnsmessage.RCode, ips ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.ips = status, ips
}

// resolver starts the name server, and returns what asks it.
func (d *dns) resolver(t *testing.T) *net.Resolver {
	l := testkit.Listen(t)
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = l.Close() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { d.serve(c) })
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}}
}

func (d *dns) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	for {
		var length uint16
		if binary.Read(c, binary.BigEndian, &length) != nil {
			return
		}
		query := make([]byte, length)
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(query) != nil {
			return
		}
		d.mu.Lock()
		m.Response, m.RCode, m.Additionals = true, d.status, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, ip := range d.ips {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())},
				})
			}
		}
		d.mu.Unlock()
		answer, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(answer)))); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func addresses(s *Set) string {
	all, _ := s.Status()
	var list []string
	for _, e := range all {
		list = append(list, e.Address)
	}
	return strings.Join(list, " ")
}

func TestANameIsFollowedAndAnAddressThatLeavesItEndsWithItsLastCall(t *testing.T) {
	var d dns
	d.set(dnsmessage.RCodeSuccess, "10.0.0.1", "10.0.0.2")
	s := newSet(t, Options{Addresses: []string{"api.test.:80"}, Resolver: d.resolver(t)})
	one, two := acquire(t, s), acquire(t, s)
	if one == two {
		t.Fatalf("got %s twice, want both addresses of the name", one.Address)
	}
	if one.Address != "10.0.0.1:80" {
		one, two = two, one
	}
	d.set(dnsmessage.RCodeSuccess, "10.0.0.2", "10.0.0.3")
	testkit.Eventually(t, "the new addresses", func() bool { return addresses(s) == "10.0.0.2:80 10.0.0.3:80" })
	if one.Value.(*conns).closed.Load() {
		t.Errorf("the connections of a call in flight were closed")
	}
	one.Release(true)
	if !one.Value.(*conns).closed.Load() {
		t.Errorf("the connections of an address that left were kept after its last call")
	}
	if two.Value.(*conns).closed.Load() {
		t.Errorf("the connections of an address that stayed were closed")
	}
	two.Release(true)
}

func TestWhatANameServerAnswersIsASentence(t *testing.T) {
	var d dns
	var log testkit.Log
	d.set(dnsmessage.RCodeSuccess, "10.0.0.1")
	s := newSet(t, Options{Route: "api", Addresses: []string{"api.test.:80"}, Resolver: d.resolver(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	acquire(t, s).Release(true)

	d.set(dnsmessage.RCodeServerFailure)
	testkit.Eventually(t, "a name server that fails", func() bool { _, p := s.Status(); return strings.Contains(p, "is not resolved") })
	acquire(t, s).Release(true) // the address known so far

	d.set(dnsmessage.RCodeNameError)
	testkit.Eventually(t, "a name that does not exist", func() bool { _, p := s.Status(); return strings.Contains(p, "the name api.test. does not exist") })
	if _, err := s.Acquire(t.Context(), nil); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v, want that the name does not exist", err)
	}

	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("10.1.%d.%d", i/250, i%250+1))
	}
	d.set(dnsmessage.RCodeSuccess, many...)
	testkit.Eventually(t, "a name with 1000 addresses", func() bool { _, p := s.Status(); return strings.Contains(p, "1000 addresses, of which 256 are used") })
	if all, _ := s.Status(); len(all) != Most {
		t.Errorf("got %d endpoints, want %d", len(all), Most)
	}
	log.Await(t, "1000 addresses")
}

func TestWhyANameIsNotResolvedIsTheSameTextForTheSameReason(t *testing.T) {
	for _, c := range []struct {
		err   error
		known bool
		want  string
	}{
		{&net.DNSError{Err: "read udp 127.0.0.1:44170->127.0.0.1:53: i/o timeout", Name: "api.test", Server: "127.0.0.1:53", IsTimeout: true}, true,
			"the name api.test is not resolved: the name server 127.0.0.1:53 does not answer; the addresses known so far are kept"},
		{&net.DNSError{Err: "i/o timeout", Name: "api.test", IsTimeout: true}, false, "the name api.test is not resolved: no name server answers"},
		{&net.DNSError{Err: "server misbehaving", Name: "api.test", Server: "127.0.0.1:53"}, false,
			"the name api.test is not resolved: the name server 127.0.0.1:53 fails: server misbehaving"},
		{errors.New("too many open files"), false, "the name api.test is not resolved: too many open files"},
	} {
		if got := unresolved("api.test", c.err, c.known); got != c.want {
			t.Errorf("%v:\ngot  %q\nwant %q", c.err, got, c.want)
		}
	}
}

func TestTheReasonOfAnEndpointDoesNotRepeatItsAddress(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for err, want := range map[error]string{
		refused: "connect: connection refused",
		fmt.Errorf("its probe fails: %w", refused): "its probe fails: connect: connection refused",
		io.ErrUnexpectedEOF:                        "unexpected EOF",
	} {
		if got := reason(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

func TestEndpointsOfANameAreInTheOrderOfTheirAddresses(t *testing.T) {
	var d dns
	d.set(dnsmessage.RCodeSuccess, "10.0.0.10", "10.0.0.2", "10.0.0.100", "9.0.0.1")
	s := newSet(t, Options{Addresses: []string{"api.test.:80"}, Resolver: d.resolver(t)})
	acquire(t, s).Release(true)
	var got []string
	all, _ := s.Status()
	for _, e := range all {
		got = append(got, e.Address)
	}
	if want := []string{"9.0.0.1:80", "10.0.0.2:80", "10.0.0.10:80", "10.0.0.100:80"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestACallThatWaitsForTheFirstResolutionEndsWithItsClient(t *testing.T) {
	blocked := make(chan struct{})
	defer close(blocked)
	s := newSet(t, Options{Addresses: []string{"api.test.:80"}, Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-blocked:
		case <-ctx.Done():
		}
		return nil, errors.New("no name server")
	}}})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.Acquire(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the client", err)
	}
}
