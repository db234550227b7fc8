package swarm

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const label = "watchdogd.function"

// newEngine is an engine with one overlay network, the loopback, which all share.
func newEngine(t testing.TB) *enginetest.Engine {
	t.Helper()
	e := enginetest.New()
	t.Cleanup(e.Close)
	e.PutNetwork(enginetest.Network{ID: "net1", Name: "functions", Subnet: "127.0.0.0/8"})
	e.PutNetwork(enginetest.Network{ID: "net2", Name: "elsewhere", Subnet: "10.9.9.0/24"})
	return e
}

// service is a function of an engine.
func service(id, name string, replicas int, labels ...string) *enginetest.Service {
	s := &enginetest.Service{ID: id, Name: name, Replicas: replicas, Networks: []string{"net1"}, Labels: map[string]string{label: "true"}}
	for i := 0; i+1 < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	return s
}

// running is a task at an address of the loopback.
func running(id, address string) enginetest.Task {
	return enginetest.Task{ID: id, State: "running", Network: "net1", Address: address + "/8", At: time.Now()}
}

// followed is a Swarm that runs until the test ends.
type followed struct {
	*Swarm
	mu    sync.Mutex
	names map[string]int // how many times each name came
	stop  func()
}

// newClient is a client of an engine.
func newClient(t testing.TB, host string) *engine.Client {
	t.Helper()
	c, err := engine.New(host, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// follow runs a Swarm on an engine, and waits until it has listed the services.
func follow(t testing.TB, host string) *followed { return followAs(t, host, "gateway") }

// followAs is follow of one of several gateways.
func followAs(t testing.TB, host, id string) *followed {
	t.Helper()
	return followWith(t, host, id, time.Hour)
}

// followWith is followAs of a gateway that waits so long for the one that holds the lease.
func followWith(t testing.TB, host, id string, patience time.Duration) *followed {
	t.Helper()
	f := &followed{names: map[string]int{}}
	f.Swarm = New(Options{
		Engine: newClient(t, host), Label: label, ID: id, Log: slog.New(slog.DiscardHandler),
		Prefixes: func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil },
		Changed: func(gone []string, come []*Function) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, name := range gone {
				delete(f.names, name)
			}
			for _, fn := range come {
				f.names[fn.Settings().Name]++
			}
		},
	})
	f.unheard = patience
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(ctx) // its end is asked for
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(f.stop)
	testkit.Eventually(t, "the services listed", func() bool { return f.Ready() == nil })
	return f
}

// told reports how many times a name came since it went.
func (f *followed) told(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[name]
}

// listen accepts connections at a port of an address of the loopback.
func listen(t testing.TB, ip string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

// addresses are where a function has tasks that take calls.
func addresses(s *Swarm, name string) []string {
	f := s.Function(name)
	if f == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.addresses()
}
