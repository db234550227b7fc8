package supervisor

import (
	"log/slog"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"

	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/lives"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// slot is a place for one instance at a time.
type slot struct {
	p      *Process
	number int
	leave  chan struct{} // closed: it is to end
	cut    chan struct{} // closed: without waiting for its calls any longer
	kick   chan struct{} // it is to start now

	// guarded by p.mu
	spec    *Spec
	state   lifecycle.State
	why     string            // it is in its state; empty when the state says all
	since   time.Time         // it is in its state
	printed string            // what the program of the last life said of why, which may be private
	certain bool              // waiting does not change what why says
	next    time.Time         // of Backoff and CrashLoop
	history lifecycle.History // but for Ends, which are the process's
	life    *Instance         // nil between lives
	givenUp bool              // what it waits for may never come
	stale   string            // why it is to be replaced; empty when it is not
	after   *slot             // leaves when this one is ready
	leaving bool
	cutting bool
	lives   int
}

// current is what the slot's next life is made of; of a life under way, what applies to it
// since the last reload.
func (s *slot) current() *Spec {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.spec
}

// serves reports whether the slot's instance is there for calls.
func (s *slot) serves() bool { return s.state == lifecycle.Ready || s.state == lifecycle.Unready }

// run leads a slot from one life to the next, until it is to leave.
func (s *slot) run() {
	defer s.p.drop(s)
	defer logwriter.LastWords(s.p.log)
	for s.awaitDependencies() && s.afterwards(s.live()) {
	}
}

// afterwards decides what follows a life, waits for it, and reports whether another follows.
func (s *slot) afterwards(e ending) bool {
	p := s.p
	d, gaveUp := s.decide(e, time.Now())
	if d == nil {
		return false
	}
	if gaveUp && p.sup.opt.Ended != nil {
		if e.outcome != lifecycle.EndedItself && e.exit.OK() {
			e.exit.Code = 1 // it ended well only because we asked
		}
		p.sup.opt.Ended(p.name, e.exit)
	}
	return d.State == lifecycle.Waiting || s.rest(*d)
}

// decide notes the end of a life, and decides what follows; nil when nothing does. It also
// reports whether the process was given up and watchdogd is to end with it.
func (s *slot) decide(e ending, now time.Time) (_ *lifecycle.Decision, gaveUp bool) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives.Add(s.lifeOf(e, now))
	if e.outcome == lifecycle.EndedItself {
		p.last = &lastExit{why: e.why, printed: e.printed, exit: e.exit, at: now}
	}
	if s.leaving {
		return nil, false
	}
	h := s.history
	h.Ends = p.ends
	d, h := lifecycle.Next(s.spec.Process.Restart, h, e.outcome, e.exit, e.uptime, now, lifecycle.Jitter)
	gaveUp = d.State == lifecycle.Exited || d.State == lifecycle.CrashLoop && !s.history.Loop
	p.ends, h.Ends, s.history = h.Ends, nil, h
	s.next = time.Time{}
	if d.State == lifecycle.Backoff || d.State == lifecycle.CrashLoop {
		s.next = now.Add(d.Pause)
	}
	if d.State != lifecycle.Waiting {
		p.last = &lastExit{why: e.why, printed: e.printed, exit: e.exit, at: now}
	}
	if !s.next.IsZero() {
		p.restarts++
	}
	s.life, s.printed, s.certain = nil, e.printed, e.certain
	if e.outcome == lifecycle.LateStart {
		p.notStarted(e.why)
	}
	p.move(s, d.State, e.why)
	return &d, gaveUp && s.spec.Process.Restart.Then == "exit"
}

// rest waits for the next start, and reports whether there is one.
func (s *slot) rest(d lifecycle.Decision) bool {
	var over <-chan time.Time // never, for one that has exited
	if d.State != lifecycle.Exited {
		t := time.NewTimer(d.Pause)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-s.kick:
	case <-s.leave:
		return false
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.leaving {
		return false
	}
	s.p.move(s, lifecycle.Waiting, "")
	return true
}

// sentence is why the slot is in its state; empty when the state says all. p.mu is held.
func (s *slot) sentence() why.Diagnosis {
	d := why.Diagnosis{What: s.why, Printed: s.printed, Certain: s.certain}
	switch {
	case s.state == lifecycle.Waiting && d.What != "":
		d.What = "waits for " + d.What
	case s.state == lifecycle.Starting && s.life != nil && !d.Certain:
		if since := time.Since(s.life.began); since > why.SlowAfter {
			d = why.Slow(since, s.life.spec.Start, d)
		}
	case d.What == "":
		d.Printed = ""
	}
	return d
}

// reason is sentence with what was printed, for the log and ps.
func (s *slot) reason() string { return s.sentence().String() }

// lifeOf is the life of s that ended as e says, at now at the latest. p.mu is held.
func (s *slot) lifeOf(e ending, now time.Time) lives.Life {
	l := lives.Life{Instance: s.number, Started: now, Ended: &now, Reason: why.Diagnosis{What: e.why, Printed: e.printed}.String(), Peak: e.exit.Peak}
	if i := s.life; i != nil {
		l.PID, l.Started, l.Calls, l.Peak = i.child.PID(), i.began, i.served, i.peak
	}
	if e.outcome == lifecycle.AskedFor {
		l.Reason = "stopped by watchdogd"
		if s.why != "" {
			l.Reason += ": " + s.why
		}
	}
	return l
}

// waitsFor says what a slot waits for, once; what is given up may never come.
func (s *slot) waitsFor(what string, givenUp bool) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.why != what || s.givenUp != givenUp {
		s.why, s.givenUp = what, givenUp
		if err := s.p.hopeless(); err != nil {
			s.p.refuse(err)
		}
		s.p.change()
		level := slog.LevelDebug
		if givenUp {
			level = slog.LevelWarn
		}
		s.p.tell(level, slog.String("state", string(s.state)), slog.Int("instance", s.number), slog.String("why", "it waits for "+what))
	}
}
