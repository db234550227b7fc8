package fwatchdog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Handler is the slog.Handler of "format: classic": the lines of Go's package log,
// in which the OpenFaaS watchdogs write. A message that stands in classicWords is said in
// those words, any other as it is, its error or reason after it and its facts in
// parentheses. What is of level info and neither stands there nor is a sentence (it begins
// with a capital) is left out: they are silent where we are not. At level debug nothing is.
type Handler struct {
	Out   io.Writer
	Level slog.Leveler
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.Level.Level()
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{Out: h.Out, Level: h.Level, attrs: slices.Concat(h.attrs, attrs)}
}

// WithGroup returns h: the format has no groups.
func (h *Handler) WithGroup(string) slog.Handler { return h }

// facts are the attributes of a record.
type facts []slog.Attr

// text is the value of key, empty if there is none.
func (f facts) text(key string) string {
	for _, a := range f {
		if a.Key == key {
			return a.Value.Resolve().String()
		}
	}
	return ""
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	all := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		all = append(all, a)
		return true
	})
	var text string
	first, _ := utf8.DecodeRuneInString(r.Message)
	if say := classicWords[r.Message]; say != nil {
		text = say(all)
	} else if r.Level != slog.LevelInfo || unicode.IsUpper(first) || h.Level.Level() < slog.LevelInfo {
		text = sentence(r.Message, all)
	}
	if text == "" {
		return nil
	}
	_, err := h.Out.Write(stamped(r.Time, text))
	return err
}

// sentence is "message: reason (key=value key=value)".
func sentence(message string, all facts) string {
	var reasons, others []string
	for _, a := range all {
		value := a.Value.Resolve().String()
		switch {
		case value == "":
		case a.Key == "error", a.Key == "why":
			reasons = append(reasons, visible(value))
		case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == ')' || !unicode.IsPrint(r) }):
			others = append(others, a.Key+"="+strconv.Quote(value))
		default:
			others = append(others, a.Key+"="+value)
		}
	}
	text := strings.Join(append([]string{visible(message)}, reasons...), ": ")
	if len(others) > 0 {
		text += " (" + strings.Join(others, " ") + ")"
	}
	return text
}

// bareReason is the error as the system has it, as in "exit status 3".
func bareReason(f facts) string {
	for _, a := range f {
		if e, ok := a.Value.Any().(*failure.Error); ok && e.Plain != "" {
			return visible(e.Plain)
		}
	}
	return visible(f.text("error"))
}

// Lines writes what is said of calls, and what programs print, in that format.
type Lines struct {
	stdout, stderr io.Writer
	log            schema.Log
	classic        bool              // the lines of the classic watchdog, not of-watchdog's
	commands       map[string]string // by route
}

// NewLines returns the Lines of a configuration.
func NewLines(cfg *schema.Config, stdout, stderr io.Writer) *Lines {
	c := &Lines{stdout: stdout, stderr: stderr, log: cfg.Log, classic: cfg.Compat.ClassicLines, commands: map[string]string{}}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		words := []string{string(r.FProcess.Line)}
		if r.FProcess.Line == "" {
			words = words[:0]
		}
		for _, w := range r.FProcess.Words {
			words = append(words, w.Expand(schema.Vars{Name: r.Name}))
		}
		c.commands[r.Name] = strings.Join(words, " ")
	}
	return c
}

// Access writes the line of a call.
func (c *Lines) Access(l routes.Line) {
	if c.log.Headers {
		c.headers(l)
	}
	text := c.failure(&l)
	if line := c.line(&l); line != "" {
		text = append(text, line)
	}
	for _, t := range text {
		_, _ = c.stderr.Write(stamped(l.Time, t)) // the writer counts what it loses
	}
}

// failure is what is said of a timeout, and of a process that is not there, of which
// no other line reports.
func (c *Lines) failure(l *routes.Line) []string {
	f := l.Failed
	switch {
	case f == nil:
		return nil
	case l.Mode == schema.HTTP && (f.Kind == failure.NotReady || f.Kind == failure.CrashLoop):
		return []string{"Upstream HTTP request error: " + visible(f.Error())}
	case f.Kind != failure.Timeout:
		return nil
	case l.Mode == schema.HTTP && f.Timeout == "exec":
		return []string{"Upstream HTTP killed due to exec_timeout: " + l.Exec.String()}
	case c.forked(l) && c.classic:
		return []string{"Killing process: " + visible(c.commands[l.Route])}
	case c.forked(l) && f.Timeout == "exec":
		return []string{"signal: killed (exec_timeout: " + l.Exec.String() + ")"}
	}
	return []string{visible(f.Error())}
}

func (c *Lines) forked(l *routes.Line) bool {
	return l.Mode.Traits().Forks
}

