package supervisor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/lives"
	"github.com/watchdogd/watchdogd/supervisor/watch"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// Process is one supervised process: as many instances of one program as are needed,
// and the calls that wait for one. Its methods may be called by many goroutines.
//
// One goroutine, run, decides how many instances there are and which of them leave.
// Each has a slot, whose goroutine leads it through one life after another.
type Process struct {
	name   string
	kind   Kind
	sup    *Supervisor
	log    *slog.Logger
	output *child.Output
	wake   chan struct{} // run has something to decide
	gone   chan struct{} // run has returned: no process is left
	slotwg sync.WaitGroup

	// run's own
	watch   *watch.Files // nil when no files are watched
	watched []string

	mu       sync.Mutex
	spec     *Spec
	wish     wish
	launched bool
	scaled   *schema.Replicas // what Scale asked for
	slots    []*slot          // in the order in which they were opened
	ready    []*Instance
	line     line
	inflight int
	served   uint64    // calls, to tell which instance was used last
	peak     int       // the most calls at once since adjust
	crowd    int       // so many calls make another instance needed; 0 is never
	spread   time.Time // until then calls that were held are kept for instances that are starting; zero is not
	demand   lifecycle.Demand
	ends     []time.Time
	restarts int
	cut      int // calls that were cut at the end of stop.drain
	last     *lastExit
	lives    lives.Record // of lives that are over
	pool     pool
	rewatch  rewatch
	changed  chan struct{} // closed at the next change of a state; nil while nothing waits
}

// wish is what is to become of a process.
type wish uint8

const (
	toRun   wish = iota
	toStop       // until Start
	toLeave      // for good
)

type lastExit struct {
	why     string
	printed string // what the program said of why, which may be private
	exit    child.Exit
	at      time.Time
}

func (l *lastExit) String() string { return why.Diagnosis{What: l.why, Printed: l.printed}.String() }

func newProcess(sup *Supervisor, r *Spec) *Process {
	return &Process{
		name: r.Name, kind: r.Kind, sup: sup, spec: r,
		log:    sup.log.With(slog.String(string(r.Kind), r.Name)),
		output: child.NewOutput(sup.log, string(r.Kind), r.Name, sup.opt.Printing),
		wake:   make(chan struct{}, 1),
		gone:   make(chan struct{}),
	}
}

