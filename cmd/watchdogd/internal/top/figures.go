package top

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Figures is a route or service, and what it did in the last seconds.
type Figures struct {
	history.Row

	Rate          float64 // calls a second
	ErrorRate     float64 // those of them that ended with a status of 500 or more
	P50, P95, P99 time.Duration
	CPU           float64 // of one processor, 0 to 1 and more
	Trend         []float64
}

const (
	smooth = 3  // rates and CPU are the mean of so many seconds
	recall = 10 // quantiles are those of the last second with calls, of so many
	points = 90 // of a trend
)

// past is what one row did: each second of the last ones, and each step of the last minutes.
type past struct {
	seconds []history.Sample // the oldest first
	trend   []float64        // the last is of the step that goes on
	in      int              // seconds of that step
}

// add notes a second. A step has so many.
func (p *past) add(s history.Sample, trend float64, step int) {
	p.seconds = append(p.seconds, s)
	p.seconds = p.seconds[max(len(p.seconds)-recall, 0):]
	if p.in == 0 || p.in >= step {
		p.trend, p.in = append(p.trend, 0), 0
		p.trend = p.trend[max(len(p.trend)-points, 0):]
	}
	last := &p.trend[len(p.trend)-1]
	*last += (trend - *last) / float64(p.in+1)
	p.in++
}

// figures is how row stands, which did what is in p.
func (p *past) figures(row history.Row) Figures {
	f := Figures{Row: row, Trend: p.trend}
	if recent := p.seconds[max(len(p.seconds)-smooth, 0):]; len(recent) > 0 {
		for _, s := range recent {
			f.Rate += s.Rate / float64(len(recent))
			f.ErrorRate += s.Errors / float64(len(recent))
			f.CPU += s.CPU / float64(len(recent))
		}
	}
	for _, s := range slices.Backward(p.seconds) {
		if s.P99 > 0 {
			f.P50, f.P95, f.P99 = seconds(s.P50), seconds(s.P95), seconds(s.P99)
			break
		}
	}
	return f
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// called reports whether f has calls: services have none.
func (f *Figures) called() bool { return f.Kind == supervisor.Route }

// trendOf is the value of the trend: calls a second, of a service the CPU time.
func trendOf(r *history.Row) float64 {
	if r.Kind == supervisor.Route {
		return r.Rate
	}
	return r.CPU
}

// bars are the heights of a sparkline.
var bars = [...]rune{'▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'}

// spark draws the last points in n cells, the highest of them in full height. What is not 0 is
// higher than what is.
func spark(points []float64, n int) string {
	points = points[max(len(points)-n, 0):]
	most := 0.0
	for _, p := range points {
		most = math.Max(most, p)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", n-len(points)))
	for _, p := range points {
		height := 0
		if p > 0 {
			height = max(int(math.Round(p/most*float64(len(bars)-1))), 1)
		}
		b.WriteRune(bars[height])
	}
	return b.String()
}
