package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestShutdownClosesWhatIsIdleAndAwaitsTheRest(t *testing.T) {
	came, goOn := make(chan struct{}), make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(came)
			<-goOn
		}
		hello(w, r)
	})
	idling := f.dial(get)
	idling.Want(200, "GET / ")
	testkit.Eventually(t, "it is idle", func() bool { return f.states(idle) == 1 })
	slow := f.dial("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	testkit.Await(t, "the slow one", came)
	half := f.dial("GET / HTTP/1.1\r\n")
	testkit.Eventually(t, "half a head is read", func() bool { return f.states(inHead) == 1 })
	fresh1 := f.dial("")
	testkit.Eventually(t, "it is accepted", func() bool { return f.connections() == 4 })

	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }() // until the last response
	if rest := idling.Rest(); rest != "" {
		t.Errorf(`idle: got %q, want ""`, rest)
	}
	if _, err := net.Dial("tcp", f.address); err == nil {
		t.Error("it still listens")
	}
	half.Send("Host: x\r\n\r\n")
	if rest := half.Rest(); !strings.HasSuffix(rest, "GET / ") || !strings.Contains(rest, "Connection: close\r\n") {
		t.Errorf("half a head: got %q, want %q at its end and %q in it", rest, "GET / ", "Connection: close\r\n")
	}
	fresh1.Send(get)
	if rest := fresh1.Rest(); !strings.HasSuffix(rest, "GET / ") || !strings.Contains(rest, "Connection: close\r\n") {
		t.Errorf("fresh: got %q, want %q at its end and %q in it", rest, "GET / ", "Connection: close\r\n")
	}
	select {
	case err := <-done:
		t.Errorf("Shutdown gave %v before the last response", err)
	default:
	}
	close(goOn)
	if rest := slow.Rest(); !strings.HasSuffix(rest, "GET /slow ") || !strings.Contains(rest, "Connection: close\r\n") {
		t.Errorf("slow: got %q, want %q at its end and %q in it", rest, "GET /slow ", "Connection: close\r\n")
	}
	if err := within(t, done); err != nil {
		t.Error(err)
	}
	if err := f.server.Shutdown(context.Background()); err != nil { // again
		t.Error(err)
	}
}

func TestShutdownGivesUpWithItsContextAndCloseCutsWhatIsLeft(t *testing.T) {
	came, cut := make(chan struct{}), make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(came)
		_, _ = io.Copy(io.Discard, r.Body)
		close(cut)
	})
	c := f.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
	testkit.Await(t, "the handler", came)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.server.Shutdown(ctx); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	_ = f.server.Close()
	testkit.Await(t, "the handler's end", cut)
	_ = c.Close()
}

func TestAServerThatIsClosedServesNobody(t *testing.T) {
	for name, end := range map[string]func(*Server){
		"closed":    func(s *Server) { _ = s.Close() },
		"shut down": func(s *Server) { _ = s.Shutdown(context.Background()) },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{Log: slog.New(slog.DiscardHandler)}
		end(s) // before any Serve
		if err := s.Serve(l); err != http.ErrServerClosed {
			t.Errorf("%s: got %v, want %v", name, err, http.ErrServerClosed)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Errorf("%s: the listener is open", name)
		}
		end(s)
	}
}

func TestWithoutKeepAlivesConnectionsServeOneRequest(t *testing.T) {
	f := serve(t, hello)
	idling, fresh := f.dial(get), f.dial("")
	idling.Want(200, "GET / ")
	testkit.Eventually(t, "one is idle, one is fresh", func() bool { return f.states(idle) == 1 && f.connections() == 2 })
	f.server.SetKeepAlivesEnabled(false)
	if rest := idling.Rest(); rest != "" {
		t.Errorf(`got %q, want ""`, rest)
	}
	fresh.Send(get + get)
	if rest := fresh.Rest(); !strings.HasSuffix(rest, "GET / ") || strings.Count(rest, "HTTP/1.1") != 1 || !strings.Contains(rest, "Connection: close\r\n") {
		t.Errorf("got %q, want one answer with Connection: close", rest)
	}
	f.server.SetKeepAlivesEnabled(true)
	c := f.dial(get + get)
	c.Want(200, "GET / ")
	c.Want(200, "GET / ")
}

