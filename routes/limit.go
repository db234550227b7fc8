package routes

import (
	"context"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// place is where the calls of a route are: at most limit of them run, at most room
// wait, first come first served. It also is the list of them, for those who must
// end them. A place outlives its table: a reload hands it to the route's successor,
// so that the limit holds across both.
type place struct {
	mu      sync.Mutex
	limit   int // 0 is none
	room    int
	running calls
	waiting calls
}

func newPlace(l schema.Limits) *place {
	p := &place{limit: l.Inflight, room: l.Queue}
	if p.room < 0 {
		p.room = 10 * p.limit
	}
	return p
}

// enter gives c a place to run, after a wait of timeouts.queue at most. The
// error is a *failure.Error, or the cause of c.ctx's end. Each enter without an
// error is followed by one leave.
func (p *place) enter(c *call) error {
	p.mu.Lock()
	if p.free() {
		p.running.push(c)
		p.mu.Unlock()
		return nil
	}
	if p.waiting.n >= p.room {
		limit := p.limit
		p.mu.Unlock()
		return fullError(c.route.name, limit)
	}
	p.waiting.push(c)
	p.mu.Unlock()
	return p.wait(c)
}

// watchQueue is how soon a caller is missed in the queue whose leaving the server
// does not notice by itself.
const watchQueue = 100 * time.Millisecond

// free reports whether another call may run now. p.mu is held.
func (p *place) free() bool {
	return p.limit <= 0 || p.running.n < p.limit && p.waiting.n == 0
}

// full reports whether all places are taken, and how many there are.
func (p *place) full() (limit int, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit, p.limit > 0 && p.running.n >= p.limit
}

// wait waits until c is called to run, its time is over or its caller has gone.
func (p *place) wait(c *call) error {
	c.route.count.Queued(1)
	defer c.route.count.Queued(-1)
	began := time.Now()
	defer func() { c.queue += time.Since(began) }()

	var over <-chan time.Time
	if most := c.route.timeouts.Queue.D(); most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		over = timer.C
	}
	var look <-chan time.Time
	if c.line.watched() {
		ticker := time.NewTicker(watchQueue)
		defer ticker.Stop()
		look = ticker.C
	}
	var err error
	for err == nil {
		select {
		case <-c.called:
			return nil
		case <-c.ctx.Done():
			err = context.Cause(c.ctx)
		case <-over:
			err = queueError(c.route)
		case <-look:
			if c.line.gone() {
				c.endContext(errGone)
			}
		}
	}
	p.mu.Lock()
	if c.in == &p.waiting {
		p.waiting.remove(c)
		p.mu.Unlock()
		return err
	}
	p.mu.Unlock()
	<-c.called // called in the same moment: the place goes to the next
	p.leave(c)
	return err
}

// leave gives c's place to who waits longest.
func (p *place) leave(c *call) {
	p.mu.Lock()
	p.running.remove(c)
	p.admit()
	p.mu.Unlock()
}

// admit calls those who wait as long as there is a place. p.mu is held.
func (p *place) admit() {
	for p.waiting.n > 0 && (p.limit <= 0 || p.running.n < p.limit) {
		c := p.waiting.first
		p.waiting.remove(c)
		p.running.push(c)
		c.called <- struct{}{}
	}
}

// resize sets the limits of p as a reload changed them.
func (p *place) resize(limit, room int) {
	p.mu.Lock()
	p.limit, p.room = limit, room
	p.admit()
	p.mu.Unlock()
}

// each calls f for every call that runs or waits. f must not wait.
func (p *place) each(f func(*call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range []*calls{&p.running, &p.waiting} {
		for c := list.first; c != nil; c = c.next {
			f(c)
		}
	}
}

// calls is a list of calls in the order of their coming; the links are in the calls.
type calls struct {
	first, last *call
	n           int
}

func (l *calls) push(c *call) {
	c.in, c.prev, c.next = l, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.n++
}

func (l *calls) remove(c *call) {
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.in, c.prev, c.next = nil, nil, nil
	l.n--
}

// retryFull is when a caller may come again who found no place: calls end all the time.
const retryFull = time.Second

func fullError(route string, limit int) error {
	return &failure.Error{Kind: failure.Full, Route: route, RetryAfter: retryFull,
		Detail: "Concurrent request limit exceeded. Max concurrent requests: " + itoa(limit)}
}

func queueError(rt *route) error {
	return &failure.Error{Kind: failure.QueueTimeout, Route: rt.name, Timeout: "queue", RetryAfter: retryFull,
		Detail: "no place became free within timeouts.queue (" + rt.timeouts.Queue.D().String() + ")"}
}
