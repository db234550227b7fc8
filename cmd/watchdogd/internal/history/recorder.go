package history

import (
	"context"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/supervisor"
)

const (
	sampleEvery = time.Second            // while a client follows
	statesEvery = 250 * time.Millisecond // while a client follows
	usageEvery  = 30 * time.Second       // while none does: it takes a look at all processes of the machine
)

// Seen is a route or service as the recorder sees it at one moment.
type Seen struct {
	supervisor.Status
	Process bool              // it keeps a process, and is not answered by others or by one for each call
	Total   uint64            // calls of a route so far
	Errors  uint64            // of them, those with a status of 500 or more
	Took    metrics.Durations // of those that are over
}

// Recorder keeps the history, and serves those who follow what happens.
type Recorder struct {
	// Look returns all routes and services in the order of the file, each name once; with
	// usage, also what their instances use, which takes a look at all processes of the machine.
	Look    func(usage bool) []Seen
	Version string // of the daemon, for clients that follow over a restart

	mu      sync.Mutex // guards what follows
	begun   time.Time  // when Run began
	store   store
	kept    map[string]*window // since the last row
	usageAt time.Time          // when it was last looked at for a row
	live    *live              // nil while no client follows
	wake    chan struct{}      // with room for one: the first client follows
}

// Run looks and keeps until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	r.begin(time.Now())
	keeping := time.NewTicker(Step)
	defer keeping.Stop()
	following := time.NewTicker(time.Hour)
	following.Stop()
	defer following.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-keeping.C:
			r.keep(now)
		case <-r.waker():
			following.Reset(statesEvery)
		case now := <-following.C:
			if !r.follow(now) {
				following.Stop()
			}
		}
	}
}

func (r *Recorder) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = now
}

// waker returns the channel that says that the first client follows.
func (r *Recorder) waker() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wakes()
}

func (r *Recorder) wakes() chan struct{} {
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	return r.wake
}

// keep keeps a row of each name, if it is time for one.
func (r *Recorder) keep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.begun
	if n := len(r.store.times); n > 0 {
		last = time.Unix(r.store.times[n-1], 0)
	}
	if r.store.step > 0 && now.Sub(last) < r.store.step-Step/2 {
		return
	}
	usage := r.live != nil || r.usageAt.IsZero() || now.Sub(r.usageAt) >= usageEvery-Step/2
	if usage {
		r.usageAt = now
	}
	all := r.Look(usage)
	r.store.suit(len(all) + 1)
	if r.kept == nil {
		r.kept = make(map[string]*window, len(all))
	}
	rows := make(map[string]row, len(all)+1)
	samples, sum := measure(r.kept, all, usage, now, last)
	for i := range all {
		rows[all[i].Name] = samples[i].row()
	}
	rows[""] = sum.row()
	r.store.add(now, rows)
}

// window is what was counted of one name up to some moment.
type window struct {
	at     time.Time
	errors uint64
	took   metrics.Durations
	cpu    float64   // seconds, at cpuAt
	cpuAt  time.Time // zero: not looked at yet
	cores  float64   // when it was last looked at
	memory int64
}

// measure returns what each of all did since its window, which ends at now, and what all
// routes and services did together. A name that has no window has one since last, when
// nothing of it was counted.
func measure(windows map[string]*window, all []Seen, usage bool, now, last time.Time) (samples []Sample, sum Sample) {
	samples = make([]Sample, len(all))
	known := make(map[string]bool, len(all))
	var together metrics.Durations
	for i := range all {
		seen := &all[i]
		w := windows[seen.Name]
		if w == nil {
			w = &window{at: last}
			windows[seen.Name] = w
		}
		known[seen.Name] = true
		since := seen.Took.Sub(w.took)
		for b := range together {
			together[b] += since[b]
		}
		samples[i] = w.sample(seen, since, usage, now)
		sum.Rate += samples[i].Rate
		sum.Errors += samples[i].Errors
		sum.Inflight += samples[i].Inflight
		sum.Queued += samples[i].Queued
		sum.Instances += samples[i].Instances
		sum.CPU += samples[i].CPU
		sum.RSS += samples[i].RSS
	}
	for name := range windows {
		if !known[name] {
			delete(windows, name)
		}
	}
	quantiles(&sum, together)
	return samples, sum
}

// sample is what seen did in w, which begins anew.
func (w *window) sample(seen *Seen, since metrics.Durations, usage bool, now time.Time) Sample {
	s := Sample{Inflight: seen.Inflight, Queued: seen.Queued}
	var cpu float64
	var memory int64
	for _, in := range seen.Instances {
		if in.PID != 0 {
			s.Instances++
		}
		cpu += in.CPUSeconds
		memory += in.RSS
	}
	if usage {
		if took := now.Sub(w.cpuAt).Seconds(); !w.cpuAt.IsZero() && took > 0 {
			w.cores = max(0, cpu-w.cpu) / took // of an instance that ended it is not known
		}
		w.cpu, w.cpuAt, w.memory = cpu, now, memory
	}
	s.CPU, s.RSS = short(w.cores), w.memory
	if took := now.Sub(w.at).Seconds(); took > 0 {
		s.Rate = short(float64(since.Count()) / took)
		if seen.Errors < w.errors {
			w.errors = 0 // the counting has begun anew
		}
		s.Errors = short(float64(seen.Errors-w.errors) / took)
	}
	quantiles(&s, since)
	w.at, w.errors, w.took = now, seen.Errors, seen.Took
	return s
}

func quantiles(s *Sample, took metrics.Durations) {
	s.P50 = short(took.Quantile(0.50).Seconds())
	s.P95 = short(took.Quantile(0.95).Seconds())
	s.P99 = short(took.Quantile(0.99).Seconds())
}
