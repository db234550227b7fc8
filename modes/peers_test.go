package modes

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// startServer starts a server and gives its address once it says, on a line of its standard
// output, that it listens ("port N").
func startServer(t *testing.T, name string, args ...string) string {
	t.Helper()
	return startLogged(t, &testkit.Log{}, name, args...)
}

// startLogged is startServer with what the server prints.
func startLogged(t *testing.T, log *testkit.Log, name string, args ...string) string {
	t.Helper()
	need(t, name)
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
	})
	ports := make(chan int, 1)
	reading.Go(func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(log, lines.Text())
			var port int
			if _, err := fmt.Sscanf(lines.Text(), "port %d", &port); err == nil {
				ports <- port
			}
		}
		close(ports)
	})
	port := testkit.Await(t, "a port", ports)
	if port == 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s does not listen: got %s, want port other than 0", name, &complaints)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// seenResponse is what a client sees.
type seenResponse struct {
	status int
	header http.Header
	body   []byte
}

func fetch(t *testing.T, address, method, path string, body io.Reader, header http.Header) seenResponse {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: testkit.Patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return seenResponse{res.StatusCode, res.Header, b}
}

// sameThrough checks that a response is the same through the proxy as without it.
func sameThrough(t *testing.T, front, direct, method, path string, body string, header http.Header) {
	t.Helper()
	want := fetch(t, direct, method, path, strings.NewReader(body), header)
	got := fetch(t, front, method, path, strings.NewReader(body), header)
	want.header.Del("Date")
	got.header.Del("Date")
	want.header.Del("Connection") // theirs is for their connection
	want.header.Del("Keep-Alive")
	if want.header["Content-Length"] == nil {
		got.header.Del("Content-Length") // how net/http frames what came without one
	}
	if got.status != want.status || fmt.Sprint(got.header) != fmt.Sprint(want.header) || !bytes.Equal(got.body, want.body) {
		t.Errorf("%s %s through the proxy:\n%d %v %d bytes\nwithout:\n%d %v %d bytes", method, path, got.status, got.header, len(got.body), want.status, want.header, len(want.body))
	}
}

// someFiles makes a folder with files to serve.
func someFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"empty": nil, "small.html": []byte("<p>hello</p>"), "large": randomBytes(3<<20 + 5)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPythonsServer(t *testing.T) {
	dir := someFiles(t)
	up := startServer(t, "python3", "-u", "-c", `
import http.server, sys, os
os.chdir(sys.argv[1])
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print('port', s.server_address[1])
s.serve_forever()
`, dir)
	front := proxyTo(t, up)
	for _, path := range []string{"/", "/empty", "/small.html", "/large", "/missing"} {
		sameThrough(t, front, up, "GET", path, "", nil)
		sameThrough(t, front, up, "HEAD", path, "", nil)
	}
	sameThrough(t, front, up, "POST", "/", "hello", nil)
	sameThrough(t, front, up, "DELETE", "/", "", nil)
}

