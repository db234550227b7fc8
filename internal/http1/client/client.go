// Package client is the client side of HTTP/1.1 (RFC 9112) for handlers that forward bytes.
// It is synchronous: a call writes its request and reads the response in its own goroutine,
// and a connection without a call costs a descriptor and nothing else.
//
//	c := client.New("tcp", "127.0.0.1:5000", log)
//	conn := c.Idle(client.MaxIdle) // or, where there is none, c.Dial(ctx)
//	conn.Write(request)
//	conn.ReadHead(&head)
//	body.Start(conn, &head, method)
//	for p, err := body.Next(true); ...
//	c.Put(conn, head.KeepAlive, false) // or conn.Close()
package client

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Client is a set of connections to one upstream, each used by one call at a time.
type Client struct {
	// Patience is that of NewDialer. It is set before the first call.
	Patience time.Duration

	network, address string
	log              *slog.Logger

	hasty   atomic.Int64 // when a connection was found closed that had just been used and was to be kept; Unix nanoseconds
	unasked atomic.Int64 // when bytes that no request had asked for were found on a connection; Unix nanoseconds
	cramped atomic.Bool  // connections that settled kept another one from being served

	mu     sync.Mutex
	idle   []*Conn // the longest idle first
	aside  []*Conn // the same; not used before they have been quiet for settling
	closed bool
	sweep  *time.Timer // runs while a connection is idle
}

const (
	// DialTimeout is how long a connection may take to be made.
	DialTimeout = 10 * time.Second
	// MaxIdle is how long a connection may wait for its next call; upstreams that close
	// theirs earlier may say so by Keep-Alive.
	MaxIdle = 60 * time.Second
	// Fresh is how recently a connection must have been used to carry a request that cannot
	// be sent twice. uvicorn and Node.js close connections that were idle for 5 seconds,
	// gunicorn's threads after 2, and a request that crosses that close on its way is lost.
	Fresh = time.Second
	// wary is for how long an upstream that closed a fresh connection without having said so
	// gets such requests on new connections only. Apache's event MPM does that when its
	// workers are all busy, and nginx when it reloads: for more than one connection in a row.
	wary = time.Minute
	// crowding is how long a new connection waits for its first answer before connections
	// that are idle for as long are suspected to be in its way: Python's
	// http.server.HTTPServer, with protocol_version HTTP/1.1, serves one connection at a time.
	crowding = 100 * time.Millisecond
	// settling is how long a connection stays unused after a response whose end the upstream
	// may see elsewhere: the body that a handler of Python's http.server writes for a HEAD, or
	// behind a 204, would be taken for the next call's answer. What comes in this time ends
	// the connection.
	settling = time.Second
	// distrust is for how long each connection of an upstream that sent bytes which no request
	// had asked for settles after each response, and none is used again where a body may follow.
	distrust = time.Minute
	// mostAside is how many connections of one upstream may settle at a time; others are
	// closed.
	mostAside = 128
)

// New returns a client of the upstream at address.
func New(network, address string, log *slog.Logger) *Client {
	return &Client{network: network, address: address, log: log}
}

// Idle takes the connection that was used last, if one was used within maxIdle
// and is still good.
func (cl *Client) Idle(maxIdle time.Duration) *Conn {
	now := time.Now()
	for {
		cl.mu.Lock()
		if len(cl.aside) > 0 {
			cl.settle(now)
		}
		last := len(cl.idle) - 1
		if last < 0 {
			cl.mu.Unlock()
			return nil
		}
		c := cl.idle[last]
		if now.Sub(c.usable) > maxIdle {
			cl.mu.Unlock()
			cl.closeIdle(maxIdle) // and the others are older; see MakeRoom
			return nil
		}
		cl.idle[last] = nil
		cl.idle = cl.idle[:last]
		cl.mu.Unlock()
		good := now.Before(c.expires)
		if good {
			var sent bool
			if good, sent = c.quiet(); sent {
				cl.SentUnasked()
			}
		}
		if good {
			c.Reused = true
			c.Borrow()
			return c
		}
		cl.Lost(c)
		_ = c.Close() // it is of no use any more
	}
}

// settle moves the connections that have been quiet for long enough to the idle ones,
// which are in the order in which they could be used. It is called with cl.mu held.
func (cl *Client) settle(now time.Time) {
	n := 0
	for _, c := range cl.aside {
		if now.Before(c.usable) {
			break
		}
		at, _ := slices.BinarySearchFunc(cl.idle, c.usable, func(c *Conn, t time.Time) int { return c.usable.Compare(t) })
		cl.idle = slices.Insert(cl.idle, at, c)
		n++
	}
	cl.aside = slices.Delete(cl.aside, 0, n)
}

// Lost notes that the upstream has closed an idle connection by the time it is used.
func (cl *Client) Lost(c *Conn) {
	if now := time.Now(); now.Before(c.expires) && now.Sub(c.idleSince) < Fresh {
		cl.hasty.Store(now.UnixNano())
	}
}

// Keeps reports whether the upstream keeps connections for as long as it says.
func (cl *Client) Keeps() bool {
	at := cl.hasty.Load()
	return at == 0 || time.Since(time.Unix(0, at)) > wary
}