// run keeps as many instances as are needed until the process is to leave and the last
// of them is gone.
func (p *Process) run() {
	defer close(p.gone)
	defer p.output.Close()
	defer p.slotwg.Wait()
	defer p.watchFiles() // none, when the process leaves
	defer logwriter.LastWords(p.log)
	if p.current().Warm > 0 {
		p.runWarm()
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.watchFiles()
		again, over := p.step(time.Now())
		if over {
			return
		}
		timer.Stop()
		if again > 0 {
			timer.Reset(again)
		}
		select {
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// step adjusts the number of instances. It reports when to look again, unless the process is
// over.
func (p *Process) step(now time.Time) (again time.Duration, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again = p.spreads(now, p.adjust(now))
	if over = p.wish == toLeave && len(p.slots) == 0; over {
		p.refuse(p.hopeless())
		p.change()
	}
	return again, over
}

// locked calls f, which must not wait, while p.mu is held.
func (p *Process) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// current is what new instances are made of.
func (p *Process) current() *Spec {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec
}

// nudge has run decide again.
func (p *Process) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// adjust brings the slots nearer to what is wanted, and returns when to look again if
// nothing happens.
func (p *Process) adjust(now time.Time) (again time.Duration) {
	want, again, why := p.wanted(now)
	p.handOver()

	var standing []*slot // that count as the wanted
	successors, closing, failing := 0, 0, false
	for _, s := range p.slots {
		switch {
		case s.closing():
			closing++
		case s.leaving:
		case s.after != nil && s.stale != "":
			p.ask(s, s.stale) // another succeeds in its place
		case s.after != nil:
			successors++
		case s.stale != "" && want > 0 && !(p.spec.overlap && s.serves()):
			p.ask(s, s.stale)
			closing++
		default:
			standing = append(standing, s)
			failing = failing || s.state == lifecycle.Backoff || s.state == lifecycle.CrashLoop || s.state == lifecycle.Exited
		}
	}
	if i := slices.IndexFunc(standing, func(s *slot) bool { return s.stale != "" }); i >= 0 && successors == 0 && want > 0 {
		p.open(standing[i]) // one after another
	}
	for n := len(standing) + closing; n < want && (n < max(p.replicas().Min, 1) || !failing); n++ {
		p.open(nil)
	}
	for len(standing) > want {
		i := spare(standing)
		p.ask(standing[i], why)
		standing = slices.Delete(standing, i, i+1)
	}
	if want == 0 {
		for _, s := range p.slots {
			p.ask(s, why)
		}
	}
	return again
}

// wanted is how many instances there should be, when to ask again, and why those beyond
// are to leave.
func (p *Process) wanted(now time.Time) (want int, again time.Duration, why string) {
	if p.wish != toRun {
		return 0, 0, "a stop was asked for"
	}
	r := p.replicas()
	if c := p.spec.Capacity; c > 0 {
		r.Target = min(r.Target, c) // beyond it calls wait
	}
	want, again, p.demand = lifecycle.Scale(r, p.demand, p.peak, now)
	p.peak, p.crowd = p.calls(), 0
	if want < r.Max {
		p.crowd = max(want*max(r.Target, 1), 1)
	}
	return want, again, "it is not needed"
}

// handOver has those leave whose successors are ready.
func (p *Process) handOver() {
	for _, s := range p.slots {
		if s.after != nil && s.state == lifecycle.Ready {
			why := s.after.stale
			s.after.stale = "" // done
			p.ask(s.after, why)
		}
		if s.after != nil && s.after.leaving {
			s.after = nil
		}
	}
}

func (p *Process) replicas() schema.Replicas {
	if p.scaled != nil {
		return *p.scaled
	}
	return p.spec.Process.Replicas
}

// scaledToNone reports whether Scale asked for no instances at all.
func (p *Process) scaledToNone() bool { return p.scaled != nil && p.scaled.Max == 0 }

// calls is how many are in flight or wait.
func (p *Process) calls() int { return p.inflight + p.line.Len() }

// spare is which slot leaves when there are too many: the one with the highest number, so
// that those of n instances are always 0 to n-1.
func spare(slots []*slot) int {
	last := 0
	for i, s := range slots {
		if s.number > slots[last].number {
			last = i
		}
	}
	return last
}

// open starts a slot. One that succeeds another, which leaves when it is ready, has its
// number; otherwise it is the lowest that is free.
func (p *Process) open(after *slot) {
	s := &slot{
		p: p, spec: p.spec, state: lifecycle.Waiting, since: time.Now(), after: after,
		leave: make(chan struct{}), cut: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	if after != nil {
		s.number = after.number
	} else {
		for slices.ContainsFunc(p.slots, func(o *slot) bool { return o.number == s.number && o.holdsNumber() }) {
			s.number++
		}
	}
	p.slots = append(p.slots, s)
	p.slotwg.Go(s.run)
}

// holdsNumber reports whether no other slot may have the number of s, but for its
// successor: it stays, or it is closing.
func (s *slot) holdsNumber() bool { return !s.leaving || s.closing() }

// closing reports whether the place of s, which is leaving, is taken until it is gone.
func (s *slot) closing() bool { return s.leaving && (s.stale != "" || !s.spec.overlap) }

// ask has a slot end: no new calls from now, then its calls, then its child.
func (p *Process) ask(s *slot, why string) {
	if s.leaving {
		return
	}
	s.leaving = true
	if s.state == lifecycle.Starting || s.state == lifecycle.Ready || s.state == lifecycle.Unready {
		p.move(s, lifecycle.Stopping, why)
	}
	close(s.leave)
}

// cutCalls has a slot that is leaving wait no longer for its calls.
func (p *Process) cutCalls(s *slot) {
	if s.leaving && !s.cutting {
		s.cutting = true
		close(s.cut)
	}
}

// drop takes out a slot that has ended.
func (p *Process) drop(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(s, lifecycle.Stopped, "")
	p.slots = slices.DeleteFunc(p.slots, func(o *slot) bool { return o == s })
	for _, o := range p.slots {
		if o.after == s {
			o.after = nil
		}
	}
	p.change()
	p.nudge()
}

// move is the only place where the state of an instance changes.
func (p *Process) move(s *slot, to lifecycle.State, why string) {
	s.state, s.why, s.givenUp, s.since = s.state.Next(to), why, false, time.Now()
	if to != lifecycle.Unready && to != lifecycle.Backoff && to != lifecycle.CrashLoop && to != lifecycle.Exited {
		s.printed, s.certain = "", false // those were said with the state, by its caller
	}
	p.ready = slices.DeleteFunc(p.ready, func(i *Instance) bool { return i.slot == s })
	if to == lifecycle.Ready {
		p.ready = append(p.ready, s.life)
		if len(p.ready) == 1 {
			p.spreadFrom(s.life, s.since)
		}
	}
	p.serve()
	if to == lifecycle.CrashLoop || to == lifecycle.Exited {
		if err := p.hopeless(); err != nil {
			p.refuse(err)
		}
	}
	p.report(s)
	p.change()
	p.nudge()
}

// change wakes what waits for the next change.
func (p *Process) change() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// nextChange returns a channel that is closed at the next change. p.mu is held.
func (p *Process) nextChange() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// report logs a change of state, in one line.
func (p *Process) report(s *slot) {
	level := slog.LevelInfo
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("state", string(s.state)), slog.Int("instance", s.number))
	switch s.state {
	case lifecycle.Waiting:
		return // reported when there is something to wait for
	case lifecycle.Backoff, lifecycle.CrashLoop:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("pause", time.Until(s.next).Round(time.Millisecond).String()))
	case lifecycle.Unready:
		level = slog.LevelWarn
	case lifecycle.Stopped:
		level = slog.LevelDebug
	}
	if s.life != nil {
		if s.life.child != nil {
			attrs = append(attrs, slog.Int("pid", s.life.child.PID()))
		}
		if s.life.port != 0 {
			attrs = append(attrs, slog.Int("port", s.life.port))
		}
	}
	if s.why != "" {
		attrs = append(attrs, slog.String("why", s.reason()))
	}
	p.tell(level, attrs...)
	if s.state == lifecycle.Stopped {
		p.output.Note(event.Change(attrs)) // the end of a stop that was asked for needs no line of the log
	}
}

// tell has logs show what happened to the process among what it printed, and logs it: who
// reads it in the log finds it in logs.
func (p *Process) tell(level slog.Level, attrs ...slog.Attr) {
	if text := event.Change(attrs); level > slog.LevelDebug && text != "" {
		p.output.Note(text)
	}
	p.log.LogAttrs(context.Background(), level, event.Process, attrs...)
}

// State is where the process stands as a whole.
func (p *Process) State() lifecycle.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state()
}

func (p *Process) state() lifecycle.State {
	if len(p.slots) == 0 {
		switch {
		case p.wish != toRun || p.scaledToNone():
			return lifecycle.Stopped
		case p.spec.Warm > 0:
			return lifecycle.Ready // without one that waits, calls fork
		case p.replicas().Min == 0:
			return lifecycle.Idle
		}
		return lifecycle.Waiting
	}
	states := make([]lifecycle.State, len(p.slots))
	for i, s := range p.slots {
		states[i] = s.state
	}
	return lifecycle.Together(states)
}
