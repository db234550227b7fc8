package routes

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// streaming writes one event and then waits for the end of its call.
func streaming(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, "data: begun\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // as modes do
	}
}

func TestAnEventStreamEndsWholeWhenTheDrainBeginsAndIsNotCut(t *testing.T) {
	f := serve(t, entry("a", streaming("text/event-stream; charset=utf-8")))
	c := f.dial("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	readAnswer(t, c, "begun\n\n")
	if cut := f.live.Drain(within(t, testkit.Patience)); cut != 0 {
		t.Errorf("got %d calls cut, want 0", cut)
	}
	if rest, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("got %q (%v), want the last chunk", rest, err)
	}
	if line := f.log.request(t); line["cut"] != nil || line["status"] != float64(200) {
		t.Errorf("got %v, want status 200 and no cut", line)
	}
}

func TestAnEventStreamOverHTTP2EndsWholeWhenTheDrainBegins(t *testing.T) {
	f := serve(t, entry("a", streaming("text/event-stream")))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(f.request("GET", "/a", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if cut := f.live.Drain(within(t, testkit.Patience)); cut != 0 {
		t.Errorf("got %d calls cut, want 0", cut)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data: begun\n\n" {
		t.Errorf("got %q (%v), want a whole response", body, err)
	}
}

func TestLinesOfJSONAreNotEndedAsIfWhole(t *testing.T) {
	f := serve(t, entry("a", streaming("application/x-ndjson")))
	c := f.dial("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	readAnswer(t, c, "begun\n\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if cut := f.live.Drain(ctx); cut != 1 {
		t.Errorf("got %d calls cut, want 1", cut)
	}
	if rest, _ := io.ReadAll(c); strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("got %q, want no last chunk", rest)
	}
}

func TestCallsInFlightAndRemovedRoutesAreCounted(t *testing.T) {
	g := newGate()
	e := entry("a", g.ServeHTTP)
	f := serve(t, e)
	call := f.startGet("/a")
	g.wait(t)
	old := f.live.Table()
	f.live.Swap(NewTable([]Entry{entry("b", hello("b"))}, f.options))
	if n := old.Calls("a"); n != 1 {
		t.Errorf("got %d calls of a, want 1", n)
	}
	if former := f.live.Former(); len(former) != 1 || former[0] != (Former{"a", 1}) {
		t.Errorf("got %v, want a with 1 call", former)
	}
	if waits := f.live.Waits(); !strings.HasPrefix(waits, "GET /a from 127.0.0.1:") {
		t.Errorf("got %q, want it to name GET /a", waits)
	}
	g.let <- struct{}{}
	<-call
	testkit.Eventually(t, "no former route", func() bool { return len(f.live.Former()) == 0 })
}
