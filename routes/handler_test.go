package routes

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestACallIsAnsweredCountedAndLogged(t *testing.T) {
	f := serve(t, entry("api", func(w http.ResponseWriter, r *http.Request) {
		call.From(r.Context()).SetInstance("api-0")
		w.WriteHeader(201)
		_, _ = io.WriteString(w, "done")
	}))
	resp, body := f.get("/api/x?token=secret")
	if resp.StatusCode != 201 || body != "done" {
		t.Fatalf(`got %d %q, want 201 "done"`, resp.StatusCode, body)
	}
	if kind := resp.Header["Content-Type"]; kind != nil {
		t.Errorf("a Content-Type was guessed: got %q, want nil", kind)
	}
	line := f.log.request(t)
	for key, want := range map[string]any{"method": "GET", "path": "/api/x", "route": "api", "status": 201.0, "bytes": 4.0, "instance": "api-0"} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if id, _ := line["id"].(string); len(id) != 32 {
		t.Errorf("id is %q, want 32 of them", id)
	}
	if took, _ := line["duration"].(float64); took <= 0 || took > testkit.Patience.Seconds() {
		t.Errorf("duration is %v seconds", line["duration"])
	}
	if line["peer"] != "127.0.0.1" {
		t.Errorf("peer is %v, want 127.0.0.1", line["peer"])
	}
	for _, key := range []string{"queue_wait", "timeout", "error", "cut"} {
		if value, there := line[key]; there {
			t.Errorf("%s does not apply and is %v", key, value)
		}
	}
	series := f.series()
	for _, want := range []string{
		`http_requests_total{code="201",method="get",route="api"} 1`,
		`http_request_duration_seconds_count{code="201",method="get",route="api"} 1`,
		`http_requests_in_flight{route="api"} 0`,
		"# TYPE http_request_duration_seconds histogram",
	} {
		if !strings.Contains(series, want+"\n") {
			t.Errorf("no %s in\n%s", want, series)
		}
	}
}

func TestTheAccessLineLeavesOutWhatDoesNotApply(t *testing.T) {
	f := serve(t)
	f.get("/nowhere")
	line := f.log.request(t)
	for _, key := range []string{"route", "instance", "queue_wait", "timeout", "cut"} {
		if value, there := line[key]; there {
			t.Errorf("%s does not apply and is %v", key, value)
		}
	}
	if line["status"] != 404.0 || line["error"] != "no route takes this path" {
		t.Errorf("got %v %v %v, want 404.0 and no route takes this path", line, line["status"], line["error"])
	}
}

func TestWaitingForAnInstanceIsQueueWait(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		c := call.From(r.Context())
		c.WaitedSince(time.Now(), "queue")
		if r.URL.RawQuery != "" {
			c.WaitedSince(time.Now().Add(-1500*time.Millisecond), "queue")
		}
	}))
	f.get("/a")
	if line := f.log.request(t); line["queue_wait"] != nil {
		t.Errorf(`an instance that was there counts as waited for: got %v, want line["queue_wait"] == nil`, line)
	}
	f.get("/a?slow")
	if line := f.log.requests(t, 2)[1]; line["queue_wait"].(float64) < 1.5 || line["queue_wait"].(float64) > 20 {
		t.Errorf("got %v %v, want about 1.5", line, line["queue_wait"])
	}
	if s := f.series(); !strings.Contains(s, `watchdogd_queue_wait_seconds_count{route="a"} 1`+"\n") {
		t.Errorf("got %v, want %q in it", s, `watchdogd_queue_wait_seconds_count{route="a"} 1`+"\n")
	}
}

func TestWhatFollowsAnAmbiguousRequestIsNotServed(t *testing.T) {
	ok := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "served")
	}
	const next = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		name, raw string
		answers   int
	}{
		{"length and coding", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		{"coding and length", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH:3\r\n\r\n0\r\n\r\n", 0},
		{"length with a long head", "POST /a HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 9000) + "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		{"coding in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 0},
		{"chunked", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 2},
		{"length", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 2},
		{"HTTP/1.0", "GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", 2},
		{"bad chunk", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := serve(t, entry("a", ok))
			all := f.exchange(c.raw + next)
			if n := strings.Count(all, "served"); n != c.answers {
				t.Errorf("got %d answers, want %d:\n%s", n, c.answers, all)
			}
		})
	}
}

func TestTheConnectionIsKeptAfterAChunkedUploadAndMixedRequests(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, string('0'+rune(n%10))+"\n")
	}))
	c := f.dial("")
	in := bufio.NewReader(c)
	for _, raw := range []string{
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
	} {
		_, _ = io.WriteString(c, raw)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%v after %q", err, raw)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Close {
			t.Errorf("closed after %q", raw)
		}
	}
}

func TestAnUnreadBodyDoesNotBecomeARequest(t *testing.T) {
	deaf := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "served") }
	for name, raw := range map[string]string{
		"bad chunk":  "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"bad size":   "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"no more":    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
		"much more":  "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"trailer":    "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"expectant":  "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\nExpect: 100-continue\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"unfinished": "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, entry("a", deaf))
			all := f.exchange(raw)
			if n := strings.Count(all, "served"); n != 1 {
				t.Errorf("got %d answers, want 1:\n%s", n, all)
			}
		})
	}
	t.Run("a whole one is read and the connection kept", func(t *testing.T) {
		f := serve(t, entry("a", deaf))
		all := f.exchange("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if n := strings.Count(all, "served"); n != 2 {
			t.Errorf("got %d answers, want 2:\n%s", n, all)
		}
	})
}

func TestFullDuplex(t *testing.T) {
	f := serve(t, entry("echo", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	}))
	c := f.dial("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two", "six"} {
		_, _ = io.WriteString(c, "3\r\n"+word+"\r\n")
		got := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
			t.Fatalf("got %q %v, want %q and no error", got, err, word)
		}
	}
	_, _ = io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Fatalf("got %q %v, want nothing and no error", rest, err)
	}
}

func TestTargetsWithoutAPath(t *testing.T) {
	f := serve(t, entry("all", hello("all"), func(r *schema.Route) { r.Path = "/" }))
	for _, c := range []struct{ line, status string }{
		{"OPTIONS * HTTP/1.1", "200"},
		{"GET * HTTP/1.1", "400"},
		{"CONNECT host:443 HTTP/1.1", "400"},
		{"CONNECT /rpc HTTP/1.1", "400"},
		{"GET http://h HTTP/1.1", "200"},
		{"GET http://h?x HTTP/1.1", "200"},
		{"GET http:opaque HTTP/1.1", "400"},
		{"GET ?x HTTP/1.1", "400"},
		{"GET  HTTP/1.1", "400"},
		{"GET nothing HTTP/1.1", "400"},
	} {
		all := f.exchange(c.line + "\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(all, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: got %s, want %q at its start", c.line, all, "HTTP/1.1 "+c.status)
		}
	}
}
