package routes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// written returns what both ways make of a line.
func written(l Line) (fast, slow string) {
	var a, b bytes.Buffer
	JSONLines(logwriter.New(&a))(l)
	LogLines(slog.New(slog.NewJSONHandler(&b, nil)))(l)
	return a.String(), b.String()
}

// Whatever a line holds, it is byte for byte what slog writes; most by the fast way.
func FuzzJSONLinesAreSlogs(f *testing.F) {
	f.Add("GET", "/a/b", "api", "api/0", "192.0.2.7", "0123abcd", "", int64(1730000000123456789), 200, int64(1024), int64(1234567), int64(0), false)
	f.Add("GET", "/<script>&", "api", "", "::1", "x", "", int64(0), 204, int64(0), int64(999), int64(100_000), true)
	f.Add("PÜT", "/\xff\x00\u2028\x7f", "a\"b\\", "\n", "", "", "the \"process\" ended", int64(-1), 0, int64(-1), int64(1e15+499), int64(5e11), true)
	f.Add("", "", "", "", "", "", "no HTTP request", int64(1), 400, int64(10), int64(0), int64(0), false)
	f.Add("POST", "/x", "y", "", "", "", "", int64(1730000000000000000), 200, int64(1), int64(-1), int64(1e18), false)
	f.Fuzz(func(t *testing.T, method, path, route, instance, peer, id, why string, at int64, status int, size, took, queue int64, cut bool) {
		l := Line{Method: method, Path: path, Route: route, Instance: instance, Peer: peer, ID: id, Cut: cut,
			Time: time.Unix(0, at), Status: status, Bytes: size, Took: time.Duration(took), Queue: time.Duration(queue)}
		if why != "" {
			l.Failed = &failure.Error{Detail: why, Timeout: "exec", Cause: errors.New(path)}
		}
		if fast, slow := written(l); fast != slow {
			t.Fatalf("got %#v\n%s%s\nwant fast == slow", l, fast, slow)
		}
	})
}

func TestDurationsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	for _, us := range []int64{0, 1, 9, 10, 99, 100, 1000, 123456, 999999, 1e6, 1000001, 1500000, 86400e6, 1 << 52, 9007199254} {
		l := Line{Method: "GET", Path: "/", Took: time.Duration(us)*time.Microsecond + 499, Time: time.Now()}
		if _, ok := l.appendJSON(nil); !ok {
			t.Fatalf("%d: not written the fast way", us)
		}
		if fast, slow := written(l); fast != slow {
			t.Errorf("got %s%s, want fast == slow", fast, slow)
		}
	}
}

var usual = Line{
	Time: time.Now(), Method: "GET", Path: "/api/items/42", Route: "api", Status: 200, Bytes: 1024, Took: 1234 * time.Microsecond,
	Instance: "api/0", Peer: "192.0.2.7", ID: "0123456789abcdef0123456789abcdef",
}

func TestAnAccessLineAllocatesNothing(t *testing.T) {
	write := JSONLines(logwriter.New(io.Discard))
	if n := testkit.Allocs(100, 0, func() { write(usual) }); n > 0 && !racing {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkAccessLine(b *testing.B) {
	out := logwriter.New(io.Discard)
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = out.Run(ctx) })
	defer running.Wait()
	defer stop()
	for name, write := range map[string]func(Line){
		"slog": LogLines(slog.New(slog.NewJSONHandler(out, nil))),
		"fast": JSONLines(out),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				write(usual)
			}
		})
	}
}
