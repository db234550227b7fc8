package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// access is an access line of of-watchdog.
func access(request string, status int, size string) string {
	return clock + regexp.QuoteMeta(fmt.Sprintf("%s - %d - ContentLength: %s ", request, status, size)) + `\(\d+\.\d{4}s\)`
}

// pidFile reads the pid that a script of the scenario wrote.
func (w *watchdog) pidFile(path string) (pid int) {
	w.Helper()
	w.poll("a pid in "+path, func() bool {
		data, _ := os.ReadFile(path)
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && strings.HasSuffix(string(data), "\n")
	})
	return pid
}

// until makes calls that end a process soon after its start, until one has written a file.
func (w *watchdog) until(file string, call func()) {
	w.Helper()
	w.poll("a process that writes "+file+" before it is ended", func() bool { call(); return exists(file) })
}

// begun makes calls that are ended soon after their start, until one has begun to be answered.
func (w *watchdog) begun(path string) (a *answer) {
	w.Helper()
	w.poll("an answer that begins before the call is ended", func() bool { a = w.get(path); return a.status == 200 })
	return a
}

// dead waits for the end of a process.
func (w *watchdog) dead(pid int) {
	w.Helper()
	w.poll(fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
}

// streaming: section 2.2 and what is common to all modes.
func streaming() []scenario {
	rows := []scenario{
		{says: "200 with the type and no X-Duration-Seconds", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "hello").is(200, "hello").has("Content-Type", "application/octet-stream").lacks("X-Duration-Seconds")
		}},
		{says: "a process for each request", do: func(w *watchdog) {
			w.start("fprocess=" + w.script("echo $$"))
			if a, b := w.get("/"), w.get("/"); a.body == b.body {
				w.Errorf("%v, %v", a, b)
			}
		}},
		{says: "a chunked body is decoded", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "hello", "Transfer-Encoding: chunked").is(200, "hello")
		}},
		{says: "the access line", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/a?b=%20c", "hello").is(200, "hello")
			w.line(access("POST /a?b=%20c", 200, "5B"))
		}},
		{says: "sizes in the access line are decimal", do: func(w *watchdog) {
			w.start("fprocess=cat")
			for size, want := range map[int]string{0: "0B", 669: "669B", 1000: "1kB", 4100: "4.1kB", 1_234_567: "1.235MB"} {
				w.post("/", strings.Repeat("x", size)).code(200)
				w.line(access("POST /", 200, want))
			}
		}},
		{says: "no line for a kube-probe", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").get("/probed", "User-Agent: kube-probe/1.30").code(200)
			w.get("/seen").code(200)
			w.stop()
			w.noLine(".*GET /probed.*")
		}},
		{says: "every method reaches the function", do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Method")
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "TRACE", "M-SEARCH"} {
				w.call(method+" /", "").is(200, method+"\n")
			}
			w.call("HEAD /", "").is(200, "")
		}},
		{says: "OPTIONS * is 200 and empty", do: func(w *watchdog) {
			w.start("fprocess=echo called").call("OPTIONS *", "").is(200, "")
		}},
		{says: "HTTP 1.1 without a Host is 400", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			c := w.dial(w.port)
			defer c.Close()
			c.write("GET / HTTP/1.1\r\n\r\n")
			if a := c.answer("GET"); a.status != 400 {
				w.Errorf("got %v, want 400", a)
			}
		}},
		{says: "HTTP 1.0 is served", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
			c.answer("POST").is(200, "x")
		}},
		{says: "a connection serves one request after the other", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			c := w.dial(w.port)
			defer c.Close()
			for _, body := range []string{"one", "two", "three"} {
				c.write(requestText("POST /", body))
				c.answer("POST").is(200, body)
			}
		}},
		{says: "paths reach the function as they were sent", ours: true, do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Path")
			for _, path := range []string{"/a//b", "//a", "/./a", "/a/../b", "/a/", "/a/./"} {
				w.get(path).is(200, path+"\n")
			}
		}},
		{says: "what is printed is sent at once", ours: true, do: func(w *watchdog) {
			gate := filepath.Join(w.dir, "gate")
			w.start("fprocess=" + w.script("echo first; while ! [ -e "+gate+" ]; do sleep 0.01; done; echo second"))
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("GET /", ""))
			c.until("first")
			w.file("gate", "")
			c.until("second")
		}},
		{says: "requests run at the same time", of: either, do: func(w *watchdog) {
			// each waits until all four are there
			w.start("fprocess=" + w.script(`touch `+w.dir+`/at.$$; while [ $(ls `+w.dir+`/at.* | wc -l) -lt 4 ]; do sleep 0.01; done; echo all`))
			var calls sync.WaitGroup
			for range 4 {
				calls.Go(func() { w.get("/").is(200, "all\n") })
			}
			calls.Wait()
		}},
		{says: "a large output comes whole", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", strings.Repeat("0123456789", 500_000)).is(200, strings.Repeat("0123456789", 500_000))
		}},
		{says: "stderr goes to the log and not to the caller", do: func(w *watchdog) {
			w.start("fprocess="+w.script("echo out; echo trouble >&2")).get("/").is(200, "out\n")
			w.line(clock + "stderr: trouble")
		}},
		{says: "a failed start is 500", ours: true, do: func(w *watchdog) {
			program := w.written("gone", "#!/bin/sh\necho here\n")
			w.start("fprocess="+program).get("/").is(200, "here\n")
			if err := os.Remove(program); err != nil {
				w.Fatal(err)
			}
			w.get("/").code(500)
			w.line(clock + "GET / - 500 - .*")
		}},
		{says: "a failed start is logged with its reason and as 500", do: func(w *watchdog) {
			program := w.written("gone", "#!/bin/sh\necho here\n")
			w.start("fprocess=" + program)
			if err := os.Remove(program); err != nil {
				w.Fatal(err)
			}
			w.get("/x")
			w.line(".*no such file or directory.*")
			w.line(clock + "GET /x - 500 - ContentLength: .*")
		}},
		{says: "an exit other than 0 before any output is 500", ours: true, do: func(w *watchdog) {
			w.start("fprocess=" + w.script("exit 3")).get("/x").code(500)
			w.line(".*exit status 3.*")
			w.line(clock + "GET /x - 500 - ContentLength: .*")
		}},
		{says: "an exit other than 0 is logged with its status", do: func(w *watchdog) {
			w.start("fprocess=" + w.script("exit 3")).get("/x")
			w.line(".*exit status 3.*")
			w.line(clock + "GET /x - 500 - ContentLength: .*")
		}},
		{says: "an exit other than 0 after output cuts the connection", ours: true, do: func(w *watchdog) {
			w.start("fprocess=" + w.script("echo part; exit 3"))
			if a := w.get("/"); a.status == 200 {
				a.isCut()
			} else {
				a.code(500) // it may end before its output was seen
			}
			gate := filepath.Join(w.dir, "gate")
			w.file("function.sh", "echo part; while ! [ -e "+gate+" ]; do sleep 0.01; done; exit 3")
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("GET /", ""))
			c.until("part")
			w.file("gate", "")
			rest, _ := c.in.ReadString(0)
			if strings.HasSuffix(rest, "0\r\n\r\n") {
				w.Errorf("ended as if all was well: %q", rest)
			}
		}},
		{says: "exec_timeout ends the process", of: either, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("exec_timeout=300ms", "fprocess="+w.script("echo $$ >"+pid+"; exec sleep 1000"))
			w.until(pid, func() { w.get("/").comes() })
			w.dead(w.pidFile(pid))
		}},
		{says: "exec_timeout before output is 504", ours: true, do: func(w *watchdog) {
			w.start("exec_timeout=300ms", "fprocess=sleep 1000").get("/x").code(504)
			w.line(clock + "GET /x - 504 - ContentLength: .*")
		}},
		{says: "exec_timeout before output is 504, whoever holds the pipe, and all are dead", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("exec_timeout=300ms", "fprocess="+w.script("sleep 1000 & echo $! >"+pid+"; wait"))
			w.until(pid, func() { w.get("/").code(504) })
			w.dead(w.pidFile(pid))
		}},
		{says: "exec_timeout ends one that ignores TERM, and left its group", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("exec_timeout=300ms", "fprocess="+w.script("trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >"+pid+"; sleep 1000; sleep 1000' & sleep 1000; sleep 1000"))
			w.until(pid, func() { w.get("/").code(504) })
			w.dead(w.pidFile(pid))
		}},
		{says: "exec_timeout after output cuts the connection", ours: true, do: func(w *watchdog) {
			w.start("exec_timeout=300ms", "fprocess="+w.script("echo part; sleep 1000")).begun("/").isCut()
		}},
		{says: "X-Timeout never raises nor disables exec_timeout", ours: true, do: func(w *watchdog) {
			w.start("exec_timeout=300ms", "fprocess=sleep 1000")
			for _, value := range []string{"0s", "-1s", "1h", "0", "nonsense"} {
				w.get("/", "X-Timeout: "+value).code(504)
			}
		}},
		{says: "an answer comes while the request is still sent", ours: true, do: func(w *watchdog) {
			w.start("fprocess=head -c 5")
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n12345678")
			c.until("12345")
		}},
		{says: "cat of a slow upload loses nothing", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat")
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
			c.until("first")
			c.write("6\r\nsecond\r\n")
			c.until("second")
			c.write("0\r\n\r\n")
			c.until("0\r\n\r\n")
		}},
		{says: "the caller's leaving ends the process", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("fprocess=" + w.script("echo $$ >"+pid+"; exec sleep 1000"))
			c := w.dial(w.port)
			c.write(requestText("GET /", ""))
			running := w.pidFile(pid)
			_ = c.Close()
			w.dead(running)
		}},
		{says: "a process that closes its input early is not a failure", of: either, do: func(w *watchdog) {
			w.start("fprocess=echo done").post("/", strings.Repeat("x", 3<<20)).is(200, "done\n")
		}},
		{says: "a descendant that lives on delays nothing", ours: true, do: func(w *watchdog) {
			w.start("fprocess="+w.script("sleep 1000 & echo done")).get("/").is(200, "done\n")
		}},
		{says: "it runs where it cannot look", of: either, do: func(w *watchdog) {
			w.hidden = true
			w.start("fprocess=/bin/cat", "suppress_lock=true").post("/", "x").is(200, "x")
		}},
		{says: "HEAD has no body", do: func(w *watchdog) {
			w.start("fprocess=echo body").call("HEAD /", "").is(200, "")
		}},
		{says: "response=cgi sets status and headers after the execution", ours: true, do: func(w *watchdog) {
			w.start("mode=serializing", "response=cgi", "fprocess="+w.script(`printf 'Status: 201 Created\nContent-Type: text/csv\nX-A: b\n\na,b\n'`))
			w.get("/").is(201, "a,b\n").has("Content-Type", "text/csv").has("X-A", "b")
		}},
		{says: "response=cgi in streaming too", ours: true, do: func(w *watchdog) {
			w.start("response=cgi", "fprocess="+w.script(`printf 'Status: 404\r\nX-A: b\r\n\r\nnot here\n'`)).get("/").is(404, "not here\n").has("X-A", "b")
		}},
		{says: "form=json hands over the parts of a form", ours: true, do: func(w *watchdog) {
			body := "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--B--\r\n"
			w.start("form=json", "fprocess=cat").post("/", body, "Content-Type: multipart/form-data; boundary=B").code(200).holds(`"one"`, `"x.bin"`, "AP8=")
			w.post("/", "no form", "Content-Type: text/plain").is(200, "no form")
		}},
		{says: "form=files hands over files", ours: true, do: func(w *watchdog) {
			body := "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\ntext\r\n--B--\r\n"
			w.start("form=files", "fprocess="+w.script(`cat "$FORM_DIR"/*`)).post("/", body, "Content-Type: multipart/form-data; boundary=B").code(200).holds("text")
		}},
		{says: "a form whose boundary is broken is 400", ours: true, do: func(w *watchdog) {
			w.start("form=json", "fprocess=cat").post("/", "nothing of the kind", "Content-Type: multipart/form-data; boundary=B").code(400)
		}},
		{says: "warm starts the process before its call", ours: true, do: func(w *watchdog) {
			w.start("warm=2", "fprocess="+w.script("cat")).post("/", "x").is(200, "x")
		}},
		{says: "queue lets calls wait for a place", ours: true, do: func(w *watchdog) {
			gate := filepath.Join(w.dir, "gate")
			w.start("max_inflight=1", "queue=5", "fprocess="+w.script("touch "+w.dir+"/began; while ! [ -e "+gate+" ]; do sleep 0.01; done; echo done"))
			var calls sync.WaitGroup
			for range 3 {
				calls.Go(func() { w.get("/").is(200, "done\n") })
			}
			w.poll("the first", func() bool { return exists(filepath.Join(w.dir, "began")) })
			w.file("gate", "")
			calls.Wait()
		}},
	}
	return rows
}

