package logbook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// screen is the log as a person reads it on a terminal: "name | line", for what programs
// print, for one line of each request, and for what happens to them. It is a slog.Handler.
type screen struct {
	on      terminal.Screen
	columns *terminal.Columns
	held    *held
	level   slog.Leveler
	lines   *atomic.Bool // each request has a line
	name    string       // of the route or service that the records are about
	attrs   []slog.Attr
}

// ourName is the name of lines that are about no route or service.
const ourName = "watchdogd"

func newScreen(out io.Writer, on terminal.Screen, level slog.Leveler) *screen {
	h := &held{out: out, holds: true}
	return &screen{on: on, columns: terminal.NewColumns(h, on, ourName), held: h, level: level, lines: new(atomic.Bool), name: ourName}
}

// names are the names of the routes and services of cfg.
func names(cfg *schema.Config) (all []string) {
	for i := range cfg.Routes {
		all = append(all, cfg.Routes[i].Name)
	}
	for i := range cfg.Services {
		all = append(all, cfg.Services[i].Name)
	}
	return all
}

// Enabled implements slog.Handler.
func (s *screen) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level.Level() }

// WithAttrs implements slog.Handler.
func (s *screen) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *s
	for _, a := range attrs {
		if isName(a.Key) {
			with.name = a.Value.String()
		} else {
			with.attrs = append(slices.Clip(with.attrs), a)
		}
	}
	return &with
}

// WithGroup returns s: the format has no groups.
func (s *screen) WithGroup(string) slog.Handler { return s }

// isName reports whether an attribute says whom a record is about.
func isName(key string) bool { return key == "route" || key == "service" }

// Handle implements slog.Handler.
func (s *screen) Handle(_ context.Context, r slog.Record) error {
	name, attrs := s.name, slices.Clone(s.attrs)
	r.Attrs(func(a slog.Attr) bool {
		if isName(a.Key) {
			name = a.Value.String()
		} else {
			attrs = append(attrs, a)
		}
		return true
	})
	if s.lines.Load() && event.OfRequest(r.Message) {
		return nil // the line of the request has the reason
	}
	text := s.words(r.Message, attrs)
	if text == "" {
		return nil
	}
	tone := terminal.Faint
	switch {
	case r.Level >= slog.LevelError:
		tone = terminal.Bad
	case r.Level >= slog.LevelWarn:
		tone = terminal.Warn
	}
	if r.Message == event.AskedToStop {
		_, _ = io.WriteString(s.held, "\r") // over the ^C that the terminal shows; the writer counts what it loses
	}
	return s.columns.Print(name, text, tone)
}

// words is a record in the words of this format; empty is not written.
func (s *screen) words(message string, attrs []slog.Attr) string {
	of := func(key string) string {
		for _, a := range attrs {
			if a.Key == key {
				return a.Value.Resolve().String()
			}
		}
		return ""
	}
	switch message {
	case event.Starting, event.AdminListening, event.LockWritten, event.LockRemoved, event.NoLock:
		if s.level.Level() > slog.LevelDebug {
			return "" // the table says what is served
		}
	case event.Listening:
		if s.held.holding() {
			return "" // as above
		}
		return "listening on " + of("address")
	case event.Process:
		return event.Change(attrs)
	case event.AskedToStop:
		asked := of("signal")
		if asked == "SIGINT" {
			asked = "Ctrl-C"
		}
		text := "stopping (" + asked + "); press Ctrl-C again to cut off what is left"
		if delay := of("delay"); delay != "" && delay != "0s" {
			text += "; serving for another " + delay
		}
		return text
	case event.Draining:
		if of("which") == "" {
			return ""
		}
		return fmt.Sprintf("waiting up to %s for %s", of("timeout"), of("which"))
	case event.WaitingForCalls:
		return fmt.Sprintf("still waiting for %s; press Ctrl-C to cut it off", of("which"))
	case event.WaitingForProcesses:
		return fmt.Sprintf("waiting for %s; press Ctrl-C to kill it", of("which"))
	case event.Stopped:
		if cut := of("cut"); cut != "0" {
			return "stopped; requests that were cut off: " + cut
		}
		return "stopped"
	}
	return sentence(message, attrs)
}

