package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// choosing: when the environment is the configuration, and whose it is.
func choosing() []scenario {
	rows := []scenario{
		{says: "fprocess makes the environment the configuration, and the first line names the dialect", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			first, _, _ := strings.Cut(w.log.String(), "\n")
			if !strings.Contains(first, "environment") || !strings.Contains(first, "of-watchdog") {
				w.Errorf("the first line is %q, want with environment with of-watchdog", first)
			}
		}},
		{says: "function_process does too", ours: true, do: func(w *watchdog) {
			w.start("function_process=cat").post("/", "x").is(200, "x")
		}},
		{says: "mode does too", ours: true, do: func(w *watchdog) {
			w.file("public/a.txt", "a file")
			w.start("mode=static", "static_path="+w.dir+"/public").get("/a.txt").is(200, "a file")
		}},
		{says: "mode=classic is the classic watchdog, and the first line says so", ours: true, do: func(w *watchdog) {
			w.start("mode=classic", "fprocess=cat").call("OPTIONS /", "").code(405)
			first, _, _ := strings.Cut(w.log.String(), "\n")
			if !strings.Contains(first, "classic") {
				w.Errorf("the first line is %q, want with classic", first)
			}
		}},
		{says: "a file goes before the environment", ours: true, do: func(w *watchdog) {
			w.file("watchdog.yaml", fmt.Sprintf("server: {listen: ':%d'}\nroutes: [{name: f, path: /, strip_prefix: false, mode: streaming, fprocess: echo of the file}]\n", w.port))
			w.start("fprocess=cat").post("/", "x").is(200, "of the file\n")
		}},
		{says: "$WATCHDOG_CONFIG goes before the environment", ours: true, do: func(w *watchdog) {
			file := w.file("other.yaml", fmt.Sprintf("server: {listen: ':%d'}\nroutes: [{name: f, path: /, strip_prefix: false, mode: streaming, fprocess: echo of the file}]\n", w.port))
			w.start("fprocess=cat", "WATCHDOG_CONFIG="+file).post("/", "x").is(200, "of the file\n")
		}},
		{says: "--env goes before a file", ours: true, do: func(w *watchdog) {
			w.file("watchdog.yaml", "routes: [{name: f, mode: streaming, fprocess: echo of the file}]\n")
			w.args = []string{"--env"}
			w.start("fprocess=cat").post("/", "x").is(200, "x")
		}},
		{says: "--env without a variable says which is missing", ours: true, do: func(w *watchdog) {
			w.args = []string{"--env"}
			w.refuses("function_process fprocess")
		}},
		{says: "nothing at all is status 1 and a sentence that says what there could be", ours: true, do: func(w *watchdog) {
			w.refuses("watchdog.yaml fprocess")
		}},
		{says: "names are lower case", of: either, ours: true, do: func(w *watchdog) {
			w.refuses("watchdog.yaml", "FPROCESS=cat", "Mode=streaming")
		}},
		{says: "names are lower case, so FPROCESS alone is none", do: func(w *watchdog) {
			w.exits(1, "FPROCESS=cat")
		}},
		{says: "mode=streaming stays of-watchdog, whatever classic variables are set", do: func(w *watchdog) {
			w.start("mode=streaming", "fprocess=cat", "combine_output=true", "write_debug=true", "read_debug=true", "debug_headers=true", "cgi_headers=false", "marshal_request=true", "afterburn=true")
			w.call("OPTIONS /", "x").is(200, "x").has("Content-Type", "application/octet-stream")
		}},
		{says: "a program named fwatchdog works the same", of: either, do: func(w *watchdog) {
			w.name = "fwatchdog"
			w.start("fprocess=cat").post("/", "x").is(200, "x")
		}},
		{says: "a link named fwatchdog works the same", of: either, do: func(w *watchdog) {
			link := filepath.Join(w.dir, "fwatchdog")
			if err := os.Symlink(w.bench.path, link); err != nil {
				w.Fatal(err)
			}
			w.path = link
			w.start("fprocess=cat").post("/", "x").is(200, "x")
			if w.stop() != 0 {
				w.Errorf("it did not end with 0:, want 0\n%s", w.log)
			}
			w.args = []string{"-run-healthcheck"}
			w.exits(1, "fprocess=cat")
		}},
		{says: "fwatchdog without a mode is the classic watchdog, and the first line says so", ours: true, do: func(w *watchdog) {
			w.name = "/home/app/fwatchdog"
			w.start("fprocess=cat").call("OPTIONS /", "").code(405)
			w.post("/", "{}", "Content-Type: application/json").is(200, "{}").has("Content-Type", "application/json")
			first, _, _ := strings.Cut(w.log.String(), "\n")
			for _, want := range []string{"classic-watchdog", "mode is not set", "fwatchdog", "mode=streaming"} {
				if !strings.Contains(first, want) {
					w.Errorf("got the first line %q, want %q in it", first, want)
				}
			}
		}},
		{says: "fwatchdog with mode=streaming is of-watchdog, whatever classic variables are set", do: func(w *watchdog) {
			w.name = "fwatchdog"
			w.start("mode=streaming", "fprocess=cat", "write_debug=true").call("OPTIONS /", "x").is(200, "x").has("Content-Type", "application/octet-stream")
		}},
		{says: "migrate --as fwatchdog reads an image without a mode as a classic one", ours: true, do: func(w *watchdog) {
			w.args = []string{"migrate", "--as", "fwatchdog"}
			w.exits(0, "fprocess=cat")
			file := w.file("migrated.yaml", w.out.String())
			w.log, w.out, w.args = newPrinted(), newPrinted(), []string{"-c", file}
			w.start().call("OPTIONS /", "").code(405)
		}},
		{says: "unknown variables and those without a name are not a mistake", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat", "no_such_variable=1", "NOEQUALS", "=nameless").post("/", "x").is(200, "x")
		}},
		{says: "a dollar in a value is a dollar", do: func(w *watchdog) {
			w.start("fprocess=printf %s|%s $HOME ${PORT}", "content_type=x/${HOME}").get("/").is(200, "$HOME|${PORT}").has("Content-Type", "x/${HOME}")
		}},
		{says: "migrate prints a file that does the same", ours: true, do: func(w *watchdog) {
			env := []string{"fprocess=printf %s $HOME  x", "content_type=text/$x", "max_inflight=3", "exec_timeout=5", "cgi_headers=", "mode="}
			w.args = []string{"migrate"}
			w.exits(0, env...)
			file := w.file("migrated.yaml", w.out.String())
			w.log, w.out, w.args = newPrinted(), newPrinted(), []string{"-c", file}
			w.start().get("/").is(200, "$HOMEx").has("Content-Type", "text/$x")
		}},
		{says: "migrate tells of a variable that has no effect", ours: true, do: func(w *watchdog) {
			w.args = []string{"migrate"}
			w.exits(0, "mode=streaming", "fprocess=cat", "http_upstream_url=http://127.0.0.1:1", "exec_timeout=soon")
			for _, want := range []string{`#.*http_upstream_url.*`, `#.*exec_timeout.*`} {
				if !regexp.MustCompile("(?m)^" + want + "$").MatchString(w.out.String()) {
					w.Errorf("no line %s in\n%s", want, w.out)
				}
			}
		}},
		{says: "migrate refuses what would not start", ours: true, do: func(w *watchdog) {
			w.args = []string{"migrate"}
			w.refuses("mode nonsense", "fprocess=cat", "mode=nonsense")
		}},
	}
	for _, name := range []string{"combine_output", "marshal_request", "cgi_headers", "debug_headers", "read_debug", "write_debug"} {
		rows = append(rows, scenario{says: name + " without a mode chooses classic, and a line says why", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", name+"=true").call("OPTIONS /", "").code(405)
			w.line(".*classic.*" + name + ".*")
		}})
	}
	return rows
}

