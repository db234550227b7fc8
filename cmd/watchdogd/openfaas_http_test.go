package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// httpAccess is an access line of mode http.
func httpAccess(request, status, size string) string {
	return strings.Replace(access(request, 0, size), " 0 ", " "+status+" ", 1)
}

// httpMode: section 2.4.
func httpMode() []scenario {
	internal := func(a *answer) {
		a.w.Helper()
		a.has("X-OpenFaaS-Internal", "of-watchdog").like("X-Duration-Seconds", `\d+\.\d{6}`)
	}
	rows := []scenario{
		{says: "path, query and method arrive as sent", do: func(w *watchdog) {
			w.serve()
			for _, uri := range []string{"/", "/a%20b/%2F?q=%31&r", "/x?", "/?a=b;c", "/a/b/"} {
				if s := w.call("PURGE "+uri, "").code(200).seen(); s.URI != uri || s.Method != "PURGE" {
					w.Errorf("got %s arrived as %s %s, want %v and PURGE", uri, s.Method, s.URI, uri)
				}
			}
		}},
		{says: "a path that is not clean arrives as sent", ours: true, do: func(w *watchdog) {
			w.serve()
			for _, uri := range []string{"//a//b", "/./a", "/a/../b", "/a/.", "/%2e%2e/x"} {
				if s := w.get(uri).code(200).seen(); s.URI != uri {
					w.Errorf("got %s arrived as %s, want %v", uri, s.URI, uri)
				}
			}
		}},
		{says: "the path of the upstream comes before that of the request", do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d/base", w.upstream))
			w.waitPort(w.upstream)
			if s := w.get("/x?y").code(200).seen(); s.URI != "/base/x?y" {
				w.Errorf("arrived as %s, want /base/x?y", s.URI)
			}
		}},
		{says: "a slash at the end of the upstream does not double the one of the path", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d/", w.upstream))
			if s := w.get("/x?y").code(200).seen(); s.URI != "/x?y" {
				w.Errorf("arrived as %s, want /x?y", s.URI)
			}
		}},
		{says: "a request gets no headers that describe another client", ours: true, do: func(w *watchdog) {
			s := w.serve().get("/x").code(200).seen()
			if s.Header.Get("User-Agent") != "" || s.Header.Get("Accept-Encoding") != "" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "headers arrive with all their values, and the Host is the client's", do: func(w *watchdog) {
			s := w.serve().get("/x", "Host: fn.example:81", "X-Many: one", "X-Many: two", "User-Agent: ua", "Authorization: Basic x", "X-Timeout: 5s").code(200).seen()
			if s.Host != "fn.example:81" || !slices.Equal(s.Header["X-Many"], []string{"one", "two"}) || s.Header.Get("User-Agent") != "ua" || s.Header.Get("Authorization") != "Basic x" || s.Header.Get("X-Timeout") != "5s" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "headers of the connection do not go on", ours: true, do: func(w *watchdog) {
			s := w.serve().get("/x", "Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: timeout=1", "TE: gzip", "Proxy-Authorization: Basic x").code(200).seen()
			for _, name := range []string{"X-Mine", "Keep-Alive", "Proxy-Authorization"} {
				if s.Header.Get(name) != "" {
					w.Errorf("%s arrived: got %+v, want nothing", name, s)
				}
			}
			a := w.get("/values").is(200, "values").lacks("X-Private", "Keep-Alive")
			if strings.Contains(a.head, "X-Private") {
				w.Errorf("got %v, want no X-Private", a)
			}
		}},
		{says: "X-Forwarded headers of the gateway are believed", do: func(w *watchdog) {
			s := w.serve().get("/x", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Host: gw.example", "X-Forwarded-Proto: https", "Forwarded: for=10.1.2.3").code(200).seen()
			if !strings.HasPrefix(s.Header.Get("X-Forwarded-For"), "10.1.2.3") || s.Header.Get("X-Forwarded-Host") != "gw.example" || s.Header.Get("X-Forwarded-Proto") != "https" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "the body arrives", do: func(w *watchdog) {
			if s := w.serve().post("/x", "hello", "Content-Type: text/x").code(200).seen(); s.Body != "hello" || s.Header.Get("Content-Type") != "text/x" {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "Content-Length 0 stays 0", do: func(w *watchdog) {
			if s := w.serve().post("/x", "").code(200).seen(); s.Length != 0 {
				w.Errorf("got the request %+v, want what the scenario says", s)
			}
		}},
		{says: "a large body arrives whole", ours: true, do: func(w *watchdog) {
			if s := w.serve("http_buffer_req_body=true").post("/x", strings.Repeat("x", 5<<20)).code(200).seen(); s.Length != 5<<20 || len(s.Body) != 5<<20 {
				w.Errorf("length %d, %d bytes", s.Length, len(s.Body))
			}
		}},
		{says: "status, headers and body come back, with X-Duration-Seconds", do: func(w *watchdog) {
			w.serve().get("/teapot").is(418, "short and stout").has("X-Upstream", "yes").like("X-Duration-Seconds", `\d+\.\d{6}`).lacks("X-OpenFaaS-Internal")
			w.get("/values").is(200, "values").has("X-Many", "one", "two").has("Set-Cookie", "a=1", "b=2").like("X-Duration-Seconds", `\d+\.\d{6}`)
		}},
		{says: "a redirect is passed through", do: func(w *watchdog) {
			w.serve().get("/redirect").code(302).has("Location", "/elsewhere")
		}},
		{says: "a response without a type is sniffed", do: func(w *watchdog) {
			w.serve().get("/untyped").is(200, "<!doctype html><title>x</title>").has("Content-Type", "text/html; charset=utf-8")
			w.call("HEAD /untyped", "").code(200).lacks("Content-Type")
		}},
		{says: "trailers come back", ours: true, do: func(w *watchdog) {
			if a := w.serve().get("/trailer").is(200, "body"); a.trailer.Get("X-Sum") != "42" {
				w.Errorf("trailer %v, want 42", a.trailer)
			}
		}},
		{says: "the access line has the status and its words", do: func(w *watchdog) {
			w.serve().get("/teapot?x=%20").code(418)
			w.line(httpAccess("GET /teapot?x=%20", "418 I'm a teapot", "15B"))
			w.get("/big?size=211").code(200)
			w.line(httpAccess("GET /big?size=211", "200 OK", "211B"))
		}},
		{says: "the access line of unknown length has -1B", do: func(w *watchdog) {
			w.serve().get("/trailer").code(200)
			w.line(httpAccess("GET /trailer", "200 OK", "-1B"))
		}},
		{says: "an upstream that closes is 500", do: func(w *watchdog) {
			a := w.serve().get("/nothing").is(500, "")
			internal(a)
			w.line(clock + "Upstream HTTP request error: .*")
		}},
		{says: "an upstream that speaks no HTTP is 500", do: func(w *watchdog) {
			internal(w.serve().get("/garbage").is(500, ""))
		}},
		{says: "an upstream that does not listen is 500", ours: true, do: func(w *watchdog) {
			w.start("mode=http", "fprocess=sleep 1000", fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", freePort(w.T)), "exec_timeout=400ms")
			if a := w.get("/x"); a.status != 500 && a.status != 504 {
				w.Errorf("got the response %v, want what the scenario says", a)
			} else {
				internal(a)
			}
		}},
		{says: "exec_timeout before the head is 504", do: func(w *watchdog) {
			internal(w.serve("exec_timeout=300ms").get("/hang").is(504, ""))
			w.line(clock + "Upstream HTTP killed due to exec_timeout: 300ms")
		}},
		{says: "exec_timeout leaves the function running", do: func(w *watchdog) {
			w.serve("exec_timeout=1s")
			before := w.get("/x").seen().PID
			w.get("/hang").code(504)
			if after := w.get("/x").seen().PID; after != before {
				w.Errorf("got process %d, want %d", after, before)
			}
		}},
		{says: "exec_timeout after the head cuts the response", ours: true, do: func(w *watchdog) {
			w.serve("exec_timeout=500ms").begun("/part?type=text/plain&until=/never").isCut()
			w.begun("/sized").isCut()
		}},
		{says: "the access line has the function's own reason phrase", do: func(w *watchdog) {
			w.serve().get("/reason").is(201, "ok")
			w.line(httpAccess("GET /reason", "201 Made By Hand", "2B"))
		}},
		{says: "the log names the program and its arguments before it starts", do: func(w *watchdog) {
			w.serve()
			w.line(clock + `Forking: env, arguments: \[WATCHDOGD_TEST_AS=upstream /.*\]`)
		}},
		{says: "a response shorter than it said is cut", do: func(w *watchdog) {
			w.serve().get("/short").isCut()
		}},
		{says: "X-Timeout shortens exec_timeout", do: func(w *watchdog) {
			w.serve("exec_timeout=10m")
			internal(w.get("/hang", "X-Timeout: 200ms").is(504, ""))
		}},
		{says: "X-Timeout that is longer, or no duration, is nothing", do: func(w *watchdog) {
			w.serve("exec_timeout=300ms")
			w.get("/hang", "X-Timeout: 1h").code(504)
			w.get("/hang", "X-Timeout: 100").code(504)
		}},
		{says: "X-Timeout of 0 and less disables nothing", ours: true, do: func(w *watchdog) {
			w.serve("exec_timeout=300ms")
			w.get("/hang", "X-Timeout: 0s").code(504)
			w.get("/hang", "X-Timeout: -5s").code(504)
		}},
		{says: "a client's disconnect reaches the function, and is not a timeout", ours: true, do: func(w *watchdog) {
			file := filepath.Join(w.dir, "left")
			arrived := filepath.Join(w.dir, "arrived")
			w.serve()
			c := w.dial(w.port)
			c.write(requestText("GET /left?file="+file+"&arrived="+arrived, ""))
			w.poll("the call", func() bool { return exists(arrived) })
			_ = c.Close()
			w.poll("the function to notice", func() bool { return exists(file) })
			w.noLine(".*exec_timeout.*")
		}},
		{says: "what is sent in chunks comes at once, without being asked for", ours: true, do: func(w *watchdog) {
			gate := filepath.Join(w.dir, "gate")
			w.serve()
			c := w.dial(w.port)
			defer c.Close()
			c.write(requestText("GET /part?type=text/plain&until="+gate, ""))
			c.until("first")
			w.file("gate", "")
			c.until("second")
		}},
		{says: "an upload is answered while it is sent", ours: true, do: func(w *watchdog) {
			w.serve()
			c := w.dial(w.port)
			defer c.Close()
			c.write("POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
			c.until("first")
			c.write("6\r\nsecond\r\n")
			c.until("second")
			c.write("0\r\n\r\n")
			c.until("0\r\n\r\n")
		}},
		{says: "an upgraded connection goes both ways", do: func(w *watchdog) {
			w.serve()
			c := w.dial(w.port)
			defer c.Close()
			c.write("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			c.until("101 Switching Protocols")
			c.until("\r\n\r\n")
			c.write("ping")
			c.until("ping")
			c.write("pong")
			c.until("pong")
		}},
		{says: "an upgraded connection outlives exec_timeout and write_timeout", ours: true, do: func(w *watchdog) {
			w.serve("exec_timeout=1s", "write_timeout=1s")
			c := w.dial(w.port)
			defer c.Close()
			c.write("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n")
			c.until("101 Switching Protocols")
			c.until("\r\n\r\n")
			w.get("/hang") // a second
			w.get("/hang")
			c.write("ping")
			c.until("ping")
		}},
		{says: "the base path holds for streams and upgrades too", ours: true, do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "fprocess="+w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d/base", w.upstream))
			if s := w.get("/x?y", "Accept: text/event-stream").code(200).seen(); s.URI != "/base/x?y" {
				w.Errorf("arrived as %s, want /base/x?y", s.URI)
			}
		}},
		{says: "an absolute request line reaches the function", ours: true, do: func(w *watchdog) {
			if s := w.serve().get("http://fn.example/x?y").code(200).seen(); !strings.HasSuffix(s.URI, "/x?y") {
				w.Errorf("arrived as %s", s.URI)
			}
		}},
		{says: "no line for a kube-probe", do: func(w *watchdog) {
			w.serve().get("/x", "User-Agent: kube-probe/1.30").code(200)
			w.get("/seen").code(200)
			w.noLine(".*GET /x .*")
		}},
		{says: "another program may be the upstream, and have run before", do: func(w *watchdog) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				w.Fatal(err)
			}
			other := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { fmt.Fprint(out, "other") })}
			var served sync.WaitGroup
			served.Go(func() { _ = other.Serve(l) })
			defer served.Wait()
			defer other.Close()
			w.start("mode=http", "fprocess=sleep 1000", "http_upstream_url=http://"+l.Addr().String()).get("/").is(200, "other")
		}},
		{says: "the function's environment is the watchdog's", do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", "GREETING=hello", fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream),
				"fprocess="+w.script("echo greeting=$GREETING fprocess=${fprocess:+there} >&2; exec "+w.function("upstream")))
			w.line(clock + "stderr: greeting=hello fprocess=there")
		}},
		{says: "the function's input is a pipe that stays open", do: func(w *watchdog) {
			w.upstream = freePort(w.T)
			w.start("mode=http", fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream), fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream),
				"fprocess="+w.script("[ -p /dev/stdin ] && echo the input is a pipe; exec "+w.function("upstream")))
			w.prints(clock + "stdout: the input is a pipe")
			w.waitPort(w.upstream)
			w.get("/teapot").code(418)
		}},
		{says: "many calls at once all get their own answer", do: func(w *watchdog) {
			w.serve()
			var calls sync.WaitGroup
			for i := range 40 {
				calls.Go(func() {
					if s := w.post(fmt.Sprintf("/%d", i), fmt.Sprint(i)).code(200).seen(); s.URI != "/"+s.Body || s.Body != fmt.Sprint(i) {
						w.Errorf("got the request %+v, want what the scenario says", s)
					}
				})
			}
			calls.Wait()
		}},
	}
	for _, kind := range []string{"text/event-stream", "application/x-ndjson"} {
		rows = append(rows,
			scenario{says: "a stream of " + kind + " comes at once", do: func(w *watchdog) {
				gate := filepath.Join(w.dir, "gate")
				w.serve()
				c := w.dial(w.port)
				defer c.Close()
				c.write(requestText("GET /part?type="+kind+"&until="+gate, "", "Accept: "+kind))
				c.until("first")
				w.file("gate", "")
				c.until("second")
			}},
			scenario{says: "a stream of " + kind + " outlives exec_timeout", do: func(w *watchdog) {
				gate := filepath.Join(w.dir, "gate")
				w.serve("exec_timeout=1s")
				c := w.dial(w.port)
				defer c.Close()
				c.write(requestText("GET /part?type="+kind+"&until="+gate, "", "Accept: "+kind))
				c.until("first")
				w.get("/hang").code(504) // a second
				w.get("/hang").code(504)
				w.file("gate", "")
				c.until("second")
			}},
			scenario{says: "exec_timeout rules a stream of " + kind + " until its head", ours: true, do: func(w *watchdog) {
				internal(w.serve("exec_timeout=300ms").get("/hang", "Accept: "+kind).is(504, ""))
			}},
			scenario{says: "a failed stream of " + kind + " is told", ours: true, do: func(w *watchdog) {
				internal(w.serve().get("/nothing", "Accept: "+kind).is(500, ""))
			}},
			scenario{says: "write_timeout cuts a stream of " + kind + " so that it can be seen", ours: true, do: func(w *watchdog) {
				gate := filepath.Join(w.dir, "gate")
				w.serve("write_timeout=1500ms", "exec_timeout=1s")
				c := w.dial(w.port)
				defer c.Close()
				c.write(requestText("GET /part?until="+gate+"&type="+kind, "", "Accept: "+kind))
				began := time.Now()
				c.until("first")
				w.poll("write_timeout to pass", func() bool { return time.Since(began) > 2*time.Second })
				w.file("gate", "")
				rest, err := io.ReadAll(c.in)
				if errors.Is(err, os.ErrDeadlineExceeded) || strings.HasSuffix(string(rest), "0\r\n\r\n") {
					w.Errorf("%q, %v", rest, err)
				}
			}},
			scenario{says: "a stream of " + kind + " is logged with what was sent", ours: true, do: func(w *watchdog) {
				gate := w.file("gate", "")
				w.serve().get("/part?type="+kind+"&until="+gate, "Accept: "+kind).code(200)
				w.line(clock + `GET /part.* - 200 - Bytes: 27B \(\d+\.\d{4}s\)`)
			}},
		)
	}
	return append(rows, scenario{says: "a connection that the function closed is not used again", do: func(w *watchdog) {
		w.serve()
		for n := range 30 {
			closed := filepath.Join(w.dir, fmt.Sprint("closed", n))
			if w.post("/close?closed="+closed, "x").is(200, "ok").status != 200 {
				return
			}
			w.poll("the function to close its connection", func() bool { return exists(closed) })
		}
	}})
}