// However a close meets a request: it is answered as a whole, or nothing of it is.
func TestNoResponseIsCutByAShutdown(t *testing.T) {
	for range 100 {
		f := serve(t, hello)
		var clients sync.WaitGroup
		for range 4 {
			c := f.dial("")
			clients.Go(func() {
				for {
					if _, err := io.WriteString(c.Conn, get); err != nil {
						return
					}
					res, err := http.ReadResponse(c.Reader, nil)
					if err != nil {
						return
					}
					if body, err := io.ReadAll(res.Body); string(body) != "GET / " || err != nil {
						t.Errorf("got %q %v, want %q and no error", body, err, "GET / ")
					}
					if res.Close {
						return
					}
				}
			})
		}
		if err := f.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		clients.Wait()
		if t.Failed() {
			return
		}
	}
}

func TestAListenerOfAUnixSocketIsServed(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	f := serveOn(t, l, hello)
	c := f.dial(get + chunked + "1\r\na\r\n0\r\n\r\n")
	c.Want(200, "GET / ")
	c.Want(200, "POST / a")
}

// tired is a listener whose Accept fails now and then.
type tired struct {
	net.Listener
	fails atomic.Int32
	err   error
}

func (l *tired) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, l.err
	}
	return l.Listener.Accept()
}

type passing struct{ error }

func (passing) Temporary() bool { return true }

func TestAFailureToAcceptThatPassesIsWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	some := &tired{Listener: l, err: &net.OpError{Op: "accept", Err: passing{errors.New("no descriptors")}}}
	some.fails.Store(3)
	f := serveOn(t, some, hello)
	f.dial(get).Want(200, "GET / ")
	if !strings.Contains(f.log.String(), "no descriptors") {
		t.Errorf("got %v, want %q in it", f.log, "no descriptors")
	}
}

func TestAFailureToAcceptThatStaysIsReturnedAndConnectionsGoOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: http.HandlerFunc(hello), Log: slog.New(slog.DiscardHandler)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }() // until the listener is closed
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(testkit.Patience))
	for range 2 {
		if _, err := io.WriteString(nc, get); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAtLeast(nc, make([]byte, 200), 60); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	if err := within(t, done); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	_ = s.Close()
}

// certified returns a configuration with a self-signed certificate.
func certified(t *testing.T, protocols ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: protocols}
}

// serveTLS serves h over TLS.
func serveTLS(t *testing.T, h http.HandlerFunc, change ...func(*Server)) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := certified(t, "h2", "http/1.1")
	return serveOn(t, tls.NewListener(l, config), h, append(change, func(s *Server) { s.TLSConfig = config })...)
}

// secure returns a client that speaks TLS.
func (f *front) secure(protocol, raw string) *testkit.Conn {
	f.t.Helper()
	c := f.dial("")
	plain := c.Conn
	c.Conn = tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	c.Reader.Reset(c.Conn)
	c.Send(raw)
	return c
}

func TestOverTLSAllIsAsWithout(t *testing.T) {
	f := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || !r.TLS.HandshakeComplete {
			t.Error("the request does not tell of TLS")
		}
		hello(w, r)
		if gone, ok := w.(interface{ Gone() bool }); !ok || gone.Gone() {
			t.Error("gone")
		}
	}, func(s *Server) { s.Idle = time.Minute })
	c := f.secure("http/1.1", get+chunked+"1\r\na\r\n0\r\n\r\n")
	c.Want(200, "GET / ")
	c.Want(200, "POST / a")
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000))
	c.Want(200, "POST / "+strings.Repeat("x", 20000))
	testkit.Eventually(t, "it is idle", func() bool { return f.states(idle) == 1 })
	f.server.SetKeepAlivesEnabled(false)
	if _, err := c.Reader.ReadByte(); err == nil {
		t.Error("it is not closed")
	}
}

