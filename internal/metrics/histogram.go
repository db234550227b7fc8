package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

// bounds are the upper ends of the buckets. Those with a label are of-watchdog's, and the
// only ones in the exposition; most calls take less than the lowest of them, so there are
// more for those who watch.
var bounds = [...]struct {
	most time.Duration
	le   string // empty for one that is not exposed
}{
	{100 * time.Microsecond, ""}, {250 * time.Microsecond, ""}, {500 * time.Microsecond, ""}, {time.Millisecond, ""}, {2500 * time.Microsecond, ""},
	{5 * time.Millisecond, "0.005"}, {10 * time.Millisecond, "0.01"}, {25 * time.Millisecond, "0.025"},
	{50 * time.Millisecond, "0.05"}, {100 * time.Millisecond, "0.1"}, {250 * time.Millisecond, "0.25"},
	{500 * time.Millisecond, "0.5"}, {time.Second, "1"}, {2500 * time.Millisecond, "2.5"},
	{5 * time.Second, "5"}, {10 * time.Second, "10"},
}

// histogram counts durations in buckets; the last one has no bound.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// bucketOf returns the index of the bucket that d is counted in.
func bucketOf(d time.Duration) int {
	i := 0
	for i < len(bounds) && d > bounds[i].most {
		i++
	}
	return i
}

// merge adds what other has counted.
func (h *histogram) merge(other *histogram) {
	for i := range h.buckets {
		h.buckets[i].Add(other.buckets[i].Load())
	}
	h.sum.Add(other.sum.Load())
}

func (h *histogram) count() uint64 { return h.addTo(new(Durations)) }

// addTo adds what h has counted to d, and returns how many that are.
func (h *histogram) addTo(d *Durations) (n uint64) {
	for i := range h.buckets {
		in := h.buckets[i].Load()
		d[i] += in
		n += in
	}
	return n
}

// write writes the series of h, if it has counted anything.
func (h *histogram) write(w io.Writer, name, labels string) {
	if h.count() == 0 {
		return
	}
	var n uint64
	for i := range bounds {
		n += h.buckets[i].Load()
		if bounds[i].le != "" {
			fmt.Fprintf(w, "%s_bucket{%s} %d\n", name, join(labels, `le="`+bounds[i].le+`"`), n)
		}
	}
	n += h.buckets[len(bounds)].Load()
	fmt.Fprintf(w, "%s_bucket{%s} %d\n", name, join(labels, `le="+Inf"`), n)
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(w, "%s_sum%s %v\n", name, labels, time.Duration(h.sum.Load()).Seconds())
	fmt.Fprintf(w, "%s_count%s %d\n", name, labels, n)
}

// Durations is how many calls took how long: those up to a moment, or between two. In JSON it
// is an object of the buckets that are not empty, by their upper bounds in seconds:
// {"0.001": 12, "+Inf": 1}.
type Durations [len(bounds) + 1]uint64

// Count returns how many there are.
func (d Durations) Count() (n uint64) {
	for _, in := range d {
		n += in
	}
	return n
}

// Sub returns those of d that are not in before. If before has more in a bucket, the counting
// has begun anew, and all of d is returned.
func (d Durations) Sub(before Durations) Durations {
	since := d
	for i := range d {
		if before[i] > d[i] {
			return d
		}
		since[i] -= before[i]
	}
	return since
}

// Quantile returns the duration that the share q of all calls, from 0 to 1, did not exceed:
// within the bucket where that is the case, in proportion. Of those above the highest bound it
// is that bound. Without calls it is 0.
func (d Durations) Quantile(q float64) time.Duration {
	total := d.Count()
	if total == 0 {
		return 0
	}
	rank, below, from := q*float64(total), 0.0, time.Duration(0)
	for i, in := range d[:len(bounds)] {
		n := float64(in)
		if in > 0 && below+n >= rank {
			return from + time.Duration(max(rank-below, 0)/n*float64(bounds[i].most-from))
		}
		below, from = below+n, bounds[i].most
	}
	return from
}

// MarshalJSON implements json.Marshaler.
func (d Durations) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, in := range d {
		if in == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, '"')
		if i == len(bounds) {
			out = append(out, "+Inf"...)
		} else {
			out = strconv.AppendFloat(out, bounds[i].most.Seconds(), 'f', -1, 64)
		}
		out = strconv.AppendUint(append(out, `":`...), in, 10)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler. What another version has counted by other bounds
// is counted in the buckets that hold these.
func (d *Durations) UnmarshalJSON(text []byte) error {
	*d = Durations{}
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	var all map[string]uint64
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for bound, n := range all {
		seconds, err := strconv.ParseFloat(bound, 64)
		if err != nil || math.IsNaN(seconds) {
			return fmt.Errorf("%q is not the bound of a bucket", bound)
		}
		i := len(bounds)
		if seconds <= bounds[len(bounds)-1].most.Seconds() {
			i = bucketOf(time.Duration(math.Round(seconds * 1e9)))
		}
		d[i] += n
	}
	return nil
}