// serializing: section 2.3.
func serializing() []scenario {
	run := func(w *watchdog, env ...string) *watchdog {
		return w.start(append([]string{"mode=serializing"}, env...)...)
	}
	return []scenario{
		{says: "200 with type, length and X-Duration-Seconds", do: func(w *watchdog) {
			a := run(w, "fprocess=cat").post("/", "hello").is(200, "hello").has("Content-Type", "application/octet-stream").like("X-Duration-Seconds", `\d+\.\d{6}`)
			if a.length != 5 {
				w.Errorf("length %d, want 5", a.length)
			}
		}},
		{says: "a body in chunks arrives whole", do: func(w *watchdog) {
			run(w, "fprocess=cat").post("/", "hello", "Transfer-Encoding: chunked").is(200, "hello")
		}},
		{says: "a failed start is 500 with its text", do: func(w *watchdog) {
			program := w.written("gone", "#!/bin/sh\n")
			run(w, "fprocess="+program)
			if err := os.Remove(program); err != nil {
				w.Fatal(err)
			}
			w.get("/").is(500, "fork/exec "+program+": no such file or directory").like("X-Duration-Seconds", `\d+\.\d{6}`).has("Content-Type", "application/octet-stream")
		}},
		{says: "an exit other than 0 is 500 with its text, and its output is dropped", do: func(w *watchdog) {
			run(w, "fprocess="+w.script("echo part; exit 3")).get("/").is(500, "exit status 3").like("X-Duration-Seconds", `\d+\.\d{6}`).has("Content-Type", "application/octet-stream")
		}},
		{says: "an end by a signal is 500 with its text", do: func(w *watchdog) {
			run(w, "fprocess="+w.script("kill -9 $$")).get("/").is(500, "signal: killed")
		}},
		{says: "the access line of success", do: func(w *watchdog) {
			run(w, "fprocess=cat").post("/s", "hello").is(200, "hello")
			w.line(access("POST /s", 200, "5B"))
		}},
		{says: "the access line of a failure tells its status", ours: true, do: func(w *watchdog) {
			run(w, "fprocess=false").post("/s", "hello").is(500, "exit status 1")
			w.line(clock + "POST /s - 500 - ContentLength: .*")
		}},
		{says: "a failure is logged with its text", do: func(w *watchdog) {
			run(w, "fprocess=false").post("/s", "hello").is(500, "exit status 1")
			w.line(".*exit status 1.*")
		}},
		{says: "exec_timeout is 504", ours: true, do: func(w *watchdog) {
			run(w, "fprocess="+w.script("sleep 1000 & wait"), "exec_timeout=300ms").get("/").code(504)
			w.line(clock + "GET / - 504 - .*")
		}},
		{says: "a process that reads nothing of a big body is not a failure", ours: true, do: func(w *watchdog) {
			run(w, "fprocess=echo done").post("/", strings.Repeat("x", 3<<20)).is(200, "done\n")
		}},
		{says: "a body that does not come within read_timeout is told without addresses", ours: true, do: func(w *watchdog) {
			run(w, "fprocess=cat", "read_timeout=300ms")
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly")
			if a := c.answer("POST"); a.err == nil {
				if a.status < 400 {
					w.Errorf("got the response %v, want what the scenario says", a)
				}
				a.without("127.0.0.1", "read tcp")
			}
		}},
		{says: "the caller's leaving ends the process", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			run(w, "fprocess="+w.script("echo $$ >"+pid+"; exec sleep 1000"))
			c := w.dial(w.port)
			c.write(requestText("GET /", ""))
			running := w.pidFile(pid)
			_ = c.Close()
			w.dead(running)
		}},
		{says: "stderr goes to the log", do: func(w *watchdog) {
			run(w, "fprocess="+w.script("echo out; echo trouble >&2")).get("/").is(200, "out\n")
			w.line(clock + "stderr: trouble")
		}},
		{says: "an empty output has length 0", do: func(w *watchdog) {
			if a := run(w, "fprocess=true").get("/").is(200, ""); a.length != 0 {
				w.Errorf("length %d, want 0", a.length)
			}
		}},
	}
}

