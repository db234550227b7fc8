package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// probe asks one thing of an instance.
type probe struct {
	schema.Probe
	program *child.Program // exec
}

// newProbe prepares p, which is not empty, for the process called name.
func newProbe(name string, p schema.Probe, of *schema.Process) (*probe, error) {
	pr := &probe{Probe: p}
	var err error
	switch {
	case p.Log != "":
		if _, err := pr.line(schema.Vars{Port: 1, Name: name}); err != nil {
			return nil, fmt.Errorf("the regular expression of the log probe: %w", err)
		}
	case !p.Exec.Empty():
		asks := *of
		asks.FProcess = p.Exec
		asks.Shell = len(p.Exec.Words) == 0
		if pr.program, err = child.NewProgram(name, &asks); err != nil {
			return nil, fmt.Errorf("exec probe: %w", err)
		}
	}
	return pr, nil
}

// name is what is asked of i, for messages.
func (p *probe) name(i *Instance) string {
	switch {
	case p.Log != "":
		return "log " + p.Log.Expand(i.vars())
	case p.program != nil:
		return "exec"
	case p.HTTP != "":
		return "http " + p.HTTP.Expand(i.vars())
	}
	_, address := p.address(i)
	return "tcp " + address
}

// asksOwn reports whether the probe connects to where the instance itself should listen.
func (p *probe) asksOwn() bool {
	return p.TCP == "${PORT}" || strings.HasPrefix(string(p.HTTP), "/")
}

// line is what a line of output must match for a log probe.
func (p *probe) line(v schema.Vars) (*regexp.Regexp, error) { return regexp.Compile(p.Log.Expand(v)) }

// Pauses between two questions while an instance starts: 10 ms for the first second,
// then longer and longer.
const (
	firstPause = 10 * time.Millisecond
	quickFor   = time.Second
	slowPause  = 250 * time.Millisecond
)

// untilReady asks until the answer is yes, and returns nil, or until ctx ends.
func (p *probe) untilReady(ctx context.Context, i *Instance) error {
	began, wait := time.Now(), firstPause
	for {
		err := p.ask(ctx, i)
		if err == nil {
			return nil
		}
		if time.Since(began) > quickFor {
			wait = min(wait*3/2, max(slowPause, firstPause))
		}
		if p.asksOwn() {
			i.otherLoopback()
		}
		if !sleep.For(ctx, wait) {
			i.six.Store(false)
			return fmt.Errorf("%s: %w", p.name(i), err)
		}
	}
}

// ask asks once. A nil error is yes.
func (p *probe) ask(ctx context.Context, i *Instance) error {
	if p.Log != "" {
		select {
		case <-i.said:
			return nil
		case <-ctx.Done():
			return errors.New("no line of its output has matched yet")
		}
	}
	timeout := p.Timeout.D()
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case p.program != nil:
		return p.run(ctx, i)
	case p.HTTP != "":
		return p.get(ctx, i, p.HTTP.Expand(i.vars()))
	}
	network, address := p.address(i)
	err := dial(ctx, network, address)
	if port, here := strings.CutPrefix(address, "127.0.0.1:"); err != nil && here && p.anyLoopback(i) && dial(ctx, "tcp", "[::1]:"+port) == nil {
		return nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err // name says whom we dialed
	}
	return err
}

// dial reports whether something listens on address.
func dial(ctx context.Context, network, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// anyLoopback reports whether a tcp probe names a port of this host and no address.
func (p *probe) anyLoopback(i *Instance) bool {
	return strings.HasPrefix(string(p.TCP), ":") || p.TCP == "${PORT}" && !i.spec.Listens
}

// address is where a tcp probe connects to.
func (p *probe) address(i *Instance) (network, address string) {
	network, address = "tcp", p.TCP.Expand(i.vars())
	if p.TCP == "${PORT}" {
		if u := i.Upstream(); i.spec.Listens {
			network, address = u.Network, u.Address
		} else {
			address = net.JoinHostPort("127.0.0.1", address)
		}
	} else if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	} else if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	return network, address
}

// get asks for a path on the instance's upstream, or a URL. Any status from 200 to 399
// is yes.
func (p *probe) get(ctx context.Context, i *Instance, target string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	if strings.HasPrefix(target, "/") {
		u := i.Upstream()
		if !i.spec.Listens {
			return errors.New("a path needs an upstream")
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, u.Network, u.Address)
		}
		if u.H2C {
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		target = u.URL() + target
	} else if _, err := url.Parse(target); err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "watchdogd-probe")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // the status is the answer
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// run starts the probe's program with the instance's environment. Exit status 0 is yes.
func (p *probe) run(ctx context.Context, i *Instance) error {
	below, above := i.environ()
	command, err := p.program.Command(i.vars(), below, above)
	if err != nil {
		return err
	}
	c, err := p.program.Start(child.StartOptions{Command: &command, Beside: i.child})
	if err != nil {
		return err
	}
	defer c.Kill()
	exit, err := c.Wait(ctx)
	if err != nil {
		return errors.New("it did not end in time")
	}
	if !exit.OK() {
		return errors.New(exit.String())
	}
	return nil
}
