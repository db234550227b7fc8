package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// program is the path of a program that may be missing here.
func (w *watchdog) program(name string) string {
	w.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		// A shim that needs a home is no program to measure by.
		out, failed := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
		if name == "python3" && failed == nil {
			path = strings.TrimSpace(string(out))
		}
		return path
	}
	if os.Getenv("CI") != "" {
		w.Fatalf("this scenario needs %s: got %v, want nothing", name, err)
	}
	w.Skipf("this scenario needs %s: %v", name, err)
	return ""
}

// source is a program in testdata.
func (w *watchdog) source(name string) string {
	w.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "openfaas", name))
	if err != nil {
		w.Fatal(err)
	}
	return path
}

// afterburn: section 7.
func afterburn() []scenario {
	run := func(w *watchdog, env ...string) *watchdog {
		return w.start(append([]string{"mode=afterburn", "afterburn=true", "fprocess=" + w.function("worker")}, env...)...)
	}
	rows := []scenario{
		{says: "one process answers all calls, and the request arrives as it was", do: func(w *watchdog) {
			s := run(w).post("/a%20b?q=1", "hello", "X-Many: one", "X-Many: two", "X-Forwarded-For: 10.0.0.1").code(200).seen()
			if s.Method != "POST" || s.URI != "/a%20b?q=1" || s.Body != "hello" || !slices.Equal(s.Header["X-Many"], []string{"one", "two"}) || s.Host != "localhost" || s.Header.Get("X-Forwarded-For") == "" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
			if again := w.get("/").code(200).seen(); again.PID != s.PID {
				w.Errorf("got process %d, want %d", again.PID, s.PID)
			}
		}},
		{says: "status and all values of headers come back, without X-Duration-Seconds", do: func(w *watchdog) {
			run(w).get("/created").is(201, "made").has("X-Many", "one", "two").has("Content-Type", "text/x")
		}},
		{says: "a body in chunks has its length for the worker", do: func(w *watchdog) {
			if s := run(w).post("/", "hello", "Transfer-Encoding: chunked").code(200).seen(); s.Length != 5 || s.Body != "hello" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "an answer in chunks is taken", do: func(w *watchdog) {
			run(w).get("/chunked").is(200, "abcdef")
		}},
		{says: "one call at a time", do: func(w *watchdog) {
			gate, arrived := filepath.Join(w.dir, "gate"), filepath.Join(w.dir, "arrived")
			run(w)
			var calls sync.WaitGroup
			calls.Go(func() { w.get("/wait?arrived="+arrived+"&until="+gate).is(200, "waited") })
			w.poll("the first", func() bool { return exists(arrived) })
			var order []string
			calls.Go(func() { w.get("/second").code(200); order = append(order, "answered") })
			w.file("gate", "")
			calls.Wait()
			if len(order) != 1 {
				w.Error(order)
			}
		}},
		{says: "the access line", do: func(w *watchdog) {
			run(w).get("/created").code(201)
			w.line(clock + "GET /created - 201 Created - ContentLength: 4.*")
		}},
		{says: "stderr goes to the log", do: func(w *watchdog) {
			run(w).get("/say").is(200, "said")
			w.line(clock + "stderr: said by the worker")
		}},
		{says: "an answer without a length is an error in the end, and the worker is replaced", do: func(w *watchdog) {
			first := run(w, "exec_timeout=1s").begun("/").seen().PID
			if a := w.get("/unframed"); a.err == nil && a.status < 500 {
				w.Errorf("got the response %v, want what the scenario says", a)
			}
			if second := w.begun("/").code(200).seen().PID; second == first {
				w.Errorf("got process %d, want another", first)
			}
		}},
		{says: "an overrun is an error, and the worker is replaced and ends nothing", do: func(w *watchdog) {
			first := run(w, "exec_timeout=1s").begun("/").seen().PID
			w.get("/hang").code(504)
			if second := w.begun("/").code(200).seen().PID; second == first {
				w.Errorf("got process %d, want another", first)
			}
		}},
		{says: "garbage is 500, and the worker is replaced and ends nothing", do: func(w *watchdog) {
			first := run(w).get("/").seen().PID
			w.get("/garbage").code(500)
			if second := w.get("/").code(200).seen().PID; second == first {
				w.Errorf("got process %d, want another", first)
			}
		}},
		{says: "more than was announced spoils no answer that follows", do: func(w *watchdog) {
			run(w).get("/extra").is(200, "this")
			for range 5 {
				w.get("/x").code(200).seen()
			}
		}},
		{says: "the worker's end ends the watchdog with its status", do: func(w *watchdog) {
			run(w).get("/exit").code(500)
			if status := w.wait(); status != 7 {
				w.Errorf("got status %d, want 7", status)
			}
		}},
		{says: "the worker's good end ends the watchdog with 1", do: func(w *watchdog) {
			run(w).get("/end").code(500)
			if status := w.wait(); status != 1 {
				w.Errorf("got status %d, want 1", status)
			}
		}},
		{says: "restart=always starts another", do: func(w *watchdog) {
			run(w, "restart=always").get("/exit").code(500)
			w.get("/").code(200)
		}},
		{says: "a large body arrives whole", do: func(w *watchdog) {
			if s := run(w).post("/", strings.Repeat("x", 3<<20)).code(200).seen(); len(s.Body) != 3<<20 {
				w.Errorf("%d bytes", len(s.Body))
			}
		}},
		{says: "the strictest client has nothing to complain of", do: func(w *watchdog) {
			w.start("mode=afterburn", "fprocess="+w.program("python3")+" "+w.source("afterburn_strict.py"))
			for i, call := range []struct{ line, body string }{{"GET /a?b=%20c", ""}, {"POST /", "hello"}, {"POST /", strings.Repeat("x", 4050)}, {"PUT /big", strings.Repeat("x", 50_000)}, {"POST /bigger", strings.Repeat("x", 300_000)}, {"DELETE /", ""}} {
				a := w.call(call.line, call.body, "User-Agent: ua", "X-B: 2", "X-A: 1", "X-B: 3", "Content-Type: text/x").code(200).has("X-Many", "one", "two").has("Content-Type", "application/json")
				var got struct {
					Method, Target string
					Body, Calls    int
					Headers        [][2]string
				}
				if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Body != len(call.body) || got.Calls != i+1 || got.Method+" "+got.Target != call.line {
					w.Errorf("%s: %v, %s", call.line, err, a.body)
				}
			}
			// What gateways leave out, or send in their own way.
			w.get("/no-agent").code(200)
			w.post("/chunked", "hello", "Transfer-Encoding: chunked").code(200)
		}},
		{says: "a client for Node answers, in bytes that it miscounts too", do: func(w *watchdog) {
			w.start("mode=afterburn", "afterburn=true", "fprocess="+w.program("node")+" "+w.source("afterburn.js"))
			w.get("/").is(200, `{"status":"done: "}`).has("Content-Type", "application/json")
			w.post("/", "hello").is(200, `{"status":"done: hello"}`)
			w.post("/", "grüße").code(200) // cut short by its own count
			w.post("/", "after").is(200, `{"status":"done: after"}`)
			w.post("/", strings.Repeat("x", 4050)).code(200).holds(strings.Repeat("x", 4050))
		}},
	}
	for i := range rows {
		rows[i].ours = true // the originals of today have no afterburn
	}
	return rows
}

// images: programs as real images have them, in every mode.
func images() []scenario {
	function := func(w *watchdog, command string, env ...string) {
		w.upstream = freePort(w.T)
		w.start(append([]string{"mode=http", "fprocess=" + command, fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream), fmt.Sprintf("FUNCTION_PORT=%d", w.upstream)}, env...)...)
		if !w.bench.ours { // there, calls do not wait for a function that starts
			w.waitPort(w.upstream)
		}
	}
	return []scenario{
		{says: "a Python HTTP function", do: func(w *watchdog) {
			function(w, w.program("python3")+" "+w.source("function.py"))
			w.post("/a?b", "hello", "Host: fn").code(200).holds(`"method": "POST"`, `"path": "/a?b"`, `"body": "hello"`, `"host": "fn"`, `"chunked": false`).like("X-Duration-Seconds", `\d+\.\d{6}`)
			w.get("/error").is(500, "the function failed").lacks("X-OpenFaaS-Internal")
			w.line(clock + "stderr: python: .POST /a.b HTTP/1.1. 200 -")
			var calls sync.WaitGroup
			for i := range 10 {
				calls.Go(func() { w.post("/", fmt.Sprint("n", i)).code(200).holds(fmt.Sprintf(`"body": "n%d"`, i)) })
			}
			calls.Wait()
		}},
		{says: "a Python HTTP function that cannot read chunks, with a buffer", ours: true, do: func(w *watchdog) {
			function(w, w.program("python3")+" "+w.source("function.py"), "http_buffer_req_body=true")
			w.post("/", "hello", "Transfer-Encoding: chunked").code(200).holds(`"body": "hello"`, `"chunked": false`)
		}},
		{says: "a Node HTTP function", do: func(w *watchdog) {
			function(w, w.program("node")+" "+w.source("function.js"))
			w.post("/a?b", "hello").code(200).holds(`"method":"POST"`, `"path":"/a?b"`, `"body":"hello"`).has("X-Function", "node")
			w.get("/stream", "Accept: text/event-stream").is(200, "data: one\n\ndata: two\n\n").has("Content-Type", "text/event-stream")
			w.prints(clock + "stdout: listening")
		}},
		{says: "a Node HTTP function says goodbye, and its last words are printed", ours: true, do: func(w *watchdog) {
			function(w, w.program("node")+" "+w.source("function.js"))
			w.get("/").code(200)
			if status := w.stop(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
			w.prints(clock + "stdout: node says goodbye")
		}},
		{says: "a shell function under the classic watchdog", of: classic, do: func(w *watchdog) {
			w.start("fprocess="+w.script(`read name; echo "hello $name from $Http_Path"; [ "$Http_Query" != fail ]`)).
				post("/x", "world\n", "Content-Type: text/plain").is(200, "hello world from /x\n").has("Content-Type", "text/plain")
			w.post("/x?fail", "world\n").is(500, "exit status 1\nhello world from /x\n")
		}},
		{says: "a Python function under the classic watchdog", of: classic, do: func(w *watchdog) {
			file := w.file("index.py", "import sys, os\nbody = sys.stdin.read()\nprint(os.environ['Http_Method'], body.upper())\n")
			w.start("fprocess="+w.program("python3")+" "+file).post("/", "hello").is(200, "POST HELLO\n")
		}},
		{says: "a form for a Python function, which sets status and headers at its end", ours: true, do: func(w *watchdog) {
			w.start("mode=serializing", "form=json", "response=cgi", "fprocess="+w.program("python3")+" "+w.source("form.py"))
			body := "--B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nworld\r\n--B\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\xff\x00\r\n--B--\r\n"
			w.post("/", body, "Content-Type: multipart/form-data; boundary=B").is(201, "hello world\n").has("X-Picture-Size", "6").has("Content-Type", "text/plain")
		}},
		{says: "bash streaming, as its template does", do: func(w *watchdog) {
			handler := w.file("handler.sh", "while read line; do echo \"line: $line\"; done\n")
			w.start("mode=streaming", "fprocess="+w.program("bash")+" "+handler).post("/", "a\nb\n").is(200, "line: a\nline: b\n")
		}},
	}
}
