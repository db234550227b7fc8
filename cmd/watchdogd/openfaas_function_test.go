package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// seen is a request as the upstream saw it.
type seen struct {
	Method, URI, Host string
	Header            http.Header
	Length            int64
	Encoding          []string
	Body              string
	PID               int
}

// testUpstream is an HTTP function on $UPSTREAM_PORT. The last segment of a path says
// what it does; anything else is answered with what was seen of the request.
func testUpstream() {
	term := make(chan os.Signal, 1)
	switch os.Getenv("UPSTREAM_ON_TERM") {
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "say":
		signal.Notify(term, syscall.SIGTERM)
		go func() {
			<-term
			fmt.Fprintln(os.Stderr, "the function was asked to end")
			os.Exit(0)
		}()
	}
	if gate := os.Getenv("UPSTREAM_AFTER"); gate != "" {
		fmt.Fprintln(os.Stderr, "the function waits")
		awaitFile(gate, nil)
	}
	fmt.Println("the function says hello on stdout")
	fmt.Fprintln(os.Stderr, "the function says hello on stderr")
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("UPSTREAM_PORT"), Handler: http.HandlerFunc(upstreamAnswer)}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}

// awaitFile waits until a file exists, or until gone.
func awaitFile(path string, gone <-chan struct{}) {
	for !exists(path) {
		select {
		case <-gone:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func upstreamAnswer(w http.ResponseWriter, r *http.Request) {
	path, query := r.URL.Path, r.URL.Query()
	flush := func() { _ = http.NewResponseController(w).Flush() }
	hijack := func(text string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
	if file := query.Get("arrived"); file != "" {
		_ = os.WriteFile(file, nil, 0o600)
	}
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "teapot":
		w.Header().Set("X-Upstream", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	case "redirect":
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	case "values":
		w.Header()["X-Many"] = []string{"one", "two"}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("X-Duration-Seconds", "from the function")
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "of this connection")
		w.Header().Set("Keep-Alive", "timeout=5")
		fmt.Fprint(w, "values")
	case "untyped":
		w.Header()["Content-Type"] = nil
		fmt.Fprint(w, "<!doctype html><title>x</title>")
	case "trailer":
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
		flush()
		w.Header().Set("X-Sum", "42")
	case "wait": // answers when a file appears
		awaitFile(query.Get("until"), r.Context().Done())
		fmt.Fprint(w, "waited")
	case "hang":
		<-r.Context().Done()
	case "left": // writes a file when the caller has gone
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		_ = os.WriteFile(query.Get("file"), nil, 0o600)
	case "part": // some of the body, and then nothing more
		w.Header().Set("Content-Type", query.Get("type"))
		fmt.Fprint(w, "data: first\n\n")
		flush()
		awaitFile(query.Get("until"), r.Context().Done())
		fmt.Fprint(w, "data: second\n\n")
	case "sized": // the same with a length
		w.Header().Set("Content-Length", "20")
		fmt.Fprint(w, "0123456789")
		flush()
		<-r.Context().Done()
	case "reason":
		hijack("HTTP/1.1 201 Made By Hand\r\nContent-Length: 2\r\n\r\nok")
	case "short":
		hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
	case "close": // a whole answer that does not say that it is the last
		_, _ = io.Copy(io.Discard, r.Body)
		hijack("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_ = os.WriteFile(query.Get("closed"), nil, 0o600)
	case "nothing":
		hijack("")
	case "garbage":
		hijack("this is no HTTP at all, and long enough to be seen as such\r\n\r\n")
	case "upgrade":
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, rw)
	case "exit":
		var status int
		_, _ = fmt.Sscan(query.Get("status"), &status)
		if file := query.Get("after"); file != "" {
			awaitFile(file, nil)
		}
		fmt.Fprintf(os.Stderr, "the last words of the function")
		os.Exit(status)
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "say":
		fmt.Println(query.Get("out"))
		fmt.Fprintln(os.Stderr, query.Get("err"))
	case "shout": // a line of so many bytes
		var size int
		_, _ = fmt.Sscan(query.Get("size"), &size)
		fmt.Fprintln(os.Stderr, strings.Repeat("x", size))
		fmt.Fprint(w, "shouted")
	case "big":
		var size int
		_, _ = fmt.Sscan(query.Get("size"), &size)
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	case "stream": // answers while it reads
		_ = http.NewResponseController(w).EnableFullDuplex()
		buffer := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])
			flush()
			if err != nil {
				return
			}
		}
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			fmt.Fprintln(os.Stderr, "the function could not read:", err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, r.TransferEncoding, string(body), os.Getpid()})
	}
}

// seen is what the upstream saw of the request.
func (a *answer) seen() (s seen) {
	a.w.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		a.w.Fatalf("%v in\n%v\nthe log:\n%s", err, a, a.w.log)
	}
	return s
}

// testWorker is an afterburn worker that answers as the path says.
func testWorker() {
	in := bufio.NewReader(os.Stdin)
	for calls := 1; ; calls++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		answer := func(head, text string) {
			fmt.Printf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", head, len(text), text)
		}
		switch r.URL.Path {
		case "/created":
			answer("201 Created\r\nX-Many: one\r\nX-Many: two\r\nContent-Type: text/x", "made")
		case "/chunked":
			fmt.Print("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
		case "/unframed":
			fmt.Print("HTTP/1.1 200 OK\r\n\r\nfor ever")
		case "/garbage":
			fmt.Println("a stray print to stdout, of some length")
		case "/extra":
			fmt.Print("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthis and more than was announced")
		case "/exit":
			os.Exit(7)
		case "/end":
			os.Exit(0)
		case "/hang":
			select {}
		case "/wait":
			_ = os.WriteFile(r.URL.Query().Get("arrived"), nil, 0o600)
			awaitFile(r.URL.Query().Get("until"), nil)
			answer("200 OK", "waited")
		case "/say":
			fmt.Fprintln(os.Stderr, "said by the worker")
			answer("200 OK", "said")
		default:
			text, _ := json.Marshal(seen{r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, r.TransferEncoding, string(body), os.Getpid()})
			answer("200 OK\r\nX-Calls: "+fmt.Sprint(calls), string(text))
		}
	}
}