// line is the access line; empty where those programs write none.
func (c *Lines) line(l *routes.Line) string {
	switch {
	case l.Method == "": // not a request
		return sentence(strconv.Itoa(l.Status), facts{slog.Any("error", l.Failed), slog.String("peer", l.Peer)})
	case l.Mode == schema.Static, strings.HasPrefix(l.Request.Get("User-Agent"), "kube-probe"):
		return ""
	case l.Failed != nil && l.Failed.Kind == failure.Full:
		return "" // they may be many
	case l.Failed != nil && (l.Failed.Kind == failure.Unauthorized || l.Failed.Kind == failure.Forbidden):
		return fmt.Sprintf("%s %s - %d ACCESS DENIED - (%s)", visible(l.Method), visible(l.Path), l.Status, l.Took.Round(time.Millisecond))
	case c.forked(l) && c.classic && l.Status == http.StatusOK && !l.Cut:
		wrote := ""
		if !c.log.Output {
			wrote = fmt.Sprintf("Wrote %d Bytes - ", l.Bytes)
		}
		return fmt.Sprintf("%sDuration: %fs", wrote, l.Took.Seconds())
	}
	uri := visible(l.Path)
	if l.Query != "" {
		uri += "?" + visible(l.Query)
	}
	text := fmt.Sprintf("%s %s - %d", visible(l.Method), uri, l.Status)
	took := fmt.Sprintf(" (%.4fs)", l.Took.Seconds())
	switch {
	case l.Mode == schema.HTTP && streamed(l.Request):
		text += " - Bytes: " + humanSize(l.Bytes) + took
	case l.Mode == schema.HTTP:
		text += " " + statusText(l) + " - ContentLength: " + humanSize(contentLength(l)) + took
	case l.Mode == schema.Afterburn:
		text += " " + statusText(l) + " - ContentLength: " + strconv.FormatInt(l.Bytes, 10)
	default:
		text += " - ContentLength: " + humanSize(l.Bytes) + took
	}
	if l.Cut {
		text += " cut short"
	}
	if c.log.CallID {
		id := l.Request.Get("X-Call-Id")
		if id == "" {
			id = "none"
		}
		text += " [" + visible(id) + "]"
	}
	return text
}

// streamed reports whether of-watchdog would pass the response of such a request on as a
// stream.
func streamed(h http.Header) bool {
	for _, accept := range h["Accept"] {
		accept = strings.ToLower(accept)
		if strings.Contains(accept, "text/event-stream") || strings.Contains(accept, "application/x-ndjson") {
			return true
		}
	}
	return strings.EqualFold(h.Get("Upgrade"), "websocket")
}

// contentLength is what the response said of its length, -1 if nothing.
func contentLength(l *routes.Line) int64 {
	if n, err := strconv.ParseInt(l.Response.Get("Content-Length"), 10, 64); err == nil {
		return n
	}
	if l.Status == http.StatusNoContent || l.Status == http.StatusNotModified || l.Status == 499 {
		return 0
	}
	return -1
}

// statusText returns the function's own reason phrase, otherwise the usual one.
func statusText(l *routes.Line) string {
	switch {
	case l.Reason != "":
		return visible(l.Reason)
	case l.Status == 499:
		return "Client Closed Request"
	}
	return http.StatusText(l.Status)
}

// humanSize is n in units of a thousand, with four digits.
func humanSize(n int64) string {
	size, unit := float64(n), 0
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for size >= 1000 && unit < len(units)-1 {
		size /= 1000
		unit++
	}
	return fmt.Sprintf("%.4g%s", size, units[unit])
}

// headers writes the headers of a call to standard output.
func (c *Lines) headers(l routes.Line) {
	var b strings.Builder
	for _, way := range []struct {
		word string
		h    http.Header
	}{{"in", l.Request}, {"out", l.Response}} {
		for _, name := range slices.Sorted(maps.Keys(way.h)) {
			values := visible(fmt.Sprint(way.h[name]))
			if secret(name) {
				values = "[not shown]"
			}
			if len(way.h[name]) > 0 {
				fmt.Fprintf(&b, "[%s] %s=%s\n", way.word, visible(name), values)
			}
		}
	}
	_, _ = io.WriteString(c.stdout, b.String()) // as in Access
}

// secret reports whether a header carries a client's credentials.
func secret(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key":
		return true
	}
	return false
}

// Forking logs, as the classic watchdog does, that a program is about to be started.
func (c *Lines) Forking(r *http.Request) {
	now := time.Now()
	if c.log.Output {
		if r.URL.RawQuery != "" {
			_, _ = c.stderr.Write(stamped(now, "Query  "+visible(r.URL.RawQuery))) // as in Access
		}
		_, _ = c.stderr.Write(stamped(now, "Path  "+visible(r.URL.Path)))
	}
	_, _ = c.stderr.Write(stamped(now, "Forking fprocess."))
}

// Printed writes a line of a process to our own stream of the same name.
func (c *Lines) Printed(l *child.Line) {
	text := l.Text + "\n"
	if c.log.Prefix {
		text = l.Time.Format(classicTime) + l.Stream + ": " + text
	}
	out := c.stderr
	if l.Stream == "stdout" {
		out = c.stdout
	}
	_, _ = io.WriteString(out, text) // as in Access
}

// classicTime is the time as the package log of Go writes it, in local time.
const classicTime = "2006/01/02 15:04:05 "

// stamped is a line of text.
func stamped(t time.Time, text string) []byte {
	b := make([]byte, 0, len(classicTime)+len(text)+1)
	return append(append(t.Local().AppendFormat(b, classicTime), text...), '\n')
}

// visible is s without what could pass for a line of its own, or steer a terminal.
func visible(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, s)
}
