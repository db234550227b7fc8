package requests

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// mostAnswer is how much of an answer is compared; the rest is read and counts as whole.
const mostAnswer = 8 << 20

// Server is where requests are sent.
type Server struct {
	Address string // host:port
	TLS     bool   // by a certificate that is not checked, for it is on this machine
	Timeout time.Duration
}

// Result is what became of a request.
type Result struct {
	*Request
	Took    time.Duration
	Got     Answer
	Differs []Mistake // how the answer is not as the file says; empty if it is
}

// Answer is the answer to a request.
type Answer struct {
	Status int
	Proto  string
	Header http.Header
	Body   string // of a large one, the beginning
}

// text is what the lines of a Want are looked for in.
func (a Answer) text() string {
	var b strings.Builder
	_ = a.Header.Write(&b) // memory takes all
	b.WriteString(a.Body)
	return b.String()
}

// Ask sends one request on a connection of its own and compares the answer.
func (s Server) Ask(ctx context.Context, f *File, r *Request) Result {
	began := time.Now()
	got, err := s.answer(ctx, r)
	result := Result{Request: r, Took: time.Since(began), Got: got}
	if err != nil {
		result.Differs = []Mistake{{f.Name, r.Line, err.Error()}}
	}
	if got.Status != 0 {
		result.Differs = append(result.Differs, r.compare(f, got)...)
	}
	return result
}

// compare says how an answer is not as the file says.
func (r *Request) compare(f *File, got Answer) (all []Mistake) {
	differs := func(line int, format string, args ...any) {
		all = append(all, Mistake{f.Name, line, fmt.Sprintf(format, args...)})
	}
	switch r.Status {
	case got.Status:
	case 0:
		differs(r.Line, "the status is %d, and the file does not say which it should be", got.Status)
	default:
		differs(r.statusAt+1, "the status is %d, want %d", got.Status, r.Status)
	}
	text := got.text()
	for _, want := range r.Want {
		if !strings.Contains(text, want.Text) {
			differs(want.Line, "the answer lacks %s", quoted(want.Text))
		}
	}
	return all
}

// answer sends a request as it is written. After an error the answer is what came before.
func (s Server) answer(ctx context.Context, r *Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
	if err != nil && ctx.Err() != nil {
		return Answer{}, s.late(ctx)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("connect to watchdogd: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if s.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	sent := make(chan error, 1)
	go func() { // a refusal may come before all is sent
		_, err := io.WriteString(conn, r.text())
		sent <- err
	}()
	got, err := receive(bufio.NewReader(conn), r.Method)
	if err != nil && ctx.Err() != nil {
		err = s.late(ctx)
	}
	_ = conn.Close() // ends the sending, too
	if sendErr := <-sent; err != nil && sendErr != nil && got.Status == 0 && ctx.Err() == nil {
		err = fmt.Errorf("send the request: %w", sendErr)
	}
	return got, err
}

// late is the error of a request whose context has ended.
func (s Server) late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	return fmt.Errorf("not answered within %s", s.Timeout)
}

// text is the request as it is sent.
func (r *Request) text() string {
	var b strings.Builder
	host := r.Host
	if host == "" {
		host = "localhost"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, host)
	connection := "close"
	if r.Header.Get("Upgrade") != "" {
		connection = "Upgrade"
	}
	fmt.Fprintf(&b, "Connection: %s\r\n", connection)
	if r.Body != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	_ = r.Header.Write(&b)
	return b.String() + "\r\n" + r.Body
}

// receive reads an answer: what follows interim ones.
func receive(in *bufio.Reader, method string) (Answer, error) {
	for {
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the connection was closed without an answer")
			}
			return Answer{}, err
		}
		got := Answer{Status: response.StatusCode, Proto: response.Proto, Header: response.Header}
		if got.Status == http.StatusSwitchingProtocols {
			return got, nil
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
		}
		_ = response.Body.Close() // the connection is closed next
		if got.Status < 200 {
			continue
		}
		got.Body = string(body)
		if err != nil {
			return got, fmt.Errorf("the answer was cut off after %s of its body: %w", phrase.Count(len(body), "byte"), err)
		}
		return got, nil
	}
}
