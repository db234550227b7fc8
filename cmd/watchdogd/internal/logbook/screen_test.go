package logbook

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// onScreen returns a log on a terminal, and what stands there.
func onScreen() (b *Book, shown *bytes.Buffer) {
	shown = new(bytes.Buffer)
	b = &Book{Level: new(slog.LevelVar), format: "screen"}
	b.screen = newScreen(shown, terminal.Plain, b.Level)
	b.screen.held.release(nil)
	b.Logger = slog.New(b.screen)
	return b, shown
}

func TestAFailedRequestIsOneLineOnATerminal(t *testing.T) {
	b, shown := onScreen()
	cfg := &schema.Config{Log: schema.Log{Level: "info", Access: true}}
	access := b.Access(cfg)
	eof := errors.New("EOF")
	for _, message := range []string{event.UpstreamFailed, event.NotStarted, event.Failed, event.OutputRefused, event.CallFailed, event.WorkerRefused, event.NoRoom} {
		shown.Reset()
		b.With("route", "api").Warn(message, "pid", 7, "error", eof)
		access(routes.Line{Route: "api", Method: "GET", Path: "/", Status: 502, Took: time.Millisecond, Failed: &failure.Error{Kind: failure.BadUpstream, Detail: "no response", Cause: eof}})
		if got, want := shown.String(), "api       | GET / 502 1ms: no response: EOF\n"; got != want {
			t.Errorf("%s: got\n%swant\n%s", message, got, want)
		}
	}
}

func TestWithoutLinesOfRequestsATerminalShowsWhyOneFailed(t *testing.T) {
	b, shown := onScreen()
	b.Access(&schema.Config{Log: schema.Log{Level: "info", Access: true}})
	if access := b.Access(&schema.Config{Log: schema.Log{Level: "info"}}); access != nil {
		t.Fatal("got lines of requests without log.access, want none")
	}
	b.With("route", "api").Warn(event.UpstreamFailed, "id", "7", "error", errors.New("EOF"))
	if got := shown.String(); !strings.Contains(got, "upstream failed: EOF") {
		t.Errorf("got %q, want the reason in it", got)
	}
}

func TestOfAResponseThatWasCutTheLineHasTheCause(t *testing.T) {
	b, shown := onScreen()
	access := b.Access(&schema.Config{Log: schema.Log{Level: "info", Access: true}})
	access(routes.Line{Route: "api", Method: "GET", Path: "/", Status: 200, Cut: true, Took: time.Millisecond, Failed: &failure.Error{Kind: failure.BadUpstream, Detail: "the upstream failed", Cause: errors.New("connection reset")}})
	if got, want := shown.String(), "api       | GET / 200 1ms, cut short: the upstream failed: connection reset\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
