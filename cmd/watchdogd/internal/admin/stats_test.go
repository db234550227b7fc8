package admin

import (
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/swarm"
)

func TestTheCallsOfFunctionsAreCountedForTheirRate(t *testing.T) {
	start := time.Unix(1000, 0)
	m := metrics.New(metrics.Options{RouteLabel: true})
	d := &Server{Metrics: m, Config: func() *schema.Config { return &schema.Config{} },
		Functions: func() []functions.Status { return []functions.Status{{Status: swarm.Status{Name: "echo"}}} }}
	m.Route("echo").End("GET", 200, time.Millisecond)
	d.note(start)
	d.note(start.Add(rateWindow))
	if got := d.rates.of("echo", 1, start.Add(rateWindow)); got != 0 {
		t.Errorf("a minute after its only call: got %v calls a second, want 0", got)
	}
	if got := d.rates.of("echo", 61, start.Add(rateWindow)); got != 1 {
		t.Errorf("with 60 calls in the minute: got %v calls a second, want 1", got)
	}
}

func TestARateIsTheMeanOfTheLastMinute(t *testing.T) {
	start := time.Unix(1000, 0)
	var h rates
	if got := h.of("a", 5, start); got != 0 {
		t.Errorf("before anything was counted: got %v, want 0", got)
	}
	total := uint64(0)
	for i := range 30 { // ten calls each ten seconds, and then none
		h.add(counted{start.Add(time.Duration(i) * rateEvery), map[string]uint64{"a": total}})
		if i < 20 {
			total += 10
		}
		now := start.Add(time.Duration(i)*rateEvery + 5*time.Second)
		got := h.of("a", total, now)
		switch {
		case i == 0 && got != 2: // ten in five seconds
			t.Errorf("in the first seconds: got %v a second, want 2", got)
		case i >= 7 && i < 20 && (got < 1 || got > 1.2):
			t.Errorf("at %d: got %v a second, want about 1", i, got)
		case i > 27 && got != 0:
			t.Errorf("a minute after the last call: got %v a second, want 0", got)
		}
		if len(h.past) > 8 {
			t.Fatalf("remembered: got %d times, want those of a minute", len(h.past))
		}
	}
	now := start.Add(30 * rateEvery)
	if got := h.of("new", 65, now); got < 0.9 || got > 1.1 {
		t.Errorf("a new route: got %v a second, want its calls over the minute", got)
	}
	if got := h.of("a", 3, now); got != 0 {
		t.Errorf("a route that counts anew: got %v, want 0", got)
	}
}