// staticMode: section 2.5.
func staticMode() []scenario {
	run := func(w *watchdog) *watchdog {
		w.file("public/index.html", "<h1>index</h1>")
		w.file("public/sub/a.txt", "0123456789")
		w.file("public/sub/b.txt", "b")
		return w.start("mode=static", "static_path="+filepath.Join(w.dir, "public"))
	}
	return []scenario{
		{says: "files and index files", do: func(w *watchdog) {
			run(w).get("/").is(200, "<h1>index</h1>").has("Content-Type", "text/html; charset=utf-8").lacks("X-Duration-Seconds")
			w.get("/sub/a.txt").is(200, "0123456789").has("Content-Type", "text/plain; charset=utf-8")
		}},
		{says: "a folder is listed", do: func(w *watchdog) {
			run(w).get("/sub/").code(200).holds("a.txt", "b.txt", "<a href")
		}},
		{says: "a folder without its slash is 301", do: func(w *watchdog) {
			run(w).get("/sub").code(301).like("Location", `(\./)?sub/`)
		}},
		{says: "index.html is 301 to its folder", do: func(w *watchdog) {
			run(w).get("/index.html").code(301).has("Location", "./")
		}},
		{says: "what is missing is 404", do: func(w *watchdog) {
			run(w).get("/none").is(404, "404 page not found\n")
		}},
		{says: "ranges and dates", do: func(w *watchdog) {
			modified := run(w).get("/sub/a.txt", "Range: bytes=2-4").is(206, "234").header.Get("Last-Modified")
			w.get("/sub/a.txt", "If-Modified-Since: "+modified).is(304, "")
		}},
		{says: "every method is as GET", do: func(w *watchdog) {
			run(w).post("/sub/a.txt", "x").is(200, "0123456789")
			w.call("HEAD /sub/a.txt", "").is(200, "")
		}},
		{says: "files below .well-known are served", do: func(w *watchdog) {
			w.file("public/.well-known/x", "known")
			run(w).get("/.well-known/x").is(200, "known")
		}},
		{says: "other files that begin with a dot are not served", ours: true, do: func(w *watchdog) {
			w.file("public/.env", "secret")
			run(w).get("/.env").code(404)
		}},
		{says: "no access line", do: func(w *watchdog) {
			run(w).get("/sub/a.txt").code(200)
			w.noLine(".*/sub/a.txt.*")
		}},
		{says: "an empty static_path is status 1", do: func(w *watchdog) {
			w.exits(1, "mode=static", "static_path=")
		}},
		{says: "a folder that is not there is 404 for all", do: func(w *watchdog) {
			w.start("mode=static", "static_path="+w.dir+"/none").get("/a").code(404)
		}},
		{says: "no path leads out of the folder", do: func(w *watchdog) {
			w.file("secret", "secret")
			run(w)
			for _, path := range []string{"/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2fsecret"} {
				w.get(path).without("secret")
			}
		}},
		{says: "the limit holds, and metrics count", do: func(w *watchdog) {
			run(w).get("/sub/a.txt").code(200)
			w.counts(`http_requests_total{code="200",method="get"} 1`)
		}},
	}
}

