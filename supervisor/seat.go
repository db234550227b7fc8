package supervisor

import (
	"fmt"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/internal/fifo"
)

// Guest is a call in the hands of an instance, as far as the supervisor must end it. Its
// methods may be called at any time between Enter and Leave and must not wait.
type Guest interface {
	// EndStream ends an event stream or an upgraded connection in the way that its
	// protocol provides, now or as soon as the call becomes one. It reports whether the
	// call is one; others go on.
	EndStream() bool
	// Cut ends the call, for the reason why.
	Cut(why error)
	// String says which call it is, for an operator.
	String() string
}

// Seat is a guest's place in an instance. It is part of what the guest keeps anyway, so
// that a call costs no allocation.
type Seat struct {
	Guest  Guest
	place  fifo.Item[*Seat]
	stream bool // it was ended as one
}

// seats are the guests of one instance, in the order in which they came.
type seats struct {
	mu     sync.Mutex
	list   fifo.List[*Seat]
	ending bool  // streams end at once
	cut    error // why everything ends at once; nil while it does not
}

// Enter says that a call is in the instance's hands until Leave. Calls that enter late,
// when those of the instance are being ended, are ended too.
func (i *Instance) Enter(s *Seat) {
	l := &i.seats
	l.mu.Lock()
	s.stream, s.place.Value = false, s
	l.list.Push(&s.place)
	if l.ending {
		s.Guest.EndStream()
	}
	if l.cut != nil {
		s.Guest.Cut(l.cut)
	}
	l.mu.Unlock()
}

// Leave ends what Enter began. After it the guest is not called any more. It may be called
// again.
func (i *Instance) Leave(s *Seat) {
	l := &i.seats
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list.Remove(&s.place)
}

// endStreams ends the streams among the guests, and those to come. It returns how many
// there were.
func (l *seats) endStreams() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	for s := range l.list.All() {
		if s.stream = s.Guest.EndStream(); s.stream {
			n++
		}
	}
	return n
}

// cutCalls ends all guests but the streams that endStreams has ended, and those to come.
func (l *seats) cutCalls(why error) { l.end(why, func(s *Seat) bool { return !s.stream }) }

// cutAll ends all guests, and those to come.
func (l *seats) cutAll(why error) { l.end(why, func(*Seat) bool { return true }) }

func (l *seats) end(why error, which func(*Seat) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = why
	for s := range l.list.All() {
		if which(s) {
			s.Guest.Cut(why)
		}
	}
}

// mostNamed is how many calls are named one by one.
const mostNamed = 3

// String names the guests that have been there longest.
func (l *seats) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for s := range l.list.All() {
		if len(names) == mostNamed {
			names = append(names, fmt.Sprintf("%d more", l.list.Len()-mostNamed))
			break
		}
		names = append(names, s.Guest.String())
	}
	return strings.Join(names, ", ")
}
