package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An upstream that has heard enough answers and closes, with some of the body unread:
// its connection is reset under the upload, and the answer is what the uploader gets.
func TestAnEarlyAnswerReachesAnUploaderWhoseUpstreamCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, c, 1<<20)
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\nenough")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	d := serveFile(t, `
server: {listen: "LISTEN"}
log: {format: json}
routes:
  - {name: app, upstream: "`+l.Addr().String()+`"}
`).waitListening()

	const calls = 20
	for range calls {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(c, "POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
			piece := make([]byte, 64<<10)
			for err := error(nil); err == nil; {
				_, err = c.Write(piece)
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Error(err)
		} else if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 413 || string(body) != "enough" {
			t.Errorf("got %d %q %v, want 413 and enough", answer.StatusCode, body, err)
		}
		_ = c.Close()
		<-sent
	}
	d.waitLog(`"status":413`)
	if strings.Contains(d.logged(), `"status":499`) {
		t.Error("an uploader who was there is logged as gone")
	}
}