// inflight: section 2.9.
func inflight() []scenario {
	// held starts a call that lasts until its gate opens.
	held := func(w *watchdog) (open func()) {
		gate, arrived := filepath.Join(w.dir, "gate"), filepath.Join(w.dir, "arrived")
		var call sync.WaitGroup
		call.Go(func() { w.get("/wait?arrived="+arrived+"&until="+gate).is(200, "waited") })
		w.poll("the call", func() bool { return exists(arrived) })
		return func() { w.file("gate", ""); call.Wait() }
	}
	return []scenario{
		{says: "over the limit is 429 with its text, at once", do: func(w *watchdog) {
			w.serve("max_inflight=1")
			open := held(w)
			w.get("/over").is(429, "Concurrent request limit exceeded. Max concurrent requests: 1\n").
				has("Content-Type", "text/plain").has("X-OpenFaaS-Internal", "faas-middleware").lacks("Retry-After")
			open()
			w.get("/teapot").code(418)
			w.noLine(".*GET /over.*")
		}},
		{says: "it counts as 429", do: func(w *watchdog) {
			w.serve("max_inflight=1")
			open := held(w)
			w.get("/over").code(429)
			w.counts(`http_requests_total{code="429",method="get"} 1`)
			open()
		}},
		{says: "health passes the limit, and readiness is 429", do: func(w *watchdog) {
			w.serve("max_inflight=1")
			open := held(w)
			w.get("/_/health").is(200, "OK")
			w.get("/_/ready").is(429, "")
			open()
			w.get("/_/ready").is(200, "")
		}},
		{says: "0, less and nothing are no limit", do: func(w *watchdog) {
			for _, value := range []string{"0", "-1"} {
				w.serve("max_inflight=" + value)
				open := held(w)
				w.get("/teapot").code(418)
				open()
				w.stop()
				_ = os.Remove(filepath.Join(w.dir, "gate"))
				_ = os.Remove(filepath.Join(w.dir, "arrived"))
			}
		}},
		{says: "two at once are two", do: func(w *watchdog) {
			w.serve("max_inflight=2")
			open := held(w)
			w.get("/teapot").code(418)
			open()
		}},
	}
}