// MakeRoom closes idle connections for as long as c waits for its first answer: a server
// that serves one connection at a time waits for the next request on an idle one and never
// looks at c (see crowding). The function that it returns ends that.
func (cl *Client) MakeRoom(c *Conn) (stop func()) {
	var again *time.Timer
	made := make(chan struct{})
	again = time.AfterFunc(crowding, func() {
		<-made
		if !c.answered.Load() {
			cl.clear(crowding)
			again.Reset(crowding)
		}
	})
	close(made)
	return func() {
		c.answered.Store(true) // if it is being seen to just now
		again.Stop()
	}
}

// closeIdle closes the connections that were idle for longer than that.
func (cl *Client) closeIdle(longer time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.keepIdle(func(c *Conn) bool { return time.Since(c.usable) <= longer })
}

// clear closes the connections that were without a call for longer than that, also
// those that settle.
func (cl *Client) clear(longer time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	settled := len(cl.aside)
	cl.keepIdle(func(c *Conn) bool { return time.Since(c.idleSince) <= longer })
	if len(cl.aside) < settled {
		cl.cramped.Store(true)
	}
}

// keepIdle closes the connections without a call that keep does not want.
func (cl *Client) keepIdle(keep func(*Conn) bool) {
	leave := func(c *Conn) bool {
		if keep(c) {
			return false
		}
		_ = c.Close() // it is of no use any more
		return true
	}
	cl.idle = slices.DeleteFunc(cl.idle, leave)
	cl.aside = slices.DeleteFunc(cl.aside, leave)
}

// Dial makes a new connection. It fails when ctx ends.
func (cl *Client) Dial(ctx context.Context) (*Conn, error) {
	nc, err := NewDialer(cl.Patience).DialContext(ctx, cl.network, cl.address)
	if err != nil {
		return nil, err
	}
	c, err := NewConn(nc)
	if err != nil {
		_ = nc.Close() // it was never used
		return nil, err
	}
	return c, nil
}

// NewDialer returns what makes connections to an upstream. patience is how long it may take
// to accept a connection, and to acknowledge what was sent; the connection of a call that
// only waits breaks as soon, and at most aliveEvery later, when the host of the upstream is
// gone. 0 is DialTimeout for the first, and as long as the system waits for the others.
func NewDialer(patience time.Duration) *net.Dialer {
	if patience == 0 {
		return &net.Dialer{Timeout: DialTimeout}
	}
	return &net.Dialer{
		Timeout:         patience,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: aliveEvery, Interval: aliveEvery, Count: 2},
		Control:         func(_, _ string, c syscall.RawConn) error { return acknowledgedWithin(c, patience) },
	}
}

// aliveEvery is how often a silent connection is probed where another upstream could have
// its call: the shortest that the system offers.
const aliveEvery = time.Second

// Put takes back a connection on which the last call ended cleanly. keep is how long
// the upstream said it keeps it, or 0. doubtful is one on which more may follow.
func (cl *Client) Put(c *Conn, keep time.Duration, doubtful bool) {
	c.Release()
	c.idleSince = time.Now()
	c.usable = c.idleSince
	if keep <= 0 || keep > MaxIdle {
		keep = MaxIdle
	} else {
		keep = keep * 3 / 4 // its clock started earlier, and it may close while we send
	}
	c.expires = c.idleSince.Add(keep)
	suspect := cl.suspect()

	cl.mu.Lock()
	defer cl.mu.Unlock()
	switch {
	case cl.closed, c.cut.Load():
		_ = c.Close() // it is of no use any more
		return
	case !doubtful && !suspect:
		cl.idle = append(cl.idle, c)
	case doubtful && suspect, cl.cramped.Load(), keep <= settling, len(cl.aside) == mostAside:
		c.abort()
		return
	default:
		c.usable = c.idleSince.Add(settling)
		cl.aside = append(cl.aside, c)
	}
	if cl.sweep == nil {
		cl.sweep = time.AfterFunc(MaxIdle, cl.closeExpired)
	} else if len(cl.idle)+len(cl.aside) == 1 {
		cl.sweep.Reset(MaxIdle)
	}
}

// SentUnasked notes that the upstream sent what no request had asked for.
func (cl *Client) SentUnasked() {
	known := cl.suspect()
	cl.unasked.Store(time.Now().UnixNano())
	if !known {
		cl.log.Warn("upstream sent bytes that belong to no response: the connection was closed, and for a minute others are reused only after a pause",
			slog.String("upstream", cl.address))
	}
}

// suspect reports whether the upstream has lately sent what no request had asked for.
func (cl *Client) suspect() bool {
	at := cl.unasked.Load()
	return at != 0 && time.Since(time.Unix(0, at)) <= distrust
}

// closeExpired closes the idle connections whose time is over, and comes again while
// there are others.
func (cl *Client) closeExpired() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	now := time.Now()
	cl.keepIdle(func(c *Conn) bool { return now.Before(c.expires) })
	cl.settle(now)
	if len(cl.idle)+len(cl.aside) > 0 {
		cl.sweep.Reset(MaxIdle / 4)
	}
}

// Close closes the idle connections, and from then on each one that is given back.
// Calls that are under way go on.
func (cl *Client) Close() error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.closed = true
	if cl.sweep != nil {
		cl.sweep.Stop()
	}
	cl.keepIdle(func(*Conn) bool { return false })
	return nil
}
