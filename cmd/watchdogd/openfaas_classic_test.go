package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// classicMode: sections 1.3 and 2.11.
func classicMode() []scenario {
	rows := []scenario{
		{says: "200 with X-Duration-Seconds, and the log of a call", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "hello").is(200, "hello").like("X-Duration-Seconds", `\d+\.\d{6}`)
			w.line(clock + "Forking fprocess.")
			w.line(clock + `Wrote 5 Bytes - Duration: \d+\.\d{6}s`)
		}},
		{says: "the type is the request's", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "{}", "Content-Type: application/json").is(200, "{}").has("Content-Type", "application/json")
		}},
		{says: "without one it is sniffed", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "hello").is(200, "hello").has("Content-Type", "text/plain; charset=utf-8")
			w.post("/", "<html>").is(200, "<html>").has("Content-Type", "text/html; charset=utf-8")
		}},
		{says: "an empty body has none", do: func(w *watchdog) {
			w.start("fprocess=true").post("/", "").is(200, "").lacks("Content-Type")
		}},
		{says: "content_type wins", do: func(w *watchdog) {
			w.start("fprocess=cat", "content_type=x/y").post("/", "{}", "Content-Type: application/json").is(200, "{}").has("Content-Type", "x/y")
		}},
		{says: "POST PUT PATCH DELETE GET, and no other", do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Method")
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
				w.call(method+" /", "").is(200, method+"\n")
			}
			for _, method := range []string{"HEAD", "OPTIONS", "PURGE", "TRACE"} {
				w.call(method+" /", "").is(405, "")
			}
		}},
		{says: "the environment has both lengths and the host", do: func(w *watchdog) {
			a := w.start("fprocess=env").post("/a%20b?q=1", "hello", "Host: fn.example", "X-A: b").code(200)
			a.holds("Http_ContentLength=5\n", "Http_Content_Length=5\n", "Http_Host=fn.example\n", "Http_X_A=b\n", "Http_Method=POST\n", "Http_Path=/a b\n", "Http_Query=q=1\n")
		}},
		{says: "the length is 0 without a body and -1 in chunks", do: func(w *watchdog) {
			w.start("fprocess=env").get("/").holds("Http_ContentLength=0\n", "Http_Content_Length=0\n")
			w.post("/", "abc", "Transfer-Encoding: chunked").holds("Http_ContentLength=-1\n", "Http_Content_Length=-1\n", "Http_Transfer_Encoding=chunked\n")
		}},
		{says: "stderr is part of the body", do: func(w *watchdog) {
			w.start("fprocess="+w.script("echo out; echo err >&2")).get("/").is(200, "out\nerr\n")
		}},
		{says: "combine_output=false logs stderr", do: func(w *watchdog) {
			w.start("combine_output=false", "fprocess="+w.script("echo out; echo err >&2")).get("/").is(200, "out\n")
			w.line(clock + "stderr: err")
		}},
		{says: "combine_output=false logs all of stderr as one entry", of: classic, do: func(w *watchdog) {
			w.start("combine_output=false", "fprocess="+w.script("echo one >&2; echo out; echo two >&2; printf three >&2; exit 3")).get("/").code(500)
			w.line("three")
			if !strings.Contains(w.log.String(), " stderr: one\ntwo\nthree\n") || strings.Count(w.log.String(), "stderr: ") != 1 {
				w.Errorf("got the log\n%s\nwant one entry of three lines", w.log)
			}
		}},
		{says: "marshal_request hands over JSON", do: func(w *watchdog) {
			w.start("marshal_request=true", "fprocess=cat").post("/x?y", "hello", "X-Many: one", "X-Many: two").code(200).
				holds(`"header":{`, `"X-Many":["one","two"]`, `"Content-Length":["5"]`, `"body":{"raw":"aGVsbG8="}`).without(`"Host"`, `"/x`)
		}},
		{says: "an exit other than 0 is 500 with the error and what was printed", do: func(w *watchdog) {
			w.start("fprocess="+w.script("echo out; echo err >&2; exit 3")).get("/").is(500, "exit status 3\nout\nerr\n").lacks("X-Duration-Seconds").has("Content-Type", "text/plain; charset=utf-8")
		}},
		{says: "combine_output=false leaves stderr out of that too", do: func(w *watchdog) {
			w.start("combine_output=false", "fprocess="+w.script("echo out; echo err >&2; exit 3")).get("/").is(500, "exit status 3\nout\n")
		}},
		{says: "a failed start is 500 with its text", do: func(w *watchdog) {
			program := w.written("gone", "#!/bin/sh\n")
			w.start("fprocess=" + program)
			if err := os.Remove(program); err != nil {
				w.Fatal(err)
			}
			w.get("/").is(500, "fork/exec "+program+": no such file or directory\n")
		}},
		{says: "exec_timeout is 408 Killed process.", do: func(w *watchdog) {
			w.start("exec_timeout=300ms", "fprocess=sleep 1000").get("/").is(408, "Killed process.\n")
			w.line(clock + "Killing process: sleep.*")
		}},
		{says: "exec_timeout is 408, whoever holds the pipe, and all are dead", ours: true, do: func(w *watchdog) {
			pid := filepath.Join(w.dir, "pid")
			w.start("exec_timeout=300ms", "fprocess="+w.script("echo part; sleep 1000 & echo $! >"+pid+"; wait"))
			w.until(pid, func() { w.get("/").is(408, "Killed process.\n") })
			w.dead(w.pidFile(pid))
		}},
		{says: "there is no exec_timeout by default", do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			w.line(".*(hard: 0s|Timeouts: read: 30s,? write: 30s.*).*")
		}},
		{says: "write_debug copies the output to stdout, and logs path and query", do: func(w *watchdog) {
			w.start("write_debug=true", "fprocess=echo printed").get("/a/b?q=1").is(200, "printed\n")
			w.prints("printed")
			w.line(clock + "Query +q=1")
			w.line(clock + "Path +/a/b")
			w.line(clock + `Duration: \d+\.\d{6}s`)
		}},
		{says: "write_debug does not spoil a failed start", ours: true, do: func(w *watchdog) {
			program := w.written("gone", "#!/bin/sh\n")
			w.start("write_debug=true", "fprocess="+program)
			if err := os.Remove(program); err != nil {
				w.Fatal(err)
			}
			w.get("/").is(500, "fork/exec "+program+": no such file or directory\n")
		}},
		{says: "debug_headers prints the headers", do: func(w *watchdog) {
			w.start("debug_headers=true", "fprocess=cat").post("/", "x", "X-Many: v1", "X-Many: v2", "Content-Type: a/b").is(200, "x")
			w.prints(`.*\[in\] X-Many=\[v1 v2\]`)
			w.prints(`.*\[out\] Content-Type=\[a/b\]`)
		}},
		{says: "function_process is not read", do: func(w *watchdog) {
			w.launch("function_process=cat")
			if w.wait() == 0 {
				w.Error("it ended with 0")
			}
		}},
		{says: "no fprocess is status 1 and a sentence", ours: true, do: func(w *watchdog) {
			w.refuses("fprocess", "function_process=cat")
		}},
		{says: "a command is split at single blanks", do: func(w *watchdog) {
			w.start(`fprocess=printf [%s] a  "b c" $d`).get("/").is(200, `[a][]["b][c"][$d]`)
		}},
		{says: "an empty value is no value", do: func(w *watchdog) {
			w.start("fprocess=cat", "combine_output=", "cgi_headers=", "marshal_request=", "content_type=", "read_timeout=", "exec_timeout=", "max_inflight=", "debug_headers=", "write_debug=").
				post("/", "x", "Content-Type: a/b").is(200, "x").has("Content-Type", "a/b")
		}},
		{says: "a process that reads nothing of a big body is not a failure", do: func(w *watchdog) {
			w.start("fprocess=echo done").post("/", strings.Repeat("x", 3<<20)).is(200, "done\n")
		}},
		{says: "variables of of-watchdog have no effect", do: func(w *watchdog) {
			w.start("fprocess=cat", "upstream_url=http://127.0.0.1:1", "prefix_logs=false", "static_path=/x", "log_buffer_size=x", "http_upstream_url=x").post("/", "x").is(200, "x")
		}},
		{says: "over the limit is 429 with its text", do: func(w *watchdog) {
			gate := filepath.Join(w.dir, "gate")
			w.start("max_inflight=1", "fprocess="+w.script("touch "+w.dir+"/began; while ! [ -e "+gate+" ]; do sleep 0.01; done"))
			var call sync.WaitGroup
			call.Go(func() { w.get("/").code(200) })
			w.poll("the first", func() bool { return exists(filepath.Join(w.dir, "began")) })
			w.get("/").is(429, "Concurrent request limit exceeded. Max concurrent requests: 1\n").has("X-OpenFaaS-Internal", "faas-middleware").has("Content-Type", "text/plain")
			w.file("gate", "")
			call.Wait()
		}},
		{says: "paths arrive as sent", ours: true, do: func(w *watchdog) {
			w.start("fprocess=printenv Http_Path").get("/a//b/../c").is(200, "/a//b/../c\n")
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
		{says: "a body that does not come within read_timeout is 400", do: func(w *watchdog) {
			w.start("fprocess=cat", "read_timeout=300ms")
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly")
			if a := c.answer("POST"); a.err == nil && a.status != 400 && a.status != 408 {
				w.Errorf("got the response %v, want what the scenario says", a)
			}
		}},
		{says: "ours alone are for classic too: response=cgi", ours: true, do: func(w *watchdog) {
			w.start("response=cgi", "fprocess="+w.script(`printf 'Status: 201 Created\nX-A: b\n\nmade\n'`)).get("/").is(201, "made\n").has("X-A", "b")
		}},
		{says: "ours alone are for classic too: form=json", ours: true, do: func(w *watchdog) {
			body := "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B--\r\n"
			w.start("form=json", "fprocess=cat").post("/", body, "Content-Type: multipart/form-data; boundary=B").code(200).holds(`"one"`)
		}},
	}
	for _, value := range []string{"false", "1", "TRUE", "no"} {
		rows = append(rows, scenario{says: "cgi_headers=" + value + " leaves the environment alone", do: func(w *watchdog) {
			w.start("fprocess=env", "cgi_headers="+value, "GREETING=hello").get("/").code(200).holds("GREETING=hello\n").without("Http_")
		}})
	}
	rows = append(rows, scenario{says: "marshal_request=1 is false", do: func(w *watchdog) {
		w.start("fprocess=cat", "marshal_request=1").post("/", "x").is(200, "x")
	}})
	for i := range rows {
		rows[i].of = classic
	}
	return rows
}