// output: section 2.10, what processes print.
func output() []scenario {
	return []scenario{
		{says: "stdout of an HTTP function goes to stdout, stderr to stderr, with prefixes", do: func(w *watchdog) {
			w.serve().get("/say?out=one&err=two").code(200)
			w.prints(clock + "stdout: one")
			w.line(clock + "stderr: two")
		}},
		{says: "prefix_logs=false prints the lines alone", do: func(w *watchdog) {
			w.serve("prefix_logs=false").get("/say?out=one&err=two").code(200)
			w.prints("one")
			w.line("two")
		}},
		{says: "a line that ends as on Windows is a line", do: func(w *watchdog) {
			w.start("fprocess="+w.script(`printf 'one\r\ntwo\r\n' >&2`)).get("/").is(200, "")
			w.line(clock + "stderr: one")
			w.line(clock + "stderr: two")
		}},
		{says: "a last line without its end is printed", do: func(w *watchdog) {
			w.start("fprocess="+w.script("printf 'no end' >&2")).get("/").is(200, "")
			w.line(clock + "stderr: no end")
		}},
		{says: "a last line without its end is printed with log_buffer_size=-1 too", ours: true, do: func(w *watchdog) {
			w.start("log_buffer_size=-1", "fprocess="+w.script("printf 'no end' >&2")).get("/").is(200, "")
			w.line(clock + "stderr: no end")
		}},
		{says: "a long line is split and nothing stalls", ours: true, do: func(w *watchdog) {
			w.serve("log_buffer_size=100", "prefix_logs=false").get("/shout?size=1050").is(200, "shouted")
			w.get("/say?err=after").code(200)
			w.line("after")
			whole := 0
			for line := range strings.Lines(w.log.String()) {
				if line == strings.Repeat("x", 100)+"\n" {
					whole++
				}
			}
			if whole != 10 {
				w.Errorf("%d whole pieces of 100, want 10", whole)
			}
			w.line(strings.Repeat("x", 50))
		}},
		{says: "a line of megabytes stalls nothing", ours: true, do: func(w *watchdog) {
			w.serve().get("/shout?size=3000000").is(200, "shouted")
			// So much at once may find no room; what is said later does.
			w.poll("a line after it", func() bool {
				w.get("/say?err=after").code(200)
				return strings.Contains(w.log.String(), "stderr: after\n")
			})
		}},
		{says: "a line of the log's size is one", do: func(w *watchdog) {
			w.serve("prefix_logs=false").get("/shout?size=60000").is(200, "shouted")
			w.line("x{1000}x*")
		}},
		{says: "log_buffer_size=-1 splits no line", ours: true, do: func(w *watchdog) {
			w.serve("log_buffer_size=-1", "prefix_logs=false").get("/shout?size=200000").is(200, "shouted")
			w.get("/say?err=after").code(200)
			w.line("after")
			w.out.mu.Lock()
			defer w.out.mu.Unlock()
			w.log.mu.Lock()
			defer w.log.mu.Unlock()
			if !strings.Contains(w.log.text.String(), "\n"+strings.Repeat("x", 200000)+"\n") {
				w.Error("the line was split")
			}
		}},
		{says: "log_buffer_size=0 stalls nothing", ours: true, do: func(w *watchdog) {
			w.serve("log_buffer_size=0").get("/say?err=said").code(200)
			w.line(clock + "stderr: said")
		}},
		{says: "the last words before the end are printed", ours: true, do: func(w *watchdog) {
			w.serve().get("/exit?status=7")
			w.wait()
			w.line(clock + "stderr: the last words of the function")
		}},
		{says: "log_callid ends access lines with the call's id", do: func(w *watchdog) {
			w.serve("log_callid=true").get("/teapot", "X-Call-Id: abc-7").code(418)
			w.line(clock + `GET /teapot - 418 I'm a teapot - ContentLength: 15B \(\d+\.\d{4}s\) \[abc-7\]`)
			w.get("/teapot?none").code(418)
			w.line(clock + `GET /teapot\?none - 418 I'm a teapot - ContentLength: 15B \(\d+\.\d{4}s\) \[none\]`)
		}},
		{says: "log_callid=1 is true", do: func(w *watchdog) {
			w.serve("log_callid=1").get("/teapot", "X-Call-Id: abc-7").code(418)
			w.line(`.*GET /teapot.* \[abc-7\]`)
		}},
		{says: "log_call_id, as the README has it, does the same", ours: true, do: func(w *watchdog) {
			w.serve("log_call_id=true").get("/teapot", "X-Call-Id: abc-7").code(418)
			w.line(`.*GET /teapot.* \[abc-7\]`)
		}},
		{says: "log_callid that is not a boolean is false", do: func(w *watchdog) {
			w.serve("log_callid=maybe").get("/teapot", "X-Call-Id: abc-7").code(418)
			w.line(clock + `GET /teapot - 418 I'm a teapot - ContentLength: 15B \(\d+\.\d{4}s\)`)
		}},
	}
}

