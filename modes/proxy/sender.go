package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/client"
)

// sender sends a request that has a body, in one attempt.
type sender struct {
	q       *request
	c       *client.Conn
	verdict chan bool // on a body that waits for 100 Continue: whether it is wanted; else nil

	mu       sync.Mutex
	headSent bool

	allRead atomic.Bool // the client has no more of the body to send

	done    chan struct{}
	err     error // why it ended; nil = all was sent. To be read after done.
	reached bool  // the connection took some of it
}

// expectDelay is how long a body waits for 100 Continue; some servers know nothing of
// it (RFC 9110, 10.1.1).
const expectDelay = time.Second

func newSender(q *request, c *client.Conn) *sender {
	s := &sender{q: q, c: c, done: make(chan struct{})}
	if q.expect {
		s.verdict = make(chan bool, 1)
	}
	return s
}

// run sends everything. Meanwhile others may call sendHead and decide.
func (s *sender) run() {
	defer close(s.done)
	s.err = s.send()
}

func (s *sender) send() error {
	q := s.q
	if err := s.first(); err != nil {
		return err
	}
	for !q.ended {
		q.past = true
		if tried, err := s.splice(); tried {
			return err
		}
		b, err := q.readBody(q.out[:0])
		if err != nil {
			return s.abandon(err)
		}
		s.allRead.Store(q.ended)
		if err := s.write(b); err != nil {
			return err
		}
	}
	return nil
}

// splice sends what is left of the body by splice(2), and reports false when that
// cannot be.
func (s *sender) splice() (tried bool, err error) {
	u, ok := s.q.body.(*call.Body)
	to, isTCP := s.c.Conn.(*net.TCPConn)
	if !ok || !isTCP || s.q.length < 0 || !s.q.splice || s.q.left < spliceLeast {
		return false, nil
	}
	tried, err = u.Splice(to, s.q.left, s.c.Broken)
	if !tried {
		return false, nil
	}
	s.reached = true
	_, callers := errors.AsType[*failure.Error](err)
	switch {
	case err == io.EOF:
		s.q.left, s.q.ended = 0, true
		s.allRead.Store(true)
		return true, nil
	case callers || err == call.ErrStopped:
		return true, s.abandon(err)
	}
	return true, err
}

// first sends the first bytes of the body, and the head in the same write if it was not
// sent because they were long in coming.
func (s *sender) first() error {
	q := s.q
	if q.expect && !q.begun {
		if err := s.sendHead(); err != nil {
			return err
		}
		if !s.mayGo() {
			return errAnswered
		}
	}
	b, err := q.out, error(nil)
	if !q.begun { // an earlier attempt has read them
		if b, err = q.readBody(q.out); err != nil {
			err = s.abandon(err)
		}
	}
	s.mu.Lock() // and if the head is just being sent, that is over now
	defer s.mu.Unlock()
	early := s.headSent
	s.headSent = true
	if err != nil {
		return err
	}
	q.out, q.begun = b, true
	s.allRead.Store(q.ended)
	if early {
		b = b[q.head:]
	}
	return s.write(b)
}

// sendHead sends the head now, if it is not sent.
func (s *sender) sendHead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.headSent {
		return nil
	}
	s.headSent = true
	return s.write(s.q.out[:s.q.head])
}

// errAnswered says that the upstream answered without wanting the body.
var errAnswered = errors.New("answered before the body was sent")

// mayGo waits until the upstream wants the body or has waited long enough for it. It
// reports false when the upstream answered instead.
func (s *sender) mayGo() bool {
	patience := time.NewTimer(expectDelay)
	defer patience.Stop()
	select {
	case wanted := <-s.verdict:
		return wanted
	case <-patience.C:
		return true
	}
}

// decide says whether a body that waits for 100 Continue is wanted; the first word counts.
func (s *sender) decide(wanted bool) {
	select {
	case s.verdict <- wanted:
	default: // decided, or nothing waits
	}
}

// abandon is for a client whose body cannot be read: the upstream cannot be given the
// rest, and what waits for its response stops. (A failure of the upstream stops
// nothing: its answer may have come before the connection broke.)
func (s *sender) abandon(err error) error {
	s.c.Interrupt()
	return err
}

func (s *sender) write(p []byte) error {
	n, err := s.c.Write(p)
	if n > 0 {
		s.reached = true
	}
	return err
}