// sentence is "message: reason (key=value key=value)".
func sentence(message string, attrs []slog.Attr) string {
	var facts []string
	for _, a := range attrs {
		value := a.Value.Resolve().String()
		switch {
		case value == "" || a.Key == "id":
		case a.Key == "error" || a.Key == "why":
			message += ": " + value
		case strings.ContainsAny(value, " \t\n\"()"):
			facts = append(facts, a.Key+"="+strconv.Quote(value))
		default:
			facts = append(facts, a.Key+"="+value)
		}
	}
	if len(facts) > 0 {
		message += " (" + strings.Join(facts, " ") + ")"
	}
	return message
}

// printed writes a line of a process.
func (s *screen) printed(l *child.Line) {
	_ = s.columns.Print(Source(l), l.Text, terminal.Normal) // the writer counts what it loses
}

// Source is the name that a line of a process bears: NAME, or NAME.2 for its instance 2.
func Source(l *child.Line) string {
	if l.Instance > 0 {
		return l.Name + "." + strconv.Itoa(l.Instance)
	}
	return l.Name
}

// ToneOf is how a line that logs shows is meant.
func ToneOf(l *child.Line) terminal.Tone {
	switch l.Stream {
	case child.EventStream, RequestStream, "lost":
		return terminal.Faint
	}
	return terminal.Normal
}

// request writes the line of a request.
func (s *screen) request(l routes.Line) {
	name := l.Route
	if name == "" {
		name = ourName
	}
	what, failed := "", ""
	if l.Method != "" {
		what = l.Method + " " + l.Path
	}
	if l.Failed != nil {
		failed = whatFailed(l.Status, l.Failed)
	}
	text, tone := inShort(what, l.Status, l.Took, l.Cut, failed)
	_ = s.columns.Print(name, text, tone) // as in printed
}

// inShort is a request in one short line, and how it went. what is its method and path,
// empty for one that could not be read.
func inShort(what string, status int, took time.Duration, cut bool, failed string) (string, terminal.Tone) {
	tone := terminal.Faint
	switch {
	case status >= 500 || cut:
		tone = terminal.Bad
	case status >= 400:
		tone = terminal.Warn
	}
	text := strconv.Itoa(status)
	if what != "" {
		text = what + " " + text + " " + short(took)
	}
	if cut {
		text += ", cut short"
	}
	if failed != "" {
		text += ": " + failed
	}
	return text, tone
}

// whatFailed is what an operator is told of a failed request: of one that is the client's own
// fault, not what it came from.
func whatFailed(status int, f *failure.Error) string {
	if status >= 400 && status < 500 {
		return f.Detail
	}
	return f.Error()
}

// short is a duration with three digits at most: 412µs, 3.2ms, 1.25s.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// held is a writer that keeps what it is given until it is released.
type held struct {
	out io.Writer

	mu    sync.Mutex
	holds bool
	kept  bytes.Buffer
}

// mostHeld is how much is held at most: with more, the lines come first.
const mostHeld = 256 << 10

func (h *held) holding() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.holds
}

// Write implements io.Writer.
func (h *held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.holds {
		return h.out.Write(p)
	}
	h.kept.Write(p)
	if h.kept.Len() > mostHeld {
		h.let(nil)
	}
	return len(p), nil
}

// release writes first, if there is something, and then what was held.
func (h *held) release(first []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.let(first)
}

// let is release; h.mu is held.
func (h *held) let(first []byte) {
	all := append(bytes.Clone(first), h.kept.Bytes()...)
	h.holds, h.kept = false, bytes.Buffer{}
	if len(all) > 0 {
		_, _ = h.out.Write(all) // the writer counts what it loses
	}
}
