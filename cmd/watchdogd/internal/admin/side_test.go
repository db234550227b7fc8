package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// net/http keeps far more than its bytes of a head of many fields.
func TestTheMetricsTakeNoLargeHead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Side{note: func(time.Time) {}, observe: func(context.Context) error { return nil }, log: slog.New(slog.DiscardHandler), servers: []sideServer{{what: "metrics", listener: l, handler: http.NotFoundHandler()}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for _, c := range []struct{ size, want int }{{sideHeader / 2, 404}, {2 * sideHeader, 431}} {
		r, err := http.NewRequest("GET", "http://"+l.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X", strings.Repeat("x", c.size))
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("a head of %d bytes: got %d, want %d", c.size, response.StatusCode, c.want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
