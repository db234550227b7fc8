package history

import (
	"cmp"
	"slices"
	"time"
)

const (
	// Step is the time between two rows of up to finest names. With twice as many it is
	// twice as long, and so on.
	Step = 10 * time.Second
	// Kept is how long a row is kept.
	Kept = time.Hour

	finest = 101 // a hundred names, and all routes together
)

// store keeps the rows of all names. Those of the newest times are at the end: a name with n
// rows has them of the last n times.
type store struct {
	step   time.Duration
	times  []int64 // seconds since 1970
	series map[string][]row
}

// stepFor is the time between two rows of so many names.
func stepFor(names int) time.Duration {
	step := Step
	for n := finest; n < names && step < Kept/2; n *= 2 {
		step *= 2
	}
	return step
}

// most is how many rows of a name are kept.
func (s *store) most() int { return int(Kept / s.step) }

// suit makes the step that of so many names, and keeps what is known, as coarse as that.
func (s *store) suit(names int) {
	if s.series == nil {
		s.series = map[string][]row{}
	}
	s.step = stepFor(names)
	for len(s.times) > s.most() {
		s.halve()
	}
}

// halve makes one row of each two.
func (s *store) halve() {
	for name, rows := range s.series {
		half := make([]row, 0, len(rows)/2+1)
		for i := len(rows) % 2; i < len(rows); i += 2 { // from the end, as the times
			half = append(half, rows[i].with(rows[i+1]))
		}
		s.series[name] = half
	}
	half := make([]int64, 0, len(s.times)/2+1)
	for i := len(s.times) % 2; i < len(s.times); i += 2 {
		half = append(half, s.times[i+1])
	}
	s.times = half
}

// add keeps a row of each name, and forgets the names that have none, and what is old.
func (s *store) add(at time.Time, rows map[string]row) {
	old := max(0, len(s.times)+1-s.most())
	for old < len(s.times) && s.times[old] <= at.Add(-Kept).Unix() {
		old++
	}
	s.times = pushed(s.times, at.Unix(), old, s.most())
	for name := range s.series {
		if _, there := rows[name]; !there {
			delete(s.series, name)
		}
	}
	for name, r := range rows {
		its := s.series[name]
		s.series[name] = pushed(its, r, max(0, len(its)+1-len(s.times)), s.most())
	}
}

// pushed is list without its first values, and with one more. It has little room to spare.
func pushed[T any](list []T, value T, without, most int) []T {
	list = append(list[:0], list[min(without, len(list)):]...)
	if len(list) == cap(list) {
		list = append(make([]T, 0, min(len(list)+most/16+1, max(most, len(list)+1))), list...)
	}
	return append(list, value)
}

// Series is what is kept of one name, a column for each value and a row for each time.
type Series struct {
	Name      string    `json:"name"` // empty: all routes together
	At        []int64   `json:"at"`   // seconds since 1970, the oldest first
	Rate      []float64 `json:"rate"`
	Errors    []float64 `json:"errors"`
	P50       []float64 `json:"p50"`
	P95       []float64 `json:"p95"`
	P99       []float64 `json:"p99"`
	Inflight  []int     `json:"inflight"`
	Queued    []int     `json:"queued"`
	Instances []int     `json:"instances"`
	CPU       []float64 `json:"cpu"`
	RSS       []int64   `json:"rss_bytes"`
}

// of returns the last rows of the names, or of all names if there are none, in their order.
func (s *store) of(names []string, last int) []Series {
	if len(names) == 0 {
		for name := range s.series {
			names = append(names, name)
		}
		slices.SortFunc(names, cmp.Compare[string])
	}
	all := []Series{}
	for _, name := range names {
		if rows, known := s.series[name]; known {
			if last > 0 && last < len(rows) {
				rows = rows[len(rows)-last:]
			}
			all = append(all, columns(name, s.times[len(s.times)-len(rows):], rows))
		}
	}
	return all
}

func columns(name string, times []int64, rows []row) Series {
	samples := make([]Sample, len(rows))
	for i, r := range rows {
		samples[i] = r.sample()
	}
	return Series{
		Name: name, At: append([]int64{}, times...),
		Rate:      column(samples, func(s *Sample) float64 { return s.Rate }),
		Errors:    column(samples, func(s *Sample) float64 { return s.Errors }),
		P50:       column(samples, func(s *Sample) float64 { return s.P50 }),
		P95:       column(samples, func(s *Sample) float64 { return s.P95 }),
		P99:       column(samples, func(s *Sample) float64 { return s.P99 }),
		Inflight:  column(samples, func(s *Sample) int { return s.Inflight }),
		Queued:    column(samples, func(s *Sample) int { return s.Queued }),
		Instances: column(samples, func(s *Sample) int { return s.Instances }),
		CPU:       column(samples, func(s *Sample) float64 { return s.CPU }),
		RSS:       column(samples, func(s *Sample) int64 { return s.RSS }),
	}
}

func column[T any](samples []Sample, of func(*Sample) T) []T {
	all := make([]T, len(samples))
	for i := range samples {
		all[i] = of(&samples[i])
	}
	return all
}
