package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// MostFollowers is how many clients may follow at once.
const MostFollowers = 32

// What takes long, with thousands of names, is done more rarely: for one part in mostlyIdle of
// the time, but for no longer than mostDue.
const (
	mostlyIdle = 50
	mostDue    = 5 * time.Second
)

// mostWaiting is how many events wait for a follower: those of ten seconds.
const mostWaiting = 40

// errFollowers is a follower too many.
var errFollowers = errors.New("too many clients follow the events; close a page or a top")

// Row is a route or service as an event has it.
type Row struct {
	Name      string           `json:"name"`
	Kind      supervisor.Kind  `json:"kind"`
	Mode      schema.Mode      `json:"mode,omitempty"`
	State     supervisor.State `json:"state"`
	Reason    string           `json:"reason,omitempty"`
	NextStart *time.Time       `json:"next_start,omitempty"`
	LastExit  string           `json:"last_exit,omitempty"`
	Restarts  int              `json:"restarts"`
	Removed   bool             `json:"removed,omitempty"`
	Process   bool             `json:"process"` // it keeps a process, which can be restarted, stopped, started and scaled
	Total     uint64           `json:"total"`
	Ready     int              `json:"ready"`  // instances that are
	Wanted    int              `json:"wanted"` // instances, those that do not run too
	Sample                     // of the last second
}

// Full is the first event of a follower: everything.
type Full struct {
	At      float64 `json:"at"`      // seconds since 1970
	Begun   float64 `json:"begun"`   // when the daemon was started
	Version string  `json:"version"` // of the daemon
	Step    float64 `json:"step"`    // seconds between two rows of the history
	All     Sample  `json:"all"`     // all routes and services together
	Rows    []Row   `json:"rows"`    // in the order of the file
}

// Change is each event that follows: what is not as it was. Without All only states have
// changed; with it, what is not mentioned did as in the second before.
type Change struct {
	At   float64  `json:"at"`
	All  *Sample  `json:"all,omitempty"`
	Rows []Row    `json:"rows,omitempty"`
	Gone []string `json:"gone,omitempty"`

	Order []string `json:"order,omitempty"` // all names, when some came or moved
}

// live is what is kept while a client follows.
type live struct {
	windows   map[string]*window
	sampledAt time.Time
	due       time.Duration // until the next sample
	quick     bool          // a look at the states alone costs little
	all       Sample
	names     []string // in their order
	rows      map[string]Row
	followers map[*follower]bool
}

// follower is a client that gets each event. Its channel is closed when it is dropped.
type follower struct{ events chan []byte }

// join makes a client a follower, and returns its first event.
func (r *Recorder) join(now time.Time, most int) (*follower, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live != nil && len(r.live.followers) >= min(most, MostFollowers) {
		return nil, nil, errFollowers
	}
	if r.live == nil {
		r.live = r.enliven(now)
		select {
		case r.wakes() <- struct{}{}:
		default: // it has not been seen yet
		}
	}
	l := r.live
	f := &follower{events: make(chan []byte, mostWaiting)}
	l.followers[f] = true
	step := r.store.step
	if step == 0 {
		step = stepFor(len(l.rows) + 1)
	}
	first := Full{At: unix(now), Begun: unix(r.begun), Version: r.Version, Step: step.Seconds(), All: l.all, Rows: make([]Row, 0, len(l.rows))}
	for _, name := range l.names {
		first.Rows = append(first.Rows, l.rows[name])
	}
	return f, event("full", first), nil
}

// enliven looks at everything for the first follower. What each did is that of its last row.
func (r *Recorder) enliven(now time.Time) *live {
	l := &live{windows: map[string]*window{}, rows: map[string]Row{}, followers: map[*follower]bool{}, sampledAt: now, due: sampleEvery, quick: true}
	all := r.Look(true)
	samples, sum := measure(l.windows, all, true, now, now)
	if kept := r.store.series[""]; len(kept) > 0 {
		sum = since(kept[len(kept)-1], sum)
	}
	for i := range all {
		s := samples[i]
		if kept := r.store.series[all[i].Name]; len(kept) > 0 {
			s = since(kept[len(kept)-1], s)
		}
		l.names = append(l.names, all[i].Name)
		l.rows[all[i].Name] = rowOf(&all[i], s)
	}
	l.all = sum
	return l
}