// healthAndLock: section 3.
func healthAndLock() []scenario {
	rows := []scenario{
		{says: "health is 200 OK", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			w.poll("health", func() bool { return w.get("/_/health").status == 200 })
			w.get("/_/health?x=1").is(200, "OK").has("Content-Type", "text/plain; charset=utf-8")
		}},
		{says: "health is for GET only", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			for _, method := range []string{"POST", "HEAD", "PUT", "OPTIONS", "DELETE"} {
				w.call(method+" /_/health", "").is(405, "")
			}
		}},
		{says: "readiness is 200 and empty, for GET only", do: func(w *watchdog) {
			w.start("fprocess=cat")
			w.poll("readiness", func() bool { return w.get("/_/ready").status == 200 })
			w.get("/_/ready").is(200, "")
			w.call("POST /_/ready", "").is(405, "")
			w.call("HEAD /_/ready", "").is(405, "")
		}},
		{says: "what is beneath them is the function's", do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Path").get("/_/health/").is(200, "/_/health/\n")
			w.get("/_/other").is(200, "/_/other\n")
			w.get("/_/ready/").is(200, "/_/ready/\n")
			w.get("/_").is(200, "/_\n")
		}},
		{says: "health is neither counted nor logged", do: func(w *watchdog) {
			w.start("fprocess=cat").get("/_/health")
			w.get("/real").code(200)
			w.counts(`http_requests_total{code="200",method="get"} 1`)
			w.noLine(".*GET /_/health.*")
		}},
		{says: "the lock file is there, empty, and gone after TERM", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			w.poll("the lock file", func() bool { return exists(w.lock()) })
			info, err := os.Stat(w.lock())
			if err != nil || info.Size() != 0 || info.Mode().Perm()&^0o660 != 0 {
				w.Errorf("got %v %v, want no error and 0", info, err)
			}
			w.line(".*Writing lock-file to: " + regexp.QuoteMeta(w.lock()))
			if status := w.stop(); status != 0 || exists(w.lock()) {
				w.Errorf("status %d, lock file %v", status, exists(w.lock()))
			}
			w.line(".*Removing lock-file ?: " + regexp.QuoteMeta(w.lock()))
		}},
		{says: "a lock file that was there is taken", of: either, do: func(w *watchdog) {
			w.file(".lock", "")
			w.start("fprocess=cat").poll("health", func() bool { return w.get("/_/health").status == 200 })
		}},
		{says: "the lock file's folder is made", do: func(w *watchdog) {
			w.start("fprocess=cat", "TMPDIR="+w.dir+"/a/b")
			w.poll("the lock file", func() bool { return exists(w.dir + "/a/b/.lock") })
		}},
		{says: "without its lock file it is not well, and serves", do: func(w *watchdog) {
			w.start("fprocess=cat").poll("health", func() bool { return w.get("/_/health").status == 200 })
			if err := os.Remove(w.lock()); err != nil {
				w.Fatal(err)
			}
			w.get("/_/health").is(503, "")
			w.get("/_/ready").is(503, "")
			w.post("/", "x").is(200, "x")
			w.file(".lock", "")
			w.get("/_/health").is(200, "OK")
			w.get("/_/ready").is(200, "")
		}},
		{says: "a lock file that cannot be written is status 1 and a sentence", ours: true, do: func(w *watchdog) {
			w.file("file", "")
			w.refuses("lock TMPDIR suppress_lock", "fprocess=cat", "TMPDIR="+w.dir+"/file/x")
		}},
		{says: "suppress_lock leaves health and readiness true", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "suppress_lock=true").get("/_/health").is(200, "OK")
			w.line(clock + `Warning: "suppress_lock" is enabled.*`)
			w.get("/_/ready").is(200, "")
			if exists(w.lock()) {
				w.Error("there is a lock file")
			}
			if status := w.stop(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
		}},
		{says: "ready_path asks the function, and answers what it says", do: func(w *watchdog) {
			w.serve("ready_path=/teapot")
			w.poll("readiness", func() bool { return w.get("/_/ready").status != 503 })
			w.get("/_/ready").is(418, "short and stout").has("X-Upstream", "yes")
		}},
		{says: "ready_path gets the probe's headers, not its query", do: func(w *watchdog) {
			w.serve("ready_path=/ready/x?y=1")
			w.poll("readiness", func() bool { return w.get("/_/ready").status == 200 })
			s := w.get("/_/ready?query=dropped", "X-Probe: yes").code(200).seen()
			if s.Method != "GET" || s.URI != "/ready/x?y=1" || s.Header.Get("X-Probe") != "yes" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "ready_path passes limit and metrics, and is logged", do: func(w *watchdog) {
			w.serve("ready_path=/rdy")
			w.poll("readiness", func() bool { return w.get("/_/ready").status == 200 })
			w.get("/real").code(200)
			w.counts(`http_requests_total{code="200",method="get"} 1`)
			w.line(clock + "GET /rdy - 200 OK - ContentLength: .*")
		}},
		{says: "ready_path in serializing tells a failure", do: func(w *watchdog) {
			w.start("mode=serializing", "ready_path=/rdy", "fprocess=false")
			w.poll("readiness", func() bool { return w.get("/_/ready").status != 503 })
			w.get("/_/ready").is(500, "exit status 1")
		}},
		{says: "ready_path in streaming tells a failure too", ours: true, do: func(w *watchdog) {
			w.start("ready_path=/rdy", "fprocess="+w.script("exit 1"))
			w.poll("readiness", func() bool { return w.get("/_/ready").status != 503 })
			w.get("/_/ready").code(500)
		}},
		{says: "classic has no readiness: the path is the function's", of: classic, do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Path").get("/_/ready").is(200, "/_/ready\n")
		}},
	}
	for _, dashes := range []string{"-", "--"} {
		rows = append(rows,
			scenario{says: dashes + "version prints the version", of: either, do: func(w *watchdog) {
				w.args = []string{dashes + "version"}
				w.exits(0, "fprocess=cat")
				if text := w.log.String() + w.out.String(); !strings.Contains(text, "ersion") && !strings.Contains(text, "watchdogd") {
					w.Errorf("printed: got %q, want with watchdogd", text)
				}
			}},
			scenario{says: dashes + "run-healthcheck is 0 with a lock file, and 1 without", of: either, do: func(w *watchdog) {
				w.args = []string{dashes + "run-healthcheck"}
				w.exits(1, "fprocess=cat")
				w.line(".*unable to find lock file.*")
				w.file(".lock", "")
				w.exits(0, "fprocess=cat")
			}},
			scenario{says: dashes + "run-healthcheck needs no fprocess", ours: true, do: func(w *watchdog) {
				w.args = []string{dashes + "run-healthcheck"}
				w.file(".lock", "")
				w.exits(0)
			}},
		)
	}
	return append(rows,
		scenario{says: "-run-healthcheck holds with suppress_lock", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "suppress_lock=true")
			check := newWatchdog(w.T, w.bench)
			check.args = []string{"-run-healthcheck"}
			check.exits(0, "fprocess=cat", "suppress_lock=true", "TMPDIR="+w.dir, fmt.Sprintf("port=%d", w.port))
		}},
		scenario{says: "an unknown flag is status 2", do: func(w *watchdog) {
			w.args = []string{"-no-such-flag"}
			w.exits(2, "fprocess=cat")
		}},
		scenario{says: "-h is status 0", of: either, do: func(w *watchdog) {
			w.args = []string{"-h"}
			w.exits(0, "fprocess=cat")
		}},
	)
}