func TestNodesServer(t *testing.T) {
	var log testkit.Log
	up := startLogged(t, &log, "node", "-e", `
const http = require('http'), crypto = require('crypto');
const s = http.createServer({keepAliveTimeout: 20}, (req, res) => {
  if (req.url == '/early') { res.writeHead(413, {'Content-Length': 2}); res.end('no'); return }
  if (req.url == '/hints') res.writeEarlyHints({link: '</a>; rel=preload'});
  if (req.url == '/stream') {
    res.writeHead(200, {'Content-Type': 'text/event-stream', Trailer: 'X-T'}); res.flushHeaders();
    req.on('data', d => res.write(d)).on('end', () => { res.addTrailers({'X-T': '1'}); res.end() });
    return
  }
  if (req.url == '/connection') { res.writeHead(200, {'X-Connection': req.socket.number}); res.end(); return }
  if (req.url == '/none') { res.writeHead(204); res.end(); return }
  if (req.url == '/same') { res.writeHead(304, {ETag: '"a"'}); res.end(); return }
  const h = crypto.createHash('sha256');
  let n = 0;
  req.on('data', d => { h.update(d); n += d.length }).on('end', () => {
    const b = JSON.stringify({method: req.method, url: req.url, n, sum: h.digest('hex'), length: req.headers['content-length'], te: req.headers['transfer-encoding'], expect: req.headers.expect});
    res.setHeader('Set-Cookie', ['a=1', 'b=2']);
    res.setHeader('Content-Type', 'application/json');
    if (req.url == '/length') res.setHeader('Content-Length', b.length); else res.write('');
    res.end(b);
  });
});
let connections = 0;
s.on('connection', sock => { sock.number = ++connections; sock.on('close', () => console.log('closed ' + sock.number + '.')) });
s.on('upgrade', (req, sock, head) => { sock.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n'); sock.write(head); sock.pipe(sock) });
s.listen(0, '127.0.0.1', () => console.log('port', s.address().port));
`)
	front := proxyTo(t, up)
	for _, path := range []string{"/", "/length", "/none", "/same", "/hints", "/a%2Fb//c/../d?x=%zz", "/early"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			sameThrough(t, front, up, method, path, "", nil)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
		sameThrough(t, front, up, method, "/length", "hello", nil)
	}

	large := randomBytes(2<<20 + 1)
	sum := fmt.Sprintf("%x", sha256.Sum256(large))
	for _, c := range []struct {
		body   io.Reader
		header http.Header
		want   string
	}{
		{bytes.NewReader(large), nil, `"length":"2097153"`},
		{io.MultiReader(bytes.NewReader(large)), nil, `"te":"chunked"`},
		{bytes.NewReader(large), http.Header{"Expect": {"100-continue"}}, `"expect":"100-continue"`},
	} {
		if got := fetch(t, front, "POST", "/", c.body, c.header); !bytes.Contains(got.body, []byte(sum)) || !bytes.Contains(got.body, []byte(c.want)) {
			t.Errorf("%s has no %s", got.body, c.want)
		}
	}

	// Its idle connections close after 20 ms, while ours are used repeatedly. A POST that
	// crosses such a close on its way is lost, so each comes when the connection is closed.
	for i := range 20 {
		got := fetch(t, front, "GET", "/connection", nil, nil)
		if got.status != 200 {
			t.Errorf("GET: got %d %s, want 200", got.status, got.body)
		}
		if i%4 == 3 {
			log.Await(t, "closed "+got.header.Get("X-Connection")+".")
			if got := fetch(t, front, "POST", "/", strings.NewReader("x"), nil); got.status != 200 {
				t.Errorf("POST: got %d %s, want 200", got.status, got.body)
			}
		}
	}

	body, say := io.Pipe()
	res, err := http.Post("http://"+front+"/stream", "", body)
	if err == nil {
		for range 3 {
			_, _ = io.WriteString(say, "hello")
			got := make([]byte, 5)
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "hello" {
				t.Errorf(`got %q %v, want "hello" and no error`, got, err)
			}
		}
		_ = say.Close()
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 || res.Trailer.Get("X-T") != "1" {
			t.Errorf(`got %q %v %v, want no error, and an empty rest and res.Trailer.Get("X-T") == "1"`, rest, err, res.Trailer)
		}
		_ = res.Body.Close()
	} else {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()

	client := testkit.Dial(t, front)
	client.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatalf("got %q, want %q at its start", head, "HTTP/1.1 101")
	}
	client.Send("ping")
	if got := client.Take(4); got != "ping" {
		t.Errorf(`got %q, want "ping"`, got)
	}
	_ = client.Conn.(*net.TCPConn).CloseWrite()
	if rest := client.Tail(); rest != "" {
		t.Errorf(`got %q, want ""`, rest)
	}
}

func TestNginxAsServer(t *testing.T) {
	need(t, "nginx")
	dir := someFiles(t)
	port := testkit.FreePort(t)
	scratch := t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_requests 3; gzip on; gzip_types *; gzip_min_length 1;
  server { listen 127.0.0.1:%[2]d; root %[3]s; location = /moved { return 301 /small.html; } location = /no { return 204; } }
}`, scratch, port, dir)
	file := filepath.Join(scratch, "conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", scratch, "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	up := fmt.Sprintf("127.0.0.1:%d", port)
	testkit.Eventually(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", up)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	front := proxyTo(t, up)
	for _, path := range []string{"/empty", "/small.html", "/large", "/missing", "/no", "/moved"} {
		for _, header := range []http.Header{nil, {"Accept-Encoding": {"gzip"}}, {"Range": {"bytes=2-4"}}, {"If-Modified-Since": {"Fri, 01 Jan 2100 00:00:00 GMT"}}} {
			if path == "/moved" {
				continue // a client follows it; the location is nginx's own
			}
			sameThrough(t, front, up, "GET", path, "", header)
			sameThrough(t, front, up, "HEAD", path, "", header)
		}
	}
	sameThrough(t, front, up, "POST", "/missing", "hello", nil)
}