// since is what the last kept row says of a time, and how it stands now.
func since(kept row, now Sample) Sample {
	s := kept.sample()
	s.Inflight, s.Queued, s.Instances, s.RSS = now.Inflight, now.Queued, now.Instances, now.RSS
	return s
}

// leave forgets a follower; of the last one, what is kept for them too.
func (r *Recorder) leave(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		return
	}
	delete(r.live.followers, f)
	if len(r.live.followers) == 0 {
		r.live = nil
	}
}

// follow sends what has changed; it reports false if no client follows any more.
func (r *Recorder) follow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live
	if l == nil {
		return false
	}
	change := Change{At: unix(now)}
	began := time.Now()
	switch {
	case now.Sub(l.sampledAt) >= l.due-statesEvery/2:
		l.sample(r.Look(true), now, &change)
		l.send(event("change", change))
		l.due, l.quick = min(max(sampleEvery, mostlyIdle*time.Since(began)), mostDue), true
	case l.quick:
		l.states(r.Look(false), &change)
		if len(change.Rows) > 0 {
			l.send(event("change", change))
		}
		l.quick = mostlyIdle*time.Since(began) < statesEvery
	}
	if len(l.followers) == 0 { // all were dropped
		r.live = nil
	}
	return r.live != nil
}

// sample measures everything.
func (l *live) sample(all []Seen, now time.Time, change *Change) {
	samples, sum := measure(l.windows, all, true, now, l.sampledAt)
	l.sampledAt, l.all, change.All = now, sum, &sum
	before, former := l.rows, l.names
	l.names, l.rows = make([]string, 0, len(all)), make(map[string]Row, len(all))
	for i := range all {
		row := rowOf(&all[i], samples[i])
		was, known := before[row.Name]
		if !known || !same(row, was) {
			change.Rows = append(change.Rows, row)
		}
		l.names = append(l.names, row.Name)
		l.rows[row.Name] = row
		delete(before, row.Name)
	}
	for name := range before {
		change.Gone = append(change.Gone, name)
	}
	if len(change.Gone) > 0 {
		former = slices.DeleteFunc(former, func(name string) bool { _, gone := before[name]; return gone })
	}
	if !slices.Equal(former, l.names) {
		change.Order = l.names
	}
}

// states notes which states have changed; what has come and gone is left to sample.
func (l *live) states(all []Seen, change *Change) {
	for i := range all {
		was, known := l.rows[all[i].Name]
		if !known {
			continue
		}
		s := was.Sample
		s.Instances = 0
		for _, in := range all[i].Instances {
			if in.PID != 0 {
				s.Instances++
			}
		}
		row := rowOf(&all[i], s)
		row.Total = was.Total
		if !same(row, was) {
			change.Rows = append(change.Rows, row)
			l.rows[row.Name] = row
		}
	}
}

func same(a, b Row) bool {
	at, bt := a.NextStart, b.NextStart
	a.NextStart, b.NextStart = nil, nil
	return a == b && (at == nil) == (bt == nil) && (at == nil || at.Equal(*bt))
}

func rowOf(seen *Seen, s Sample) Row {
	ready := 0
	for _, in := range seen.Instances {
		if in.State == supervisor.Ready {
			ready++
		}
	}
	return Row{
		Ready: ready, Wanted: len(seen.Instances),
		Name: seen.Name, Kind: seen.Kind, Mode: seen.Mode, State: seen.State, Reason: seen.Reason, NextStart: seen.NextStart,
		LastExit: seen.LastExit, Restarts: seen.Restarts, Removed: seen.Removed, Process: seen.Process, Total: seen.Total, Sample: s,
	}
}

// send gives an event to all followers, and drops one that has not read the last ones.
func (l *live) send(e []byte) {
	for f := range l.followers {
		select {
		case f.events <- e:
		default:
			close(f.events)
			delete(l.followers, f)
		}
	}
}

// event is one of Server-Sent Events.
func event(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil { // only a number that is none, which none of them is
		text = []byte("null")
	}
	var b bytes.Buffer
	b.WriteString("event: " + name + "\ndata: ")
	b.Write(text) // JSON has no line breaks
	b.WriteString("\n\n")
	return b.Bytes()
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