// ending: section 4, and the end of the function.
func ending() []scenario {
	held := func(w *watchdog) (*conn, func() *answer) {
		gate, arrived := filepath.Join(w.dir, "gate"), filepath.Join(w.dir, "arrived")
		c := w.dial(w.port)
		c.write(requestText("GET /wait?arrived="+arrived+"&until="+gate, ""))
		w.poll("the call", func() bool { return exists(arrived) })
		return c, func() *answer { w.file("gate", ""); return c.answer("GET") }
	}
	var rows []scenario
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		rows = append(rows, scenario{says: name + " lets the calls in flight end", ours: true, do: func(w *watchdog) {
			w.serve()
			c, finish := held(w)
			defer c.Close()
			w.signal(sig)
			w.line(".*No new connections allowed, draining: 1 requests?.*")
			finish().is(200, "waited")
			if status := w.wait(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
			if exists(w.lock()) {
				w.Error("the lock file was left")
			}
		}})
	}
	for _, interval := range []string{"0", "0s", "-1s"} {
		rows = append(rows, scenario{says: "healthcheck_interval=" + interval + " ends at once", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval="+interval)
			if status := w.stop(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
		}})
	}
	return append(rows,
		scenario{says: "during healthcheck_interval it serves and is not ready", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval=1h").poll("health", func() bool { return w.get("/_/health").status == 200 })
			w.signal(syscall.SIGTERM)
			w.line(".*SIGTERM: no new connections in 1h0m0s")
			w.poll("503", func() bool { return w.get("/_/health").status == 503 })
			w.post("/", "x").is(200, "x")
			if exists(w.lock()) {
				w.Error("the lock file is there still")
			}
			if status := w.hurry(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
		}},
		scenario{says: "healthcheck_interval ends by itself", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval=100ms").poll("health", func() bool { return w.get("/_/health").status == 200 })
			w.signal(syscall.SIGTERM)
			if status := w.wait(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
			if exists(w.lock()) {
				w.Error("the lock file is there still")
			}
			w.line(".*SIGTERM: no new connections in 100ms")
			w.line(".*No new connections allowed, draining: 0 requests?")
			w.line(".*Exiting. Active connections: 0")
		}},
		scenario{says: "readiness is 503 in the drain, and http serves still", ours: true, do: func(w *watchdog) {
			w.serve("healthcheck_interval=1h")
			w.signal(syscall.SIGTERM)
			w.line(".*SIGTERM: no new connections in 1h0m0s")
			w.poll("readiness to end", func() bool { return w.get("/_/ready").status == 503 })
			w.get("/_/ready").is(503, "")
			w.get("/teapot").is(418, "short and stout")
			if status := w.hurry(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
		}},
		scenario{says: "the function is asked to end after the drain, and has ended", ours: true, do: func(w *watchdog) {
			w.serve("UPSTREAM_ON_TERM=say")
			c, finish := held(w)
			defer c.Close()
			w.signal(syscall.SIGTERM)
			w.line(".*draining: 1 requests?.*")
			if strings.Contains(w.log.String(), "asked to end") {
				w.Error("the function was signalled before the drain was over")
			}
			finish().is(200, "waited")
			w.wait()
			w.line(".*the function was asked to end")
		}},
		scenario{says: "a call longer than write_timeout is ended, and no process is left", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("write_timeout=500ms", "fprocess="+w.script("trap '' TERM; echo $$ >"+pid+"; sleep 1000; sleep 1000"))
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("GET /", ""))
			running := w.pidFile(pid)
			if status := w.stop(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
			w.dead(running)
		}},
		scenario{says: "a function that ignores TERM is killed", ours: true, do: func(w *watchdog) {
			w.serve("UPSTREAM_ON_TERM=ignore", "write_timeout=1s", "restart=always")
			s := w.get("/x").code(200).seen()
			w.signal(syscall.SIGTERM)
			w.line(".*Exiting.*|.*draining.*")
			w.hurry()
			w.dead(s.PID)
		}},
		scenario{says: "a second signal hurries", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval=1h")
			w.signal(syscall.SIGTERM)
			w.line(".*no new connections in.*")
			w.hurry()
		}},
		scenario{says: "the function of a wrapper script is signalled too", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream),
				"UPSTREAM_ON_TERM=say", "fprocess="+w.script(w.function("upstream")+"; exit $?"))
			w.get("/teapot").code(418)
			if status := w.stop(); status != 0 {
				w.Errorf("got status %d, want 0", status)
			}
			w.line(".*the function was asked to end")
		}},
		scenario{says: "a function that exits ends the watchdog with its status", ours: true, do: func(w *watchdog) {
			w.serve().get("/exit?status=7")
			if status := w.wait(); status != 7 {
				w.Errorf("got status %d, want 7", status)
			}
			w.line(".*Forked function has terminated: exit status 7.*")
			if exists(w.lock()) {
				w.Error("the lock file was left")
			}
		}},
		scenario{says: "a function that exits other than 0 ends the watchdog", do: func(w *watchdog) {
			w.serve().get("/exit?status=7")
			if status := w.wait(); status == 0 {
				w.Error("status 0")
			}
			w.line(".*Forked function has terminated: exit status 7.*")
		}},
		scenario{says: "a function that exits 0 ends the watchdog with 1", ours: true, do: func(w *watchdog) {
			w.serve().get("/exit?status=0")
			if status := w.wait(); status != 1 {
				w.Errorf("got status %d, want 1", status)
			}
		}},
		scenario{says: "a function that is killed ends the watchdog with the shell's status", ours: true, do: func(w *watchdog) {
			w.serve().get("/die")
			if status := w.wait(); status != 128+9 {
				w.Errorf("status %d", status)
			}
		}},
		scenario{says: "calls in flight get their error before the function's end ends the watchdog", ours: true, do: func(w *watchdog) {
			w.serve()
			c, _ := held(w)
			defer c.Close()
			w.get("/exit?status=7").code(500).has("X-OpenFaaS-Internal", "of-watchdog")
			c.answer("GET").code(500).has("X-OpenFaaS-Internal", "of-watchdog")
			if status := w.wait(); status != 7 {
				w.Errorf("got status %d, want 7", status)
			}
		}},
		scenario{says: "a program that is missing in mode http is status 1", do: func(w *watchdog) {
			w.exits(1, "mode=http", "fprocess=/no/such/program", "http_upstream_url=http://127.0.0.1:1")
		}},
		scenario{says: "a program that is missing is said with its name, and no lock file is left", ours: true, do: func(w *watchdog) {
			w.refuses("/no/such/program", "mode=http", "fprocess=/no/such/program", "http_upstream_url=http://127.0.0.1:1")
			if exists(w.lock()) {
				w.Error("the lock file was left")
			}
		}},
		scenario{says: "restart=always supervises the function", ours: true, do: func(w *watchdog) {
			w.serve("restart=always")
			first := w.get("/a").code(200).seen().PID
			w.get("/exit?status=0")
			if second := w.get("/b").code(200).seen().PID; second == first {
				w.Errorf("got process %d, want another", first)
			}
		}},
		scenario{says: "restart=on-failure supervises it, and its good end is the end", ours: true, do: func(w *watchdog) {
			w.serve("restart=on-failure")
			first := w.get("/a").code(200).seen().PID
			w.get("/exit?status=3")
			if second := w.get("/b").code(200).seen().PID; second == first {
				w.Errorf("got process %d, want another", first)
			}
		}},
		scenario{says: "replicas with a port of their own share the calls", ours: true, do: func(w *watchdog) {
			w.file("up.sh", "UPSTREAM_PORT=$PORT exec "+w.function("upstream"))
			w.start("mode=http", "replicas=2", "fprocess=sh "+w.dir+"/up.sh", "http_upstream_url=http://127.0.0.1:${PORT}")
			pids := map[int]bool{}
			w.poll("two pids", func() bool { pids[w.get("/x").seen().PID] = true; return len(pids) == 2 })
		}},
		scenario{says: "when the watchdog is killed, no process lives on", ours: true, do: func(w *watchdog) {
			w.serve()
			pid := w.get("/x").code(200).seen().PID
			w.signal(syscall.SIGKILL)
			w.wait()
			w.dead(pid)
		}},
		scenario{says: "requests wait for a function that starts", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			gate := filepath.Join(w.dir, "up")
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream),
				fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream), "UPSTREAM_AFTER="+gate)
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("GET /teapot", ""))
			w.line(".*the function waits")
			w.file("up", "")
			c.answer("GET").is(418, "short and stout")
		}},
		scenario{says: "requests wait no longer than exec_timeout for a function that starts", ours: true, do: func(w *watchdog) {
			w.start("mode=http", "fprocess=sleep 1000", fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", freePort(w.T)), "exec_timeout=300ms")
			if a := w.get("/x"); a.status != 500 && a.status != 503 && a.status != 504 {
				w.Errorf("got the response %v, want what the scenario says", a)
			}
		}},
	)
}

