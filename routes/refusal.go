package routes

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// net/http answers by itself, in plain text and past every handler, what it cannot
// read as a request: with 400, or with 431 for a head over MaxHeaderBytes. restate
// gives the same refusal in the words of all others, counted and logged like them; nil
// for what is no such answer. Under TLS, where the connection shows no text, the plain
// one stays.
func (l *Live) restate(p []byte, peer net.Addr) []byte {
	line, body, ok := bytes.Cut(p, []byte(plainHead))
	line, version := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || !version || !bytes.Equal(line, body) || len(line) < 3 {
		return nil
	}
	why := &failure.Error{}
	status := string(line[:3])
	_, detail, _ := strings.Cut(string(line), ": ")
	switch status {
	case "400":
		why.Kind, why.Detail = failure.Malformed, "this is no HTTP request that can be read"
		if detail != "" {
			why.Detail += ": " + detail
		}
	case "431":
		why.Kind, why.Detail = failure.HeaderTooLarge, "the request's head is larger than server.max_header"
	default:
		return nil
	}
	answer := &plainAnswer{header: http.Header{}}
	l.Respond(answer, &http.Request{ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}, why)
	answer.header.Set("Connection", "close")
	if answer.status == 0 {
		answer.status, _ = strconv.Atoi(status) // 400 or 431
	}

	if t := l.table.Load(); t != nil {
		t.none.count.Begin()
		t.none.count.End("", answer.status, 0)
		if t.opt.Access != nil {
			line := Line{Time: time.Now(), Status: answer.status, Bytes: int64(answer.body.Len()), Failed: why}
			if peer != nil && peer.Network() != "unix" {
				line.Peer, _, _ = net.SplitHostPort(peer.String()) // of an accepted TCP connection
			}
			t.opt.Access(line)
		}
	}

	var out bytes.Buffer
	out.WriteString("HTTP/1.1 " + strconv.Itoa(answer.status) + " " + http.StatusText(answer.status) + "\r\n")
	_ = answer.header.Write(&out) // a buffer takes all
	out.WriteString("\r\n")
	out.Write(answer.body.Bytes())
	return out.Bytes()
}

// plainHead is what stands between the status and the text of an answer that
// net/http makes by itself; every other one has a Date.
const plainHead = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// mostPlain is longer than any of them.
const mostPlain = 512

// plainAnswer is an http.ResponseWriter that keeps what it is given.
type plainAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *plainAnswer) Header() http.Header         { return a.header }
func (a *plainAnswer) WriteHeader(status int)      { a.status = status }
func (a *plainAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
