package server

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheShareOfTheProcessorsTime(t *testing.T) {
	var l cpuLoad
	begin := time.Now()
	for i, c := range []struct {
		after, used time.Duration // since begin, and so far
		processors  int
		want        float64
	}{
		{0, time.Second, 1, 0}, // nothing is known of the time before
		{time.Second, 2 * time.Second, 1, 1},
		{2 * time.Second, 2 * time.Second, 1, 0},
		{4 * time.Second, 3 * time.Second, 1, 0.5},
		{5 * time.Second, 4 * time.Second, 2, 0.5},
		{6 * time.Second, 8 * time.Second, 4, 1},
	} {
		if got := l.share(begin.Add(c.after), c.used, c.processors); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("look %d: got %v, want %v", i, got, c.want)
		}
	}
}

func TestASaturatedServerAnswersTheSame(t *testing.T) {
	requests := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	answers := func(saturated bool) string {
		nc := &script{in: strings.NewReader(requests)}
		s := &Server{Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", "now")
			if got := w.(interface{ Saturated() bool }).Saturated(); got != saturated {
				t.Errorf("Saturated: got %v, want %v", got, saturated)
			}
			_, _ = io.Copy(w, r.Body)
		})}
		s.saturated.Store(saturated)
		newConn(s, nc).serve()
		return nc.out.String()
	}
	if got, want := answers(true), answers(false); got != want || strings.Count(want, "200 OK") != 2 {
		t.Errorf("got %q, want %q with two responses", got, want)
	}
}

func TestAServerWithoutConnectionsIsNotSaturated(t *testing.T) {
	s := &Server{Header: time.Second}
	s.saturated.Store(true)
	s.watch()
	if s.saturated.Load() {
		t.Error("got saturated, want not: the next look comes after the next connection")
	}
}