// counts waits until the metrics have a line.
func (w *watchdog) counts(line string) {
	w.Helper()
	w.poll("the metric "+line, func() bool {
		c := w.dial(w.metrics)
		defer c.Close()
		c.write("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return strings.Contains(c.answer("GET").body, "\n"+line+"\n")
	})
}

// metricsPort: section 5.
func metricsPort() []scenario {
	return []scenario{
		{says: "names, labels and buckets", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			w.counts(`http_requests_total{code="200",method="post"} 1`)
			for _, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"} {
				c := w.dial(w.metrics)
				c.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
				c.answer("GET").code(200).holds(`http_request_duration_seconds_bucket{code="200",method="post",le="` + le + `"} `)
				_ = c.Close()
			}
			w.counts(`http_request_duration_seconds_count{code="200",method="post"} 1`)
			w.counts("http_requests_in_flight 0")
		}},
		{says: "types and helps", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			w.counts("# TYPE http_requests_total counter")
			w.counts("# TYPE http_request_duration_seconds histogram")
			w.counts("# TYPE http_requests_in_flight gauge")
		}},
		{says: "in flight is there from the start", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").counts("http_requests_in_flight 0")
		}},
		{says: "go_ and process_ metrics are there", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			c := w.dial(w.metrics)
			defer c.Close()
			c.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
			c.answer("GET").code(200).holds("\ngo_goroutines ", "\nprocess_resident_memory_bytes ", "\nprocess_cpu_seconds_total ")
		}},
		{says: "any method at metrics, 404 elsewhere", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat")
			for line, want := range map[string]int{"POST /metrics": 200, "GET /other": 404, "GET /": 404} {
				c := w.dial(w.metrics)
				c.write(requestText(line, ""))
				if a := c.answer("GET"); a.status != want {
					w.Errorf("%s: got %v, want %v", line, a, want)
				}
				_ = c.Close()
			}
		}},
		{says: "methods are lower case, and strange ones unknown", do: func(w *watchdog) {
			w.start("fprocess=cat")
			w.call("PATCH /", "").code(200)
			w.call("PURGE /", "").code(200)
			w.counts(`http_requests_total{code="200",method="patch"} 1`)
			w.counts(`http_requests_total{code="200",method="unknown"} 1`)
		}},
		{says: "the code is what was sent", do: func(w *watchdog) {
			w.start("mode=serializing", "fprocess=false").get("/").code(500)
			w.counts(`http_requests_total{code="500",method="get"} 1`)
		}},
		{says: "metrics_port moves them", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			w.line(fmt.Sprintf(".*Metrics listening on port: %d", w.metrics))
		}},
		{says: "the port of the metrics is 8081", of: either, solo: true, do: func(w *watchdog) {
			w.needPort(8081)
			w.metrics = 8081
			w.start("-metrics_port", "fprocess=cat").counts("http_requests_in_flight 0")
		}},
		{says: "a port of the metrics that is taken is a line, and serving goes on", ours: true, do: func(w *watchdog) {
			other := newWatchdog(w.T, w.bench).start("fprocess=cat")
			w.metrics = other.metrics
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			w.line(fmt.Sprintf(".*%d.*", w.metrics))
		}},
	}
}
