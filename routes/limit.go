package routes

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/fifo"
	"github.com/watchdogd/watchdogd/schema"
)

// limiter is where the calls of a route are: at most limit of them run, each in a place, and
// at most room wait in the queue, first come first served. It also is the list of them, for
// those who must end them. A limiter outlives its table: a reload hands it to the route's
// successor, so that the limit holds across both.
type limiter struct {
	mu      sync.Mutex
	limit   int // 0 is none
	room    int // in the queue
	running fifo.List[*serving]
	queue   fifo.List[*serving]

	sweeper  *time.Timer // calls sweep; nil until the first call
	sweeping bool        // it is set
}

func newLimiter(l schema.Limits) *limiter {
	p := &limiter{limit: l.Inflight, room: l.Queue}
	if p.room < 0 {
		p.room = 10 * p.limit
	}
	return p
}

// enter gives s a place, after a wait of timeouts.queue at most. The error is a
// *failure.Error, or the cause of the end of the call's context.
func (l *limiter) enter(s *serving) error {
	l.mu.Lock()
	if !l.sweeping {
		l.startSweep()
	}
	if l.free() {
		l.running.Push(&s.place)
		l.mu.Unlock()
		return nil
	}
	if l.queue.Len() >= l.room {
		limit := l.limit
		l.mu.Unlock()
		return fullError(s.route.name, limit)
	}
	l.queue.Push(&s.place)
	l.mu.Unlock()
	return l.wait(s)
}

// watchQueue is how soon a caller is missed in the queue whose leaving the server
// does not notice by itself.
const watchQueue = 100 * time.Millisecond

// startSweep has sweep called. l.mu is held.
func (l *limiter) startSweep() {
	l.sweeping = true
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(sweepEvery, l.sweep)
	} else {
		l.sweeper.Reset(sweepEvery)
	}
}

// sweep sets the timers of the calls that have come since it was called last and are not over.
// Those are the last in the list. It comes again while there are calls.
func (l *limiter) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.running.Backward() {
		if s.swept {
			break
		}
		s.swept = true
		s.wind()
	}
	if l.sweeping = l.running.Len() > 0; l.sweeping {
		l.sweeper.Reset(sweepEvery)
	}
}

// free reports whether another call may run now. l.mu is held.
func (l *limiter) free() bool {
	return l.limit <= 0 || l.running.Len() < l.limit && l.queue.Len() == 0
}

// full reports whether all places are taken, and how many there are.
func (l *limiter) full() (limit int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit, l.limit > 0 && l.running.Len() >= l.limit
}

// wait waits until s is called to run, its time is over or its client has gone.
func (l *limiter) wait(s *serving) error {
	s.wind()
	s.route.count.Queued(1)
	defer s.route.count.Queued(-1)
	began := time.Now()
	defer func() { s.WaitedSince(began, "queue") }()

	var over <-chan time.Time
	if most := s.route.timeouts.Queue.D(); most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		over = timer.C
	}
	var look <-chan time.Time
	if s.watched() {
		ticker := time.NewTicker(watchQueue)
		defer ticker.Stop()
		look = ticker.C
	}
	var err error
	for err == nil {
		select {
		case <-s.called:
			return nil
		case <-s.Context().Done():
			err = context.Cause(s.Context())
		case <-over:
			err = queueError(s.route)
		case <-look:
			if s.gone() {
				s.Stop(call.ErrGone)
			}
		}
	}
	l.mu.Lock()
	waiting := l.queue.Remove(&s.place)
	l.mu.Unlock()
	if !waiting {
		<-s.called // called in the same moment: the place goes to the next
		l.leave(s)
	}
	return err
}

// leave gives the place of s, if it has one, to the call that waits longest.
func (l *limiter) leave(s *serving) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running.Remove(&s.place) {
		l.admit()
	}
}

// admit calls those who wait as long as there is a place. l.mu is held.
func (l *limiter) admit() {
	for l.queue.Len() > 0 && (l.limit <= 0 || l.running.Len() < l.limit) {
		next := l.queue.Pop()
		l.running.Push(next)
		next.Value.called <- struct{}{}
	}
}

// empty reports whether no call runs or waits.
func (l *limiter) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running.Len()+l.queue.Len() == 0
}

// resize sets the limits of l as a reload changed them.
func (l *limiter) resize(limit, room int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.room = limit, room
	l.admit()
}

// each calls f for every call that runs or waits. f must not wait.
func (l *limiter) each(f func(*serving)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range []*fifo.List[*serving]{&l.running, &l.queue} {
		for s := range list.All() {
			f(s)
		}
	}
}

// retryFull is when a caller may come again who found no place: calls end all the time.
const retryFull = time.Second

func fullError(route string, limit int) error {
	return &failure.Error{Kind: failure.Full, Route: route, RetryAfter: retryFull,
		Detail: "Concurrent request limit exceeded. Max concurrent requests: " + strconv.Itoa(limit)}
}

func queueError(rt *route) error {
	return &failure.Error{Kind: failure.QueueTimeout, Route: rt.name, Timeout: "queue", RetryAfter: retryFull,
		Detail: "no place became free within timeouts.queue (" + rt.timeouts.Queue.D().String() + ")"}
}
