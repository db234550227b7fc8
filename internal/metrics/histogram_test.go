package metrics

import (
	"encoding/json"
	"testing"
	"time"
)

func TestQuantilesLieWithinTheirBuckets(t *testing.T) {
	r := New(Options{RouteLabel: true}).Route("a")
	end := func(n, code int, took time.Duration) {
		for range n {
			r.Begin()
			r.End("GET", code, took)
		}
	}
	if got := r.Totals().Took.Quantile(0.5); got != 0 {
		t.Errorf("without calls: got %v, want 0", got)
	}
	end(90, 200, 700*time.Microsecond)
	before := r.Totals()
	end(90, 200, 200*time.Microsecond)
	end(9, 503, 30*time.Millisecond)
	end(1, 500, time.Minute)
	r.Begin()
	now := r.Totals()
	if now.Calls != 191 || now.Inflight != 1 || now.Errors != 10 || now.Took.Count() != 190 {
		t.Errorf("got %+v, want 191 calls, 1 of them in flight, 10 errors", now)
	}
	since := now.Took.Sub(before.Took)
	for _, c := range []struct {
		q        float64
		from, to time.Duration
	}{
		{0.5, 100 * time.Microsecond, 250 * time.Microsecond},
		{0.95, 25 * time.Millisecond, 50 * time.Millisecond},
		{0.99, 25 * time.Millisecond, 50 * time.Millisecond},
		{1, 10 * time.Second, 10 * time.Second},
	} {
		if got := since.Quantile(c.q); got < c.from || got > c.to {
			t.Errorf("the quantile %v: got %v, want one from %v to %v", c.q, got, c.from, c.to)
		}
	}
	if got := before.Took.Sub(now.Took); got != before.Took {
		t.Errorf("counted anew: got %v, want %v", got, before.Took)
	}
}

func TestDurationsInJSON(t *testing.T) {
	var d Durations
	d[0], d[5], d[len(d)-1] = 3, 2, 1
	text, err := json.Marshal(d)
	if want := `{"0.0001":3,"0.005":2,"+Inf":1}`; err != nil || string(text) != want {
		t.Fatalf("got %s, %v, want %s", text, err, want)
	}
	var back Durations
	if err := json.Unmarshal(text, &back); err != nil || back != d {
		t.Errorf("got %v, %v, want %v", back, err, d)
	}
	if err := json.Unmarshal([]byte(`{"0.0002":1,"60":2,"1e400":1}`), &back); err == nil {
		t.Error("a bound out of range: got no error")
	}
	if err := json.Unmarshal([]byte(`{"0.0002":1,"60":2}`), &back); err != nil || back[1] != 1 || back[len(back)-1] != 2 {
		t.Errorf("other bounds: got %v, %v, want them in the buckets that hold them", back, err)
	}
	for _, wrong := range []string{`{"x":1}`, `{"NaN":1}`, `{"1":-1}`, `[1]`} {
		if err := json.Unmarshal([]byte(wrong), &back); err == nil {
			t.Errorf("%s: got no error", wrong)
		}
	}
}
