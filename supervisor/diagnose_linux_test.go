package supervisor

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

type localClient bool

func (c localClient) Local() bool { return bool(c) }

func TestAServerThatListensElsewhereIsNamed(t *testing.T) {
	sup := newStack(t, server(t, "web", "elsewhere"))
	p := sup.Process("web")
	_, err := p.AcquireFor(t.Context(), bound, localClient(true))
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.NotReady {
		t.Fatalf("got %v, want a failure of kind NotReady", err)
	}
	st := p.Status()
	if len(st.Instances) != 1 || st.State != Starting {
		t.Fatalf("got %+v, want one instance that is starting", st)
	}
	_, address, _ := strings.Cut(f.Detail, "listens on ")
	address, rest, _ := strings.Cut(address, ",")
	want := " not on $PORT (" + strconv.Itoa(st.Instances[0].Port) + "): pass it on (--port ${PORT}) or write upstream: http://" + address
	if rest != want || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("got the detail %q, want it to end with %q", f.Detail, want)
	}
	if !strings.Contains(st.Reason, "listens on "+address) {
		t.Errorf("got the reason %q, want it to say where it listens", st.Reason)
	}
	// Others wait as long as they would.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.AcquireFor(ctx, bound, localClient(false)); failure.Of(err).Kind != failure.Gone {
		t.Errorf("got %v for a client that is elsewhere, want it to wait until it leaves", err)
	}
}

func TestAProgramThatEndsIsNotAServer(t *testing.T) {
	sup := newStack(t, server(t, "web", "exit 0"))
	_, err := sup.Process("web").AcquireFor(t.Context(), bound, localClient(true))
	if f := failure.Of(err); !strings.Contains(f.Detail, "exited with 0 before it listened") {
		t.Errorf("got %v, want it to say that the program ended before it listened", err)
	}
}

func TestTheCrashLoopRepeatsWhatWasPrinted(t *testing.T) {
	sup := newStack(t, server(t, "web", "complain"))
	p := sup.Process("web")
	sup.awaitState("web", CrashLoop)
	_, err := p.Acquire(t.Context(), bound)
	f := failure.Of(err)
	if f.Local != "the table is missing" {
		t.Errorf("got %q for clients on this machine, want what the program printed", f.Local)
	}
	if strings.Contains(f.Detail, "table") {
		t.Errorf("got the detail %q, want nothing in it of what the program printed", f.Detail)
	}
	if st := p.Status(); st.LastExit != "exit status 3: the table is missing" {
		t.Errorf("got the last exit %q, want it with what was printed", st.LastExit)
	}
}

// TestADaemonIsKnownWithoutItsMark is about those that write over their environment, as
// nginx and Redis do.
func TestADaemonIsKnownWithoutItsMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	for name, be := range map[string]string{"it bears the mark": "daemon " + file, "it does not": "daemon " + file + " unmarked"} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(file)
			spec := service(t, "web", be)
			spec.Process.Restart.Policy = "never"
			sup := newStack(t, spec)
			sup.awaitState("web", Exited)
			if why := sup.Process("web").Status().LastExit; !strings.HasPrefix(why, "went to the background: ") {
				t.Errorf("got %q, want it to say that the program went to the background", why)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if testprogram.Alive(testprogram.Atoi(t, string(data))) {
				t.Error("got a daemon that runs on, want it to be gone")
			}
		})
	}
}

func TestListenersAreFound(t *testing.T) {
	p := program(t, "serve")
	p.Env["PORT"] = "0"
	prog, err := child.NewProgram("api", p)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_ = r.SetReadDeadline(time.Now().Add(bound))
	c, err := prog.Start(child.StartOptions{Owner: child.NewOwner(), Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	testprogram.ReadLine(t, bufio.NewReader(r)) // it listens
	if found := c.Listeners(); len(found) != 1 || !strings.HasPrefix(found[0], "127.0.0.1:") {
		t.Errorf("got %v, want one address on the loopback", found)
	}
}

func TestAServerThatIsFoundOnAnotherPortIsShownThere(t *testing.T) {
	spec := server(t, "web", "elsewhere")
	spec.AnyPort = true
	p := newStack(t, spec).Process("web")
	i, err := p.Acquire(t.Context(), bound)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Release()
	_, want, _ := net.SplitHostPort(i.address.Endpoint().Address)
	if st := p.Status(); len(st.Instances) != 1 || strconv.Itoa(st.Instances[0].Port) != want || st.Instances[0].Port == i.port {
		t.Errorf("got %+v, want the port %s and not %d", st.Instances, want, i.port)
	}
}
