package routes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestAHeadOverItsLimitIs431(t *testing.T) {
	f := serveWith(t, schema.Server{MaxHeader: 8 << 10}, entry("a", hello("a")))
	all := f.exchange("GET /a HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\n\r\n")
	if !strings.HasPrefix(all, "HTTP/1.1 431") || strings.Contains(all, "200 OK") {
		t.Errorf("got %v, want %q at its start and no %q in it", all, "HTTP/1.1 431", "200 OK")
	}
}

func TestASlowSenderOfAHeadIsCut(t *testing.T) {
	f := serveWith(t, schema.Server{MaxHeader: 1 << 20, Timeouts: schema.ServerTimeouts{Header: short}}, entry("a", hello("a")))
	for _, raw := range []string{"", "GET /a HT", "GET /a HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		c := f.dial(raw)
		if all, _ := io.ReadAll(c); strings.Contains(string(all), "200 OK") {
			t.Errorf("%q: got %s, want no %q in it", raw, all, "200 OK")
		}
	}
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	f := serveWith(t, schema.Server{MaxHeader: 1 << 20, Timeouts: schema.ServerTimeouts{Idle: short}}, entry("a", hello("a")))
	if all := f.exchange("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasSuffix(all, "a") {
		t.Errorf("got %v, want %q at its end", all, "a")
	}
}

func TestHTTP2ByPriorKnowledge(t *testing.T) {
	f := serve(t, entry("a", count, stripped))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(f.request("POST", "/a/x", strings.NewReader("abc")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.ProtoMajor != 2 || string(body) != "3" {
		t.Errorf(`got %s %s, want resp.ProtoMajor == 2 && string(body) == "3"`, resp.Proto, body)
	}
}

func TestAHeadOverItsLimitIs431OverHTTP2Too(t *testing.T) {
	f := serveWith(t, schema.Server{MaxHeader: 4 << 10}, entry("a", count, stripped))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	for _, test := range []struct {
		fields, size, status int
	}{{1, 3 << 10, 200}, {1, 5 << 10, 431}, {1, 40 << 10, 431}, {100, 400, 431}} {
		r := f.request("GET", "/a/x", nil)
		for i := range test.fields {
			r.Header.Set("X-"+strconv.Itoa(i), strings.Repeat("x", test.size))
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Errorf("%d of %d bytes: %v", test.fields, test.size, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // read
		if resp.StatusCode != test.status || err != nil || test.status == 431 && !strings.Contains(string(body), "server.max_header") {
			t.Errorf("%d of %d bytes: got %d %q %v, want %d", test.fields, test.size, resp.StatusCode, body, err, test.status)
		}
	}
}

func TestATimeoutOverHTTP2IsAnsweredOrCut(t *testing.T) {
	f := serve(t, entry("a", hang(""), timeoutsOf(schema.Timeouts{Exec: short})))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(f.request("GET", "/a", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 504 {
		t.Errorf("got %v, want 504", resp.StatusCode)
	}
	inTime(t, func(short schema.Duration) bool {
		f := serve(t, entry("b", hang("text/plain"), timeoutsOf(schema.Timeouts{Exec: short})))
		resp, err := tr.RoundTrip(f.request("GET", "/b", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode == 504 {
			return false
		}
		if err == nil || string(body) != "begun" {
			t.Errorf(`got %q %v, want "begun" and an error`, body, err)
		}
		return true
	})
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, "one.test")
	c := listen.NewCertificate(cert, key)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Header.Get("X-Forwarded-Proto"))
	}))
	l, err := listen.Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(schema.Server{MaxHeader: 1 << 20}, f.live, f.options.Log)
	server.TLSConfig = c.Config()
	done := make(chan error, 1)
	go func() { done <- server.Serve(tls.NewListener(l, server.TLSConfig)) }()
	defer func() { server.Close(); <-done }()
	ask := func(protocol string) (name, body string) {
		t.Helper()
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, ForceAttemptHTTP2: protocol == "h2"}
		defer tr.CloseIdleConnections()
		r := f.request("GET", "/a", nil)
		r.URL.Scheme, r.URL.Host = "https", l.Addr().String()
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		all, _ := io.ReadAll(resp.Body)
		return resp.TLS.PeerCertificates[0].Subject.CommonName, string(all)
	}
	if name, body := ask("http/1.1"); name != "one.test" || body != "HTTP/1.1 https" {
		t.Errorf("got %s %s, want one.test and HTTP/1.1 https", name, body)
	}
	if name, body := ask("h2"); name != "one.test" || body != "HTTP/2.0 https" {
		t.Errorf("got %s %s, want one.test and HTTP/2.0 https", name, body)
	}
	if err := os.WriteFile(cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Load(); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("nonsense was read: got %v, want an error and %q in it", err, cert)
	}
	if name, _ := ask("http/1.1"); name != "one.test" {
		t.Errorf("after a reload that failed: got %s, want one.test", name)
	}
	writePair(t, cert, key, "two.test")
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if name, _ := ask("http/1.1"); name != "two.test" {
		t.Errorf("after a reload: got %s, want two.test", name)
	}
	if err := listen.NewCertificate(filepath.Join(dir, "none"), key).Load(); err == nil {
		t.Error("got no error for a certificate that does not exist")
	}
}

// writePair writes a certificate for name and its key.
func writePair(t *testing.T, cert, key, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A caller who leaves while the response is under way, and reads nothing, frees the handler.
func TestAClientThatStopsReadingMeetsTimeoutsIdle(t *testing.T) {
	returned := make(chan struct{})
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}, timeoutsOf(schema.Timeouts{Idle: 2 * short})))
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	testkit.Await(t, "the handler's return", returned)
	f.loggedTimeout("idle", true)
}

func TestAUnixListenerServes(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header["X-Forwarded-For"])
	}))
	dir, err := os.MkdirTemp("", "routes") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := listen.Open("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(l) }()
	defer func() { f.server.Close(); <-done }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(f.request("GET", "/a", nil))
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 100)
	n, _ := resp.Body.Read(body)
	resp.Body.Close()
	if string(body[:n]) != "[127.0.0.1]" {
		t.Errorf("X-Forwarded-For is %q, want %q", body[:n], "[127.0.0.1]")
	}
	if line := f.log.request(t); line["peer"] != nil {
		t.Errorf("peer is %v, want nil", line["peer"])
	}
}