func TestOverTLSHTTP2IsNegotiatedAndNotGuessed(t *testing.T) {
	f := serveTLS(t, hello)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(request(t, "https://"+f.address+"/a"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "POST /a body" || res.ProtoMajor != 2 {
		t.Errorf(`got %s %q, want string(body) == "POST /a body" && res.ProtoMajor == 2`, res.Proto, body)
	}
	if rest := f.secure("http/1.1", preface).Rest(); !strings.HasPrefix(rest, "HTTP/1.1 400 ") {
		t.Errorf("got %q, want %q at its start", rest, "HTTP/1.1 400 ")
	}
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhoDoesNotSpeakTLSIsToldSo(t *testing.T) {
	f := serveTLS(t, hello)
	if all := f.exchange(get); !strings.HasPrefix(all, "HTTP/1.1 400 ") || !strings.Contains(all, "Refused: yes\r\n") || !strings.HasSuffix(all, "the client does not speak TLS, and this address does") {
		t.Errorf("got %q, want %q at its start, %q in it and %q at its end", all, "HTTP/1.1 400 ", "Refused: yes\r\n", "the client does not speak TLS, and this address does")
	}
	if all := f.exchange("\x00\x01\x02\x03\x04\x05\x06\x07"); strings.Contains(all, "HTTP") {
		t.Errorf("got %q, want no %q in it", all, "HTTP")
	}
}

func TestASlowHandshakeIsCut(t *testing.T) {
	f := serveTLS(t, hello, func(s *Server) { s.Header = short })
	for _, raw := range []string{"", "\x16\x03\x01"} {
		if all, err := io.ReadAll(f.dial(raw).Reader); err != nil || strings.Contains(string(all), "HTTP") {
			t.Errorf("got %q %v, want no %q in it and no error", all, err, "HTTP")
		}
	}
}

// A caller who takes nothing must not keep the server from what else it has to close.
func TestCloseDoesNotWaitForWhoTakesNothing(t *testing.T) {
	const n = 20 // times five seconds, which Close of one may take
	full, end := make(chan struct{}, n), make(chan struct{})
	f := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		nc := w.(*response).c.nc.(*tls.Conn).NetConn()
		_ = nc.SetWriteDeadline(time.Now().Add(short))
		for {
			if _, err := nc.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		_ = nc.SetWriteDeadline(time.Time{})
		full <- struct{}{}
		<-end
	})
	defer close(end)
	for range n {
		f.secure("http/1.1", get)
		within(t, full)
	}
	closed := make(chan struct{})
	go func() { // until all are closed
		defer close(closed)
		_ = f.server.Close()
	}()
	testkit.Await(t, "Close", closed)
}

func TestHTTP2ByPriorKnowledge(t *testing.T) {
	f := serve(t, hello)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	// The preface in pieces, and then whatever it is written with.
	for _, cut := range []int{0, 1, 3, 4, 14, 16, 18, 23, 24, 25} {
		tr := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
			nc, err := net.Dial("tcp", f.address)
			return &cutting{Conn: nc, f: f, at: cut}, err
		}}
		for range 2 {
			res, err := tr.RoundTrip(request(t, "http://x/a"))
			if err != nil {
				t.Fatal(cut, err)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != "POST /a body" || res.ProtoMajor != 2 {
				t.Errorf(`%d: got %s %q %v, want "POST /a body" 2`, cut, res.Proto, body, res.ProtoMajor)
			}
			_ = res.Body.Close()
		}
		tr.CloseIdleConnections()
	}
}

// cutting sends the first bytes apart, once the server waits for more.
type cutting struct {
	net.Conn
	f  *front
	at int
}

func (c *cutting) Write(p []byte) (int, error) {
	n, at := 0, min(c.at, len(p))
	if at > 0 {
		var err error
		if n, err = c.Conn.Write(p[:at]); err != nil {
			return n, err
		}
		if at < len(preface) {
			testkit.Eventually(c.f.t, "it is read", func() bool { return c.f.states(inHead) == 1 })
		}
		c.at = 0
	}
	m, err := c.Conn.Write(p[at:])
	return n + m, err
}

func TestShutdownAwaitsHTTP2(t *testing.T) {
	came, goOn := make(chan struct{}), make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(came)
		<-goOn
		hello(w, r)
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	answered := make(chan error, 1)
	go func() { // until the response
		res, err := tr.RoundTrip(request(t, "http://"+f.address+"/a"))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		answered <- err
	}()
	testkit.Await(t, "the request", came)
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }() // until the response
	testkit.Eventually(t, "it does not listen", func() bool {
		c, err := net.Dial("tcp", f.address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Errorf("Shutdown gave %v before the response", err)
	default:
	}
	close(goOn)
	if err := within(t, answered); err != nil {
		t.Error(err)
	}
	if err := within(t, done); err != nil {
		t.Error(err)
	}
}

// Whoever sends requests one after the other, each answered before the next, loses none
// of them to a shutdown that comes in between, unless it crosses the close on its way.
func TestARequestThatHasComeIsServedThoughTheServerIsLeaving(t *testing.T) {
	for range 200 {
		f := serve(t, hello)
		c := f.dial(get)
		c.Want(200, "GET / ")
		c.Send(get) // it is in the socket when Shutdown looks, read or not
		if err := f.server.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if rest := c.Rest(); !strings.HasSuffix(rest, "GET / ") {
			t.Fatalf("got %q, want %q at its end", rest, "GET / ")
		}
	}
}
