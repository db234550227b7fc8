package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Tracer exports spans to a collector of OpenTelemetry. A collector that is away, slow or
// hangs loses spans, which are counted, and delays no call. A nil Tracer does nothing.
type Tracer struct {
	log      *slog.Logger
	endpoint string
	shown    string // the endpoint without a password
	header   http.Header
	timeout  time.Duration // of one export
	delay    time.Duration // between two
	sampler  sampler
	resource []attribute

	queue   chan *Spans
	dropped atomic.Uint64
	failing bool // of Run
}

const (
	batch      = 512             // the spans of so many calls are exported together
	flushBound = 2 * time.Second // for what is left when the tracer ends
)

// Dropped is how many spans have been lost.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.dropped.Load()
}

// Endpoint is where the spans go, for a log.
func (t *Tracer) Endpoint() string { return t.shown }

// take takes the spans of a call that is over.
func (t *Tracer) take(s *Spans) {
	select {
	case t.queue <- s:
	default:
		t.lose(s)
	}
}

func (t *Tracer) lose(calls ...*Spans) {
	for _, s := range calls {
		t.dropped.Add(uint64(len(s.inner) + 1))
	}
}

// Run exports spans until ctx ends, and then what is left, for a moment.
func (t *Tracer) Run(ctx context.Context) error {
	if t == nil {
		<-ctx.Done()
		return nil
	}
	client := &http.Client{
		Timeout:       t.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
	}
	defer client.CloseIdleConnections()
	bounded, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() {
		last := time.AfterFunc(flushBound, cut)
		context.AfterFunc(bounded, func() { last.Stop() })
	})()

	due := time.NewTicker(t.delay)
	defer due.Stop()
	var gathered []*Spans
	for {
		select {
		case s := <-t.queue:
			if gathered = append(gathered, s); len(gathered) < batch {
				continue
			}
		case <-due.C:
		case <-ctx.Done():
			for t.gather(&gathered) {
				t.export(bounded, client, gathered)
				gathered = gathered[:0]
			}
			return nil
		}
		if len(gathered) > 0 {
			t.export(bounded, client, gathered)
			clear(gathered)
			gathered = gathered[:0]
		}
	}
}

// gather adds what waits to a batch, and reports whether there is something in it.
func (t *Tracer) gather(to *[]*Spans) bool {
	for len(*to) < batch {
		select {
		case s := <-t.queue:
			*to = append(*to, s)
		default:
			return len(*to) > 0
		}
	}
	return true
}

// export sends the spans of calls, or loses them. The first of several failures is logged.
func (t *Tracer) export(ctx context.Context, client *http.Client, calls []*Spans) {
	rejected, err := t.send(ctx, client, calls)
	switch {
	case err != nil:
		t.lose(calls...)
		if !t.failing {
			t.log.Warn("spans are lost: the collector of traces does not take them", "endpoint", t.shown, "error", err.Error(),
				"next", "check OTEL_EXPORTER_OTLP_ENDPOINT and that the collector takes OTLP over HTTP in JSON")
		}
		t.failing = true
	case t.failing:
		t.failing = false
		t.log.Info("the collector of traces takes spans again", "endpoint", t.shown, "lost", t.Dropped())
	}
	t.dropped.Add(rejected)
}

func (t *Tracer) send(ctx context.Context, client *http.Client, calls []*Spans) (rejected uint64, err error) {
	body, err := json.Marshal(t.request(calls))
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, values := range t.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "watchdogd")
	response, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	const most = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(response.Body, most)) // its status has been read
	if response.StatusCode/100 != 2 {
		return 0, fmt.Errorf("it answered %s", response.Status)
	}
	var partly struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"` // a 64-bit number may be a string
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(text, &partly) == nil {
		rejected, _ = strconv.ParseUint(partly.PartialSuccess.RejectedSpans.String(), 10, 64)
	}
	return rejected, nil
}
