// Package probe asks an instance whether it is ready or alive: by a connection, an HTTP
// request, a line of its output, or a program of its own.
package probe

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

// Probe asks one thing of an instance.
type Probe struct {
	schema.Probe
	program *child.Program // exec
}

// Target is the instance that a probe asks.
type Target struct {
	Vars    schema.Vars
	Address *Address                       // where it listens; nil when it serves no upstream
	Said    <-chan struct{}                // closed when a line of its output matched Line
	Environ func() (below, above []string) // what an exec probe's environment has besides, see child.Program.Command
	Child   *child.Child                   // beside which an exec probe runs
	Answer  func(error)                    // told each answer that is not yes, while UntilReady asks; may be nil
}

func (t *Target) listens() bool { return t.Address != nil }

// New prepares p, which is not empty, for the process called name.
func New(name string, p schema.Probe, of *schema.Process) (*Probe, error) {
	pr := &Probe{Probe: p}
	var err error
	switch {
	case p.Log != "":
		if _, err := pr.Line(schema.Vars{Port: 1, Name: name}); err != nil {
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

// Name is what is asked of t, for messages.
func (p *Probe) Name(t *Target) string {
	switch {
	case p.Log != "":
		return "log " + p.Log.Expand(t.Vars)
	case p.program != nil:
		return "exec"
	case p.HTTP != "":
		return "http " + p.HTTP.Expand(t.Vars)
	}
	_, address := p.address(t)
	return "tcp " + address
}

// AsksOwn reports whether the probe connects to where the instance itself should listen.
func (p *Probe) AsksOwn() bool {
	return p.TCP == "${PORT}" || strings.HasPrefix(string(p.HTTP), "/")
}

// Line is what a line of output must match for a log probe.
func (p *Probe) Line(v schema.Vars) (*regexp.Regexp, error) { return regexp.Compile(p.Log.Expand(v)) }

// Pauses between two questions while an instance starts: 10 ms for the first second,
// then longer and longer.
const (
	firstPause = 10 * time.Millisecond
	quickFor   = time.Second
	slowPause  = 250 * time.Millisecond
)

// UntilReady asks until the answer is yes, and returns nil, or until ctx ends.
func (p *Probe) UntilReady(ctx context.Context, t *Target) error {
	began, wait := time.Now(), firstPause
	for {
		err := p.Ask(ctx, t)
		if err == nil {
			return nil
		}
		if end, bound := ctx.Deadline(); t.Answer != nil && ctx.Err() == nil && (!bound || time.Until(end) > slowPause) {
			t.Answer(err)
		}
		if time.Since(began) > quickFor {
			wait = min(wait*3/2, max(slowPause, firstPause))
		}
		if _, answered := errors.AsType[*refusal](err); p.AsksOwn() && !answered {
			t.Address.Other()
		}
		if !sleep.For(ctx, wait) {
			t.Address.Reset()
			return fmt.Errorf("%s: %w", p.Name(t), err)
		}
	}
}

// Ask asks once. A nil error is yes.
func (p *Probe) Ask(ctx context.Context, t *Target) error {
	if p.Log != "" {
		select {
		case <-t.Said:
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
		return p.run(ctx, t)
	case p.HTTP != "":
		return p.get(ctx, t, p.HTTP.Expand(t.Vars))
	}
	network, address := p.address(t)
	err := dial(ctx, network, address)
	if port, here := strings.CutPrefix(address, "127.0.0.1:"); err != nil && here && p.anyLoopback(t) && dial(ctx, "tcp", "[::1]:"+port) == nil {
		return nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err // Name says whom we dialed
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
func (p *Probe) anyLoopback(t *Target) bool {
	return strings.HasPrefix(string(p.TCP), ":") || p.TCP == "${PORT}" && !t.listens()
}

// address is where a tcp probe connects to.
func (p *Probe) address(t *Target) (network, address string) {
	network, address = "tcp", p.TCP.Expand(t.Vars)
	if p.TCP == "${PORT}" {
		if t.listens() {
			u := t.Address.Endpoint()
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
func (p *Probe) get(ctx context.Context, t *Target, target string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	if strings.HasPrefix(target, "/") {
		if !t.listens() {
			return errors.New("a path needs an upstream")
		}
		u := t.Address.Endpoint()
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
	head, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what could be read says enough
	_, _ = io.CopyN(io.Discard, resp.Body, 63<<10)          // the status is the answer
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return &refusal{resp.StatusCode, string(head)}
	}
	return nil
}

// refusal is an answer of HTTP that is not yes.
type refusal struct {
	status int
	body   string // its beginning
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d", r.status) }

// Said is what an answer that is not yes says: in one word or two, and for HTTP the
// first line of its body, which may be private.
func Said(err error) (answer, body string) {
	if r, ok := errors.AsType[*refusal](err); ok {
		body, _, _ = strings.Cut(strings.TrimSpace(r.body), "\n")
	}
	return err.Error(), body
}

// run starts the probe's program with the instance's environment. Exit status 0 is yes.
func (p *Probe) run(ctx context.Context, t *Target) error {
	below, above := t.Environ()
	command, err := p.program.Command(t.Vars, below, above)
	if err != nil {
		return err
	}
	c, err := p.program.Start(child.StartOptions{Command: &command, Beside: t.Child})
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
