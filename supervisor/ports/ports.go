// Package ports says which TCP ports and sockets an instance may have: a free one that no
// other instance has, or its fixed one when no other process listens there.
package ports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/watchdogd/watchdogd/internal/holder"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/schema"
)

// Set gives each instance a port that no other instance of this supervisor has.
// Between the choice and the child's own bind another process may still take it; a child
// that ends because of that is told from one that crashed by asking Taken. The zero Set is empty.
type Set struct {
	mu    sync.Mutex
	held  map[int]chan struct{} // closed when the port is given back
	quiet [2]int                // from and to; 0 until asked
}

// Choose returns a port that is free now, until Release. It lies outside of those that
// the system uses for outgoing connections, ours to upstreams among them, so that none
// of these takes it before the child does.
func (p *Set) Choose() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet[1] == 0 {
		p.quiet = quietPorts()
	}
	low, high := p.quiet[0], p.quiet[1]
	for range 1000 {
		port := low + rand.IntN(high-low+1)
		if _, ok := p.held[port]; !ok && Taken("", port) == nil {
			p.hold(port)
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d was found in 1000 tries", low, high)
}

// Claim takes a fixed port until Release. While another instance of ours has it, it
// calls waits, and waits until that one is gone or stop is closed; it reports false then.
func (p *Set) Claim(port int, stop <-chan struct{}, waits func()) bool {
	for {
		p.mu.Lock()
		given, ok := p.held[port]
		if !ok {
			p.hold(port)
			p.mu.Unlock()
			return true
		}
		p.mu.Unlock()
		waits()
		select {
		case <-given:
		case <-stop:
			return false
		}
	}
}

func (p *Set) hold(port int) {
	if p.held == nil {
		p.held = map[int]chan struct{}{}
	}
	p.held[port] = make(chan struct{})
}

// Release gives back a port that Choose or Claim took.
func (p *Set) Release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if given, ok := p.held[port]; ok {
		delete(p.held, port)
		close(given)
	}
}

// Taken returns nil when host:port can be listened on, and otherwise a sentence that
// names the process that has it, if that can be found.
func Taken(host string, port int) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		return l.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if who := holder.Name(holder.OfPort(port)); who != "" {
			return fmt.Errorf("port %d is taken by %s: end it, or choose another port", port, who)
		}
		return fmt.Errorf("port %d is taken by another process: end it, or choose another port", port)
	}
	return nil // not our address to judge; the child will say
}

// quietPorts is a range that the kernel chooses no port from by itself.
func quietPorts() [2]int {
	var low, high int
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(data), &low, &high)
	}
	switch {
	case err != nil: // not Linux
		return [2]int{20000, 32767}
	case low > 12000:
		return [2]int{10000, low - 1}
	case high < 63000:
		return [2]int{high + 1, 65535}
	}
	return [2]int{10000, 65535}
}

// RemoveStale removes the socket at which an instance is to listen, if it is one that a
// killed life has left: most servers cannot listen where a file stands. A socket that
// is served and a file of another kind stay; the child will say.
func RemoveStale(u schema.Endpoint) {
	if u.Network == "unix" {
		_ = listen.RemoveStale(u.Address) // as above
	}
}

// Split returns host and port of an address of TCP.
func Split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is not a port: it is a number from 1 to 65535", text)
	}
	return host, int(n), nil
}
