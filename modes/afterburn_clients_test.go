package modes

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// nodeClient is as strict and as wrong as the client library that images of afterburn have
// for Node: all of the head, with "Content-Length: " written so, must be in the first read; a
// request is taken for complete as soon as so many bytes are there as the body alone has, and
// what is left over breaks it. Its own lengths count UTF-16 units.
const nodeClient = `
let head = null, want = 0, got = null;
const fail = why => { process.stdout.write(why + '\n'); process.exit(1) };
process.stdin.on('data', data => {
  if (!head) {
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) fail('no head in the first read');
    head = data.slice(0, end).toString();
    const length = head.split('\r\n').map(l => l.split(': ')).find(f => f[0] == 'Content-Length');
    if (!length) fail('no Content-Length');
    want = parseInt(length[1]);
    got = data.slice(end + 4);
    if (data.length < want) return;
  } else {
    got = Buffer.concat([got, data]);
  }
  if (got.length < want) got = Buffer.concat([got, Buffer.alloc(want - got.length)]);
  if (got.length > want) fail('more than a request');
  const line = head.split('\r\n')[0].split(' ');
  const text = line[1] == '/pid' ? '' + process.pid : line[0] + ' ' + got.length + ' ' + got.toString().toUpperCase();
  head = got = null;
  process.stdout.write('HTTP/1.1 200 OK\r\nContent-Length: ' + text.length + '\r\n\r\n' + text);
});
`

// pythonClient reads as the one for Python does: lines up to an empty one, whose last byte is
// there then, and so many characters as its Content-Length says; it writes no Content-Type.
const pythonClient = `
import os, sys
while True:
    head = {}
    first = sys.stdin.buffer.readline().decode().rstrip('\r\n')
    while True:
        line = sys.stdin.buffer.readline()
        if line == b'\r\n': break
        if line == b'': sys.exit(0)
        name, value = line.decode().rstrip('\r\n').split(': ', 1)
        head[name.lower()] = value
    body = sys.stdin.buffer.read(int(head['content-length'])).decode()
    method, path = first.split(' ')[:2]
    text = str(os.getpid()) if path == '/pid' else '%s %d %s' % (method, len(body), body.upper())
    if path == '/exit': raise SystemExit('the handler failed')
    sys.stdout.write('HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(text), text))
    sys.stdout.flush()
`

func TestTheKnownClientsOfAfterburn(t *testing.T) {
	for name, program := range map[string][2]string{"node": {"client.js", nodeClient}, "python3": {"client.py", pythonClient}} {
		t.Run(name, func(t *testing.T) {
			need(t, name)
			file := filepath.Join(t.TempDir(), program[0])
			if err := os.WriteFile(file, []byte(program[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			s := supervise(t, "mode: afterburn\nfprocess: "+name+" "+file)
			pid := func() string { _, pid := s.do(t, "GET", "/pid", nil); return pid }
			first := pid()
			for _, body := range []string{"", "hello", strings.Repeat("x", 4050), strings.Repeat("y", 30000)} {
				for _, method := range []string{"POST", "PUT"} {
					resp, got := s.do(t, method, "/path?q", strings.NewReader(body), "X-Long", strings.Repeat("l", 3000))
					if want := method + " " + strconv.Itoa(len(body)) + " " + strings.ToUpper(body); resp.StatusCode != 200 || got != want {
						t.Errorf("%s of %d bytes: got %d %v, %.60q, want 200 and %.60q", method, len(body), resp.StatusCode, resp.Header, got, want)
					}
				}
			}
			if again := pid(); again != first {
				t.Errorf("it was replaced: got %s, %s, want again == first", first, again)
			}
			if name == "node" {
				// What its wrong length leaves over is no answer to a request.
				_, got := s.do(t, "POST", "/", strings.NewReader("ääää"))
				if !strings.HasPrefix("POST 8 ÄÄÄÄ", got) {
					t.Errorf(`got %q, want strings.HasPrefix("POST 8 ÄÄÄÄ", got)`, got)
				}
				if _, got := s.do(t, "POST", "/", strings.NewReader("next")); got != "POST 4 NEXT" {
					t.Errorf(`got %q, want "POST 4 NEXT"`, got)
				}
				return
			}
			resp, body := s.do(t, "GET", "/exit", nil)
			wantProblem(t, resp, body, 502, "the worker ended during this call: exit status 1")
			testkit.Eventually(t, "the next worker is ready", func() bool {
				resp, got := s.do(t, "POST", "/", strings.NewReader("next"))
				return resp.StatusCode == 200 && got == "POST 4 NEXT"
			})
		})
	}
}
