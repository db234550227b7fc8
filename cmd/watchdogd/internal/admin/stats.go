package admin

import (
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// stats is what /_/stats answers: for people, and for autoscalers that read one number of a
// JSON text, such as routes.api.inflight.
type stats struct {
	Inflight int                   `json:"inflight"` // of all routes
	Queued   int                   `json:"queued"`
	Rate     float64               `json:"rate"`
	Routes   map[string]routeStats `json:"routes"`
}

// routeStats is a route in stats.
type routeStats struct {
	State     supervisor.State `json:"state"`
	Inflight  int              `json:"inflight"`  // calls under way, waiting ones too
	Queued    int              `json:"queued"`    // of these, calls that wait for a place or an instance
	Limit     int              `json:"limit"`     // limits.inflight; 0 is none
	Instances int              `json:"instances"` // that run; 0 also where a process is started for each call
	Rate      float64          `json:"rate"`      // calls a second over the last minute
	Total     uint64           `json:"total"`     // calls since watchdogd was started

	Endpoints []modes.Endpoint `json:"endpoints,omitempty"` // the servers that are run elsewhere, as in ps
}

func (d *Server) serveStats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	reply(w, d.stats(time.Now()))
}

func (d *Server) stats(now time.Time) stats {
	running := map[string]supervisor.Status{}
	for _, s := range d.Supervisor.Standing() {
		running[s.Name] = s
	}
	cfg, elsewhere := d.Config(), d.Upstreams()
	all := stats{Routes: make(map[string]routeStats, len(cfg.Routes))}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		one := d.routeStats(r, running, elsewhere, now)
		all.Routes[r.Name] = one
		all.Inflight += one.Inflight
		all.Queued += one.Queued
		all.Rate += one.Rate
	}
	d.functionStats(&all, now)
	all.Rate = rounded(all.Rate)
	return all
}

func (d *Server) routeStats(r *schema.Route, running map[string]supervisor.Status, elsewhere map[string]modes.Upstreams, now time.Time) routeStats {
	row := d.row(r, running)
	row.standing(elsewhere[r.Name])
	inflight, _, total := d.Metrics.Route(r.Name).Counts()
	one := routeStats{State: row.State, Inflight: inflight, Queued: min(row.Queued, inflight), Limit: r.Limits.Inflight, Total: total, Rate: d.rates.of(r.Name, total, now), Endpoints: row.Endpoints}
	for _, i := range row.Instances {
		if i.PID != 0 {
			one.Instances++
		}
	}
	return one
}

const (
	rateWindow = time.Minute      // over which a rate is the mean
	rateEvery  = 10 * time.Second // how often the calls are counted for it
)

// rates remembers how many calls there were, for as long as a rate looks back.
type rates struct {
	mu   sync.Mutex
	past []counted // the oldest first
}

// counted is how many calls each route had at a time.
type counted struct {
	at     time.Time
	totals map[string]uint64
}

// note counts the calls of all routes and functions.
func (d *Server) note(now time.Time) {
	cfg := d.Config()
	c := counted{now, make(map[string]uint64, len(cfg.Routes))}
	for i := range cfg.Routes {
		name := cfg.Routes[i].Name
		_, _, c.totals[name] = d.Metrics.Route(name).Counts()
	}
	if d.Functions != nil {
		for _, f := range d.Functions() {
			_, _, c.totals[f.Name] = d.Metrics.Route(f.Name).Counts()
		}
	}
	d.rates.add(c)
}

func (h *rates) add(c counted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.past = append(h.past, c)
	for len(h.past) > 1 && c.at.Sub(h.past[1].at) >= rateWindow {
		h.past = h.past[1:]
	}
}

// of is the rate of a route that has had total calls. A route that is newer than the
// window counts from its first call, or from the time when it was first counted.
func (h *rates) of(name string, total uint64, now time.Time) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.past) == 0 {
		return 0
	}
	since := h.past[0]
	for _, c := range h.past {
		if now.Sub(c.at) < rateWindow {
			break
		}
		since = c
	}
	before := since.totals[name]
	took := now.Sub(since.at).Seconds()
	if took <= 0 || total < before {
		return 0
	}
	return rounded(float64(total-before) / took)
}

// rounded is a rate that a person can read.
func rounded(rate float64) float64 { return math.Round(rate*1000) / 1000 }