// timeouts waits for the line of the start that tells them.
func (w *watchdog) timeouts(read, write, hard, health string) {
	w.Helper()
	w.line(fmt.Sprintf(`.*Timeouts: read: %s write: %s hard: %s health: %s`, read, write, hard, health))
}

// variables: sections 1.1 and 1.2.
func variables() []scenario {
	rows := []scenario{
		{says: "function_process goes before fprocess", do: func(w *watchdog) {
			w.start("function_process=echo one", "fprocess=echo two").get("/").is(200, "one\n")
		}},
		{says: "function_process goes before fprocess even if it is empty", do: func(w *watchdog) {
			w.exits(1, "function_process=", "fprocess=echo two")
			w.line(`.*provide a "function_process" or "fprocess" environmental variable for your function.*`)
		}},
		{says: "a command is split at single blanks, without quotes, escapes and variables", do: func(w *watchdog) {
			w.start(`fprocess=printf [%s] a  "b c" \d $e 'f' ~ *`).get("/").is(200, `[a][]["b][c"][\d][$e]['f'][~][*]`)
		}},
		{says: "an equals sign in a command is part of it", do: func(w *watchdog) {
			w.start("fprocess=printf %s a=b=c").get("/").is(200, "a=b=c")
		}},
		{says: "an empty mode is streaming", do: func(w *watchdog) {
			w.start("mode=", "fprocess=cat").post("/", "x").is(200, "x").lacks("X-Duration-Seconds")
		}},
		{says: "no command is status 1 in streaming, serializing and http", do: func(w *watchdog) {
			for _, mode := range []string{"streaming", "serializing", "http"} {
				w.exits(1, "mode="+mode, "http_upstream_url=http://127.0.0.1:1")
				w.line(`.*provide a "function_process" or "fprocess" environmental variable for your function.*`)
				w.log = newPrinted()
			}
		}},
		{says: "an unknown mode is status 1 and a sentence", ours: true, do: func(w *watchdog) {
			w.refuses("mode turbo", "mode=turbo", "fprocess=cat")
		}},
		{says: "mode=inproc is refused with a sentence", ours: true, do: func(w *watchdog) {
			w.refuses("mode inproc library", "mode=inproc", "fprocess=cat")
		}},
		{says: "mode=http without an upstream is status 1", do: func(w *watchdog) {
			w.exits(1, "mode=http", "fprocess=sleep 1000")
			w.line(`(?i).*for "mode=http" you must specify a valid URL for "http_upstream_url".*`)
		}},
		{says: "an empty http_upstream_url goes before upstream_url, and is none", do: func(w *watchdog) {
			w.exits(1, "mode=http", "fprocess=sleep 1000", "http_upstream_url=", "upstream_url=http://127.0.0.1:1")
			w.line(`(?i).*for "mode=http" you must specify a valid URL for "http_upstream_url".*`)
		}},
		{says: "http_upstream_url goes before upstream_url", do: func(w *watchdog) {
			w.serve("upstream_url=http://127.0.0.1:1").get("/teapot").is(418, "short and stout")
		}},
		{says: "upstream_url is an alias", do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("upstream_url=http://127.0.0.1:%d", w.upstream))
			w.waitPort(w.upstream)
			w.get("/teapot").is(418, "short and stout")
		}},
		{says: "an upstream without a scheme is http", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=127.0.0.1:%d", w.upstream))
			w.get("/teapot").is(418, "short and stout")
		}},
		{says: "an upstream that is named without a scheme is http", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("upstream_url=localhost:%d", w.upstream))
			w.get("/teapot").is(418, "short and stout")
		}},
		{says: "an upstream that is not an address is status 1", ours: true, do: func(w *watchdog) {
			w.refuses("http_upstream_url", "mode=http", "fprocess=sleep 1000", "http_upstream_url=http://a b")
		}},
		{says: "defaults are 30 seconds each", do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval=")
			w.timeouts("30s", "30s", "30s", "30s")
			w.signal(9)
		}},
		{says: "healthcheck_interval is write_timeout by default", do: func(w *watchdog) {
			w.start("fprocess=cat", "healthcheck_interval=", "write_timeout=10ms")
			w.timeouts("30s", "10ms", "30s", "10ms")
		}},
		{says: "write_timeout=0 is status 1", do: func(w *watchdog) {
			w.exits(1, "fprocess=cat", "write_timeout=0")
			w.line(`.*write.?timeout.*`)
		}},
		{says: "write_timeout=0s is status 1 and names variable and value", ours: true, do: func(w *watchdog) {
			w.refuses("write_timeout 0s", "fprocess=cat", "write_timeout=0s")
		}},
		{says: "port=0 is any port", do: func(w *watchdog) {
			w.launch("fprocess=cat", "port=0")
			w.line(`.*Listening on port: \d+`)
			w.line(`.*Writing lock-file to: .*`)
		}},
		{says: "port=0 is any port, and the line says which", ours: true, do: func(w *watchdog) {
			w.launch("fprocess=cat", "port=0")
			w.line(`.*Listening on port: \d+`)
			if _, err := fmt.Sscanf(regexp.MustCompile(`Listening on port: \d+`).FindString(w.log.String()), "Listening on port: %d", &w.port); err != nil || w.port == 0 {
				w.Fatalf("port %d, %v", w.port, err)
			}
			w.waitPort(w.port)
			w.post("/", "x").is(200, "x")
		}},
		{says: "a port that is taken is status 1 and names it", ours: true, do: func(w *watchdog) {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", w.port))
			if err != nil {
				w.Fatal(err)
			}
			defer l.Close()
			w.refuses(fmt.Sprint(w.port), "fprocess=cat")
			if exists(w.lock()) {
				w.Error("the lock file was left behind")
			}
		}},
		{says: "the default port is 8080", of: either, solo: true, do: func(w *watchdog) {
			w.needPort(8080)
			w.port = 8080
			w.start("-port", "fprocess=cat").post("/", "x").is(200, "x")
		}},
		{says: "the lock file is in /tmp without TMPDIR", of: either, solo: true, do: func(w *watchdog) {
			w.start("-TMPDIR", "fprocess=cat")
			w.line(".*Writing lock-file to: /tmp/.lock")
			w.poll("/tmp/.lock", func() bool { return exists("/tmp/.lock") })
		}},
		{says: "port=8081 serves, the metrics move aside, and a line says so", solo: true, ours: true, do: func(w *watchdog) {
			w.needPort(8081)
			w.port = 8081
			w.start("fprocess=cat", "port=8081", "-metrics_port").post("/", "x").is(200, "x")
			w.line(".*metrics.*")
		}},
		{says: "content_type is the type of the response", do: func(w *watchdog) {
			w.start("fprocess=cat", "content_type=application/json; charset=x").post("/", "{}", "Content-Type: text/x").is(200, "{}").has("Content-Type", "application/json; charset=x")
		}},
		{says: "an empty content_type is an empty header", do: func(w *watchdog) {
			w.start("fprocess=cat", "content_type=").post("/", "x").is(200, "x").has("Content-Type", "")
		}},
		{says: "content_type rules serializing too", do: func(w *watchdog) {
			w.start("mode=serializing", "fprocess=cat", "content_type=text/y").post("/", "x").is(200, "x").has("Content-Type", "text/y")
		}},
		{says: "content_type has no effect in mode http", do: func(w *watchdog) {
			w.serve("content_type=text/y").get("/x").code(200).has("Content-Type", "application/json")
		}},
		{says: "read_timeout ends a connection that waits for its next request", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat", "read_timeout=500ms")
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("POST /", "x"))
			c.answer("POST").is(200, "x")
			if _, err := c.in.ReadByte(); err != io.EOF {
				w.Errorf("got %v, not the end of the connection, want %v", err, io.EOF)
			}
		}},
		{says: "a response later than write_timeout does not come", of: either, do: func(w *watchdog) {
			gate := filepath.Join(w.dir, "gate")
			w.start("fprocess="+w.script("while ! [ -e "+gate+" ]; do sleep 0.01; done; echo late"), "write_timeout=300ms")
			c := w.dial(w.port)
			defer c.Close()
			began := time.Now()
			c.write(requestText("GET /", ""))
			w.poll("write_timeout to pass", func() bool { return time.Since(began) > 600*time.Millisecond })
			w.file("gate", "")
			c.answer("GET").isCut()
		}},
		{says: "HTTP_PROXY is not for the upstream on this host", do: func(w *watchdog) {
			w.serve("HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1").get("/teapot").is(418, "short and stout")
		}},
		{says: "a header of a MiB and more is 431", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").get("/", "X-Big: "+strings.Repeat("x", 1<<20+8192)).code(431)
		}},
		{says: "a header of many KiB is not a mistake", of: either, do: func(w *watchdog) {
			w.start("fprocess=cat").get("/", "X-Big: "+strings.Repeat("x", 60_000)).is(200, "")
		}},
		{says: "there is no limit to a body", of: either, do: func(w *watchdog) {
			w.start("fprocess=wc -c").post("/", strings.Repeat("x", 12<<20)).is(200, fmt.Sprintf("%d\n", 12<<20))
		}},
		{says: "a variable that is named as one of ours and says something else is the function's own", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", "response=cookies", "form=tax", "environ=x", "warm=yes", "queue=jobs", "restart=now", "replicas=db-1").post("/", "x").is(200, "x")
			for _, name := range []string{"response", "form", "environ", "warm", "queue"} {
				w.line(".*" + name + "=.*has no effect.*")
			}
		}},
	}

	// What is not a number.
	for _, v := range []string{"port=abc", "port=99999", "port=-1", "max_inflight=many", "max_inflight=1.5", "log_buffer_size=64KiB"} {
		name, value, _ := strings.Cut(v, "=")
		rows = append(rows, scenario{says: v + " is status 1, with name and value", ours: true, do: func(w *watchdog) {
			w.refuses(name+" "+value, "fprocess=cat", v)
		}})
	}
	rows = append(rows, scenario{says: "log_buffer_size that is not a number is status 1", do: func(w *watchdog) {
		w.exits(1, "fprocess=cat", "log_buffer_size=abc")
	}})

	// Durations.
	for value, want := range map[string]string{
		"7": "7s", "+7": "7s", "0": "0s", "007": "7s", "7s": "7s", "1m30s": "1m30s", "1.5s": "1.5s", "500ms": "500ms", "-5s": "-5s",
		"abc": "30s", "-5": "30s", "10 s": "30s", " 5": "30s", "": "30s", "5S": "30s",
	} {
		rows = append(rows, scenario{says: fmt.Sprintf("exec_timeout=%q is %s", value, want), do: func(w *watchdog) {
			w.start("fprocess=cat", "exec_timeout="+value)
			if w.bench.ours && strings.HasPrefix(want, "-") {
				want = "0s" // the same: none
			}
			w.timeouts("30s", "30s", want, "1ms")
		}})
	}
	for _, v := range []string{"exec_timeout=soon", "read_timeout=-5", "write_timeout=10 s", "healthcheck_interval=never", "suppress_lock=yes", "prefix_logs=maybe", "jwt_auth=on"} {
		name, value, _ := strings.Cut(v, "=")
		rows = append(rows, scenario{says: v + " is a warning with name and value, and the default", ours: true, do: func(w *watchdog) {
			w.launch("fprocess=cat", v)
			w.line(".*" + name + ".*" + value + ".*")
			w.waitPort(w.port)
			w.post("/", "x").is(200, "x")
			w.signal(9)
		}})
	}
	for _, v := range []string{"exec_timeout=", "read_timeout=", "write_timeout=", "suppress_lock=", "prefix_logs=", "log_callid="} {
		rows = append(rows, scenario{says: v + " with nothing is not set, and no warning", ours: true, do: func(w *watchdog) {
			w.start("fprocess=cat", v).post("/", "x").is(200, "x")
			w.timeouts("30s", "30s", "30s", "1ms")
			name, _, _ := strings.Cut(v, "=")
			w.noLine(".*" + name + ".*")
		}})
	}
	rows = append(rows,
		scenario{says: "exec_timeout=0 and less than 0 are none", do: func(w *watchdog) {
			for _, value := range []string{"0", "-1s"} {
				w.start("fprocess=cat", "exec_timeout="+value).post("/", "x").is(200, "x")
				w.stop()
			}
		}},
	)

	// The kinds of booleans.
	for _, value := range []string{"true", "1"} {
		rows = append(rows, scenario{says: "suppress_lock=" + value + " is true", do: func(w *watchdog) {
			w.start("fprocess=cat", "suppress_lock="+value).post("/", "x").is(200, "x")
			if exists(w.lock()) {
				w.Error("there is a lock file")
			}
		}})
	}
	for _, value := range []string{"TRUE", "yes", "t", "false", "0", ""} {
		rows = append(rows, scenario{says: fmt.Sprintf("suppress_lock=%q is false", value), do: func(w *watchdog) {
			w.start("fprocess=cat", "suppress_lock="+value)
			w.poll("the lock file", func() bool { return exists(w.lock()) })
		}})
	}
	for _, value := range []string{"0", "f", "F", "FALSE", "false", "False"} {
		rows = append(rows, scenario{says: "prefix_logs=" + value + " is false", do: func(w *watchdog) {
			w.start("fprocess="+w.script("echo said >&2"), "prefix_logs="+value).get("/").is(200, "")
			w.line("said")
		}})
	}
	for _, value := range []string{"1", "t", "T", "TRUE", "true", "True", "nonsense", ""} {
		rows = append(rows, scenario{says: fmt.Sprintf("prefix_logs=%q is true", value), do: func(w *watchdog) {
			w.start("fprocess="+w.script("echo said >&2"), "prefix_logs="+value).get("/").is(200, "")
			w.line(clock + "stderr: said")
		}})
	}
	for _, value := range []string{"true", "1"} {
		for _, name := range []string{"http_buffer_req_body", "buffer_http"} {
			rows = append(rows, scenario{says: name + "=" + value + " sends the body with its length", ours: true, do: func(w *watchdog) {
				s := w.serve(name+"="+value).post("/x", "hello", "Transfer-Encoding: chunked").code(200).seen()
				if s.Length != 5 || len(s.Encoding) != 0 || s.Body != "hello" {
					w.Errorf("got the request %+v, want what the scenario says", s)
				}
			}})
		}
	}
	rows = append(rows,
		scenario{says: "buffer_http=true is enough when http_buffer_req_body is false", ours: true, do: func(w *watchdog) {
			s := w.serve("buffer_http=true", "http_buffer_req_body=false").post("/x", "hello", "Transfer-Encoding: chunked").code(200).seen()
			if s.Length != 5 {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		scenario{says: "a length that is known is kept, without buffering too", ours: true, do: func(w *watchdog) {
			s := w.serve().post("/x", "hello").code(200).seen()
			if s.Length != 5 || len(s.Encoding) != 0 {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		scenario{says: "what came in chunks goes on in chunks, without buffering", do: func(w *watchdog) {
			s := w.serve().post("/x", "hello", "Transfer-Encoding: chunked").code(200).seen()
			if s.Length != -1 || s.Body != "hello" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
	)
	return rows
}

// environment: section 2.1, what a process of one call is told.
func environment() []scenario {
	env := func(w *watchdog) *watchdog { return w.start("fprocess=env", "GREETING=hello") }
	return []scenario{
		{says: "the environment is the watchdog's, and the headers", do: func(w *watchdog) {
			a := env(w).call("PUT /a/b?q=1&r=%20", "x", "Content-Type: text/x", "X-Call-Id: 7", "User-Agent: ua", "x_under: u", "X-Many: one", "X-Many: two").code(200)
			for _, line := range []string{"GREETING=hello", "Http_Content_Type=text/x", "Http_X_Call_Id=7", "Http_User_Agent=ua", "Http_X_under=u", "Http_X_Many=one",
				"Http_Method=PUT", "Http_Path=/a/b", "Http_Query=q=1&r=%20", "Http_Content_Length=1"} {
				if !strings.Contains("\n"+a.body, "\n"+line+"\n") {
					w.Errorf("no %s in\n%s", line, a.body)
				}
			}
			a.without("Http_ContentLength", "HTTP_PROXY", "Http_Transfer_Encoding")
		}},
		{says: "the path is decoded", do: func(w *watchdog) {
			env(w).get("/a%20b%2Fc").holds("\nHttp_Path=/a b/c\n")
		}},
		{says: "there is no Http_Query without a query", do: func(w *watchdog) {
			env(w).get("/a").without("Http_Query")
		}},
		{says: "a chunked request says so, and has no length", do: func(w *watchdog) {
			env(w).post("/", "abc", "Transfer-Encoding: chunked").holds("\nHttp_Transfer_Encoding=chunked\n").without("Http_Content_Length")
		}},
		{says: "a header named Proxy becomes no variable that a program could take for a proxy's", ours: true, do: func(w *watchdog) {
			env(w).get("/", "Proxy: http://evil.example").code(200).without("evil")
		}},
		{says: "headers named Method and Path spoof nothing", do: func(w *watchdog) {
			a := env(w).get("/real", "Method: FAKE", "Path: /fake").code(200)
			for name, want := range map[string]string{"Http_Method": "GET", "Http_Path": "/real"} {
				if got := regexp.MustCompile("(?m)^"+name+"=(.*)$").FindAllStringSubmatch(a.body, -1); len(got) == 0 || got[len(got)-1][1] != want {
					w.Errorf("%s is %q", name, got)
				}
			}
		}},
		{says: "a header cannot spoof Http_Query, Http_Method or Http_Path", ours: true, do: func(w *watchdog) {
			env(w).get("/real", "Query: fake", "Method: FAKE", "Path: /fake", "query: fake2").code(200).without("fake", "FAKE", "Http_Query")
		}},
		{says: "serializing tells the same", do: func(w *watchdog) {
			w.start("mode=serializing", "fprocess=env").call("DELETE /x?y", "", "A-B: c").code(200).holds("Http_Method=DELETE\n", "Http_Path=/x\n", "Http_Query=y\n", "Http_A_B=c\n")
		}},
		{says: "X-Forwarded headers of the gateway are passed on as they came", do: func(w *watchdog) {
			env(w).get("/", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Host: gw.example", "X-Forwarded-Proto: https").holds("Http_X_Forwarded_Host=gw.example\n", "Http_X_Forwarded_For=10.1.2.3")
		}},
		{says: "a header longer than a kernel takes is told", ours: true, do: func(w *watchdog) {
			env(w).get("/", "X-Big: "+strings.Repeat("x", 200_000)).code(431)
			w.get("/").code(200)
		}},
		{says: "environ=cgi is that of RFC 3875", ours: true, do: func(w *watchdog) {
			w.start("fprocess=env", "environ=cgi").get("/a%20b?q").code(200).holds("\nREQUEST_METHOD=GET\n", "\nQUERY_STRING=q\n", "\nPATH_INFO=/a b\n", "GATEWAY_INTERFACE=CGI/1.1").without("Http_")
		}},
	}
}
