package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// streamer serves, in Python, an endless event stream at /events and a WebSocket at /ws
// that says "tick" and answers a close frame.
const streamer = `
import os, time, threading, hashlib, base64
from http.server import ThreadingHTTPServer, BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == '/events':
            self.send_response(200)
            self.send_header('Content-Type', 'text/event-stream')
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            while True:
                self.wfile.write(b'c\\r\\ndata: tick\\n\\n\\r\\n')
                time.sleep(0.05)
        accept = base64.b64encode(hashlib.sha1((self.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()
        self.wfile.write(('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: %s\\r\\n\\r\\n' % accept).encode())
        def tick():
            try:
                while True:
                    self.wfile.write(b'\\x81\\x04tick')
                    time.sleep(0.05)
            except OSError: pass
        threading.Thread(target=tick, daemon=True).start()
        head = self.rfile.read(2)
        if len(head) == 2 and head[0] == 0x88:
            print('closed by', self.rfile.read(6).hex(), flush=True)
            self.wfile.write(b'\\x88\\x02\\x03\\xe9')
        self.close_connection = True
ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer.allow_reuse_address = True
ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
`

// serveStreamer starts watchdogd with two routes of it, of which one has a fixed port.
func serveStreamer(t *testing.T) *daemonUnderTest {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3:", err)
	}
	program := filepath.Join(t.TempDir(), "streamer.py")
	if err := os.WriteFile(program, []byte(strings.ReplaceAll(streamer, `\\`, `\`)), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveFile(t, `
server: {listen: "LISTEN"}
defaults:
  timeouts: {queue: 1m}
  fprocess: [`+python+`, `+program+`]
routes:
  - {name: own, stop: {drain: 100ms}}
  - {name: fixed, upstream: "`+freeAddress(t)+`"}
`).waitListening()
}

// stream opens path, and returns what comes after the head, once something did.
func (d *daemonUnderTest) stream(path, headers string) net.Conn {
	d.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n"); err != nil {
		d.t.Fatal(err)
	}
	var got strings.Builder
	for !strings.Contains(got.String(), "tick") {
		one := make([]byte, 1)
		if _, err := c.Read(one); err != nil {
			d.t.Fatalf("reading %s: %v after %q", path, err, got.String())
		}
		got.Write(one)
	}
	return c
}

const webSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// ends reads an event stream and a WebSocket as their clients do from now on: the latter
// answers the close frame, for which a server does not wait for long. want waits until both
// have ended, and checks that they ended as their protocols provide.
func ends(t *testing.T, events, socket net.Conn) (want func()) {
	t.Helper()
	const lastChunk, closeFrame = "\r\n0\r\n\r\n", "\x88\x02\x03\xe9"
	var reading sync.WaitGroup
	var stream, frames strings.Builder
	var streamErr, framesErr error
	reading.Go(func() { _, streamErr = io.Copy(&stream, events) })
	reading.Go(func() {
		buf := make([]byte, 4096)
		for answered := false; framesErr == nil; {
			var n int
			n, framesErr = socket.Read(buf)
			frames.Write(buf[:n])
			if !answered && strings.HasSuffix(frames.String(), closeFrame) {
				answered = true
				_, _ = socket.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe9}) // it may have been given up
			}
		}
	})
	return func() {
		t.Helper()
		reading.Wait() // each has a deadline
		if streamErr != nil || !strings.HasSuffix(stream.String(), lastChunk) {
			t.Errorf("got %.200q (%v) at the end of an event stream, want a last chunk", stream.String(), streamErr)
		}
		if framesErr != io.EOF || !strings.HasSuffix(frames.String(), closeFrame) {
			t.Errorf("got %.200q (%v) at the end of a WebSocket, want a close frame with 1001", frames.String(), framesErr)
		}
	}
}

func TestARestartEndsStreamsAndReturns(t *testing.T) {
	d := serveStreamer(t)
	for _, route := range []string{"own", "fixed"} {
		want := ends(t, d.stream("/"+route+"/events", "Connection: close\r\n"), d.stream("/"+route+"/ws", webSocket))
		if out, errOut, status := d.command("restart", route); status != 0 {
			t.Fatalf("restart %s: got status %d %s%s, want 0", route, status, out, errOut)
		}
		want()
		again := d.stream("/"+route+"/events", "")
		again.Close()
	}
	d.waitLog(`closed by `)
	if _, body := d.get("/_/health"); body == "" {
		t.Error("got no answer of /_/health, want one")
	}
}

func TestTermEndsStreamsAtOnceWithStatus0(t *testing.T) {
	d := serveStreamer(t)
	want := ends(t, d.stream("/own/events", "Connection: close\r\n"), d.stream("/fixed/ws", webSocket))
	d.signal(syscall.SIGTERM)
	want()
	if status := d.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

func TestARouteThatAReloadRemovedIsListedUntilItsLastCallIsOver(t *testing.T) {
	d := serveStreamer(t)
	_ = d.stream("/fixed/ws", webSocket)
	events := d.stream("/own/events", "Connection: close\r\n")
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, _ := strings.Cut(string(text), "  - {name: own")
	_, fixed, _ := strings.Cut(string(text), "drain: 100ms}}\n")
	if err := os.WriteFile(d.file, []byte(kept+fixed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, status := d.command("reload"); status != 0 {
		t.Fatalf("reload: got status %d %s%s, want 0", status, out, errOut)
	}
	if rest, err := io.ReadAll(events); err != nil || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("got %.200q (%v) at the end of the removed route's stream, want a last chunk", rest, err)
	}
	poll(t, "the end of own in ps", func() bool {
		out, _, _ := d.command("ps", "--json")
		var list []struct{ Name string }
		return json.Unmarshal([]byte(out), &list) == nil && len(list) == 1 && list[0].Name == "fixed"
	})
}

func TestADryRunOfReloadShowsListenersAndRoutesWithoutAProcess(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: app, fprocess: SELF}
  - {name: up, mode: streaming, fprocess: tr a-z A-Z}
  - {name: gone, mode: streaming, fprocess: cat}
`).waitListening()
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(d.base, "http://")
	more := freeAddress(t)
	changed := strings.NewReplacer(`"`+address+`"`, `["`+more+`"]`, "tr a-z A-Z}", "tr A-Z a-z, path: /down}", "name: gone,", "name: fresh,", "{name: app,", "{name: app, limits: {inflight: 3},").Replace(string(text))
	if err := os.WriteFile(d.file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut, status := d.command("reload", "--dry-run")
	if status != 0 {
		t.Fatalf("got status %d: %s%s, want 0", status, out, errOut)
	}
	for _, want := range []string{
		"start    server.listen " + more, "stop     server.listen " + address,
		"replace  up  (path, fprocess changed)", "start    fresh", "stop     gone",
		"keep     app  (limits changed, which applies to the running instances)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got no line %q, want it in:\n%s", want, out)
		}
	}
}
