package routes

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/routes/origin"
	"github.com/watchdogd/watchdogd/schema"
)

// Line is what the access log says of one call when it is over. What does not apply
// is empty; a request that could not be read has no method and took no time.
type Line struct {
	Time     time.Time // of its end
	Method   string
	Path     string // as it was sent
	Query    string // without its '?': secrets travel in it
	Route    string
	Mode     schema.Mode
	Status   int    // as it was sent, or would have been
	Reason   string // the function's reason phrase, where it is not the usual one of the status
	Bytes    int64  // of the response's body
	Took     time.Duration
	Queue    time.Duration // of it, spent waiting
	Exec     time.Duration // timeouts.exec of the route
	Instance string
	Peer     string // the address of the connection's other end; empty on a unix socket
	ID       string
	Trace    string         // the id of the trace that the call is part of
	User     string         // who called, on a route with auth
	Failed   *failure.Error // nil for a call that went well
	Cut      bool           // the response did not reach its end

	Request, Response http.Header // not to be kept, nor changed
}

// LogLines writes access lines to log. Durations are in seconds.
func LogLines(log *slog.Logger) func(Line) {
	return func(l Line) {
		ctx := context.Background()
		if !log.Enabled(ctx, slog.LevelInfo) {
			return
		}
		record := slog.NewRecord(l.Time, slog.LevelInfo, "request", 0) // without the caller's place, which is always this
		var room [15]slog.Attr
		record.AddAttrs(l.attrs(room[:0])...)
		_ = log.Handler().Handle(ctx, record) // as slog.Logger does: the writer counts what it loses
	}
}

func (l *Line) attrs(attrs []slog.Attr) []slog.Attr {
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if l.Method != "" {
		attrs = append(attrs, slog.String("method", l.Method), slog.String("path", l.Path))
	}
	text("route", l.Route)
	attrs = append(attrs, slog.Int("status", l.Status), slog.Int64("bytes", l.Bytes))
	if l.Method != "" {
		attrs = append(attrs, slog.Float64("duration", seconds(l.Took)))
	}
	if l.Queue >= noWait {
		attrs = append(attrs, slog.Float64("queue_wait", seconds(l.Queue)))
	}
	text("instance", l.Instance)
	text("peer", l.Peer)
	text("user", l.User)
	text("id", l.ID)
	text("trace_id", l.Trace)
	if l.Failed != nil {
		text("timeout", l.Failed.Timeout)
		text("error", l.Failed.Error())
	}
	if l.Cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	return attrs
}

// noWait is less than who waited for something did.
const noWait = 100 * time.Microsecond

// seconds is d as a number that a person can read: to the microsecond.
func seconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e6 }

// JSONLines writes the same lines as LogLines does by a slog.JSONHandler to out, whose
// level is info at least, byte for byte. It costs a fraction: a failed call's line, and
// one with text that must be escaped, are left to slog.
func JSONLines(out *logwriter.Writer) func(Line) {
	slow := LogLines(slog.New(slog.NewJSONHandler(out, nil)))
	return func(l Line) {
		var room [512]byte
		if line, ok := l.appendJSON(room[:0]); ok {
			_, _ = out.Write(line) // as in LogLines
		} else {
			slow(l)
		}
	}
}

// appendJSON appends l to b, or reports that it has something to be escaped.
func (l *Line) appendJSON(b []byte) (_ []byte, ok bool) {
	if l.Failed != nil || l.Method == "" || l.Took < 0 || l.Time.Year() >= 10000 {
		return b, false // what is rare has one place only
	}
	ok = true
	text := func(key, value string) {
		ok = ok && plainText(value)
		b = append(append(append(b, key...), value...), '"')
	}
	b = append(b, `{"time":"`...)
	b = appendTime(b, l.Time)
	text(`","level":"INFO","msg":"request","method":"`, l.Method)
	text(`,"path":"`, l.Path)
	if l.Route != "" {
		text(`,"route":"`, l.Route)
	}
	b = strconv.AppendInt(append(b, `,"status":`...), int64(l.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), l.Bytes, 10)
	b = appendSeconds(append(b, `,"duration":`...), l.Took)
	if l.Queue >= noWait {
		b = appendSeconds(append(b, `,"queue_wait":`...), l.Queue)
	}
	if l.Instance != "" {
		text(`,"instance":"`, l.Instance)
	}
	if l.Peer != "" {
		text(`,"peer":"`, l.Peer)
	}
	if l.User != "" {
		text(`,"user":"`, l.User)
	}
	if l.ID != "" {
		text(`,"id":"`, l.ID)
	}
	if l.Trace != "" {
		text(`,"trace_id":"`, l.Trace)
	}
	if l.Cut {
		b = append(b, `,"cut":true`...)
	}
	return append(b, "}\n"...), ok
}

// second is a second as RFC 3339 has it, in two parts: fractions come between them.
type second struct {
	unix         int64
	in           *time.Location
	before, zone string
}

// lastSecond is the one that was needed last.
var lastSecond atomic.Pointer[second]

// appendTime is t.AppendFormat(b, time.RFC3339Nano), which works out the date each time.
func appendTime(b []byte, t time.Time) []byte {
	s := lastSecond.Load()
	if s == nil || s.unix != t.Unix() || s.in != t.Location() {
		s = &second{t.Unix(), t.Location(), t.Format("2006-01-02T15:04:05"), t.Format("Z07:00")}
		lastSecond.Store(s)
	}
	b = append(b, s.before...)
	if ns := t.Nanosecond(); ns > 0 {
		var digits [9]byte
		for i := len(digits) - 1; i >= 0; i-- {
			digits[i] = byte('0' + ns%10)
			ns /= 10
		}
		b = append(append(b, '.'), bytes.TrimRight(digits[:], "0")...)
	}
	return append(b, s.zone...)
}

// appendSeconds appends d as encoding/json does seconds(d): the shortest number, here by
// taking zeros away from microseconds.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := d.Round(time.Microsecond).Microseconds()
	b = strconv.AppendInt(b, us/1e6, 10)
	if us %= 1e6; us == 0 {
		return b
	}
	digits := [...]byte{'.', 0, 0, 0, 0, 0, 0}
	last := 0
	for i := len(digits) - 1; i > 0; i-- {
		digits[i] = byte('0' + us%10)
		if us /= 10; last == 0 && digits[i] != '0' {
			last = i
		}
	}
	return append(b, digits[:last+1]...)
}

// plainText reports whether JSON has s as it is: visible ASCII and blanks, but for the
// quotation mark and the backslash.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// log has the call's line written.
func (s *serving) log(took time.Duration, status int, failed *failure.Error, cut bool) {
	if s.table.opt.Access == nil {
		return
	}
	s.table.opt.Access(Line{
		Time:     s.Began().Add(took),
		Method:   s.request.Method,
		Path:     s.SentPath,
		Query:    s.request.URL.RawQuery,
		Route:    s.route.name,
		Mode:     s.route.mode,
		Status:   status,
		Bytes:    s.response.bytes,
		Took:     took,
		Queue:    s.Waited(),
		Exec:     s.route.timeouts.Exec.D(),
		Instance: s.Instance(),
		Reason:   s.Reason(),
		Peer:     origin.Peer(s.request.RemoteAddr),
		ID:       s.ID,
		Trace:    s.TraceID,
		User:     s.User,
		Failed:   failed,
		Cut:      cut,
		Request:  s.request.Header,
		Response: s.response.w.Header(),
	})
}
