package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const oneOfEach = `
server: {listen: "LISTEN"}
routes:
- {name: early, path: /early, mode: streaming, shell: true, fprocess: 'head -c 1 >/dev/null; echo "$Http_Path"'}
- {name: deaf, path: /deaf, mode: streaming, shell: true, fprocess: 'echo "$Http_Path"'}
- {name: small, path: /small, mode: serializing, fprocess: cat, limits: {body: 5}}
- {name: cat, path: /cat, mode: streaming, fprocess: cat}
- {name: whole, path: /whole, mode: serializing, fprocess: cat}
- {name: worker, path: /worker, mode: afterburn, fprocess: cat, limits: {body: 5}}
`

// exchange sends what is given on a new connection and returns the response with its body,
// and what follows on the connection.
func exchange(t *testing.T, d *daemonUnderTest, sent, then string) (res *http.Response, body, rest string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // a connection that is kept would be read for long
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	if res, err = http.ReadResponse(in, nil); err != nil {
		t.Fatalf("%.40q: got %v, want a response", sent, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%.40q: reading the body: got %v, want nil", sent, err)
	}
	_, _ = io.WriteString(c, then) // fails if the connection is closed already, which is well
	after, _ := io.ReadAll(in)
	return res, string(text), string(after)
}

func TestTheRestOfAnUploadIsNotARequest(t *testing.T) {
	d := serveFile(t, oneOfEach)
	d.waitLog(`"msg":"listening"`)
	for _, path := range []string{"/early", "/deaf", "/small", "/worker"} {
		res, _, rest := exchange(t, d, "POST "+path+" HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n0123456789",
			"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		if rest != "" {
			t.Errorf("%s: got %q for what is part of a body, want nothing", path, rest)
		}
		// Of a program that reads nothing, it may end before the body was looked at. What is
		// left is then read to its end, if it comes.
		if !res.Close && path != "/deaf" {
			t.Errorf("%s: got %d %v, want a response that says that the connection ends", path, res.StatusCode, res.Header)
		}
	}
}

func TestMalformedChunksAre400(t *testing.T) {
	d := serveFile(t, oneOfEach)
	d.waitLog(`"msg":"listening"`)
	for _, path := range []string{"/cat", "/whole"} {
		res, body, _ := exchange(t, d, "POST "+path+" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "")
		if res.StatusCode != 400 || !res.Close {
			t.Errorf("%s: got %d, close %v: %s, want 400 and that the connection ends", path, res.StatusCode, res.Close, body)
		}
	}
}

func TestAResponseWithoutATypeGetsNone(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // or net/http would guess one here
		_, _ = io.WriteString(w, "<html>")
	}))
	defer upstream.Close()
	d := serveFile(t, "server: {listen: \"LISTEN\"}\nroutes:\n- {name: up, path: /, mode: http, upstream: \""+upstream.Listener.Addr().String()+"\"}\n")
	d.waitLog(`"msg":"listening"`)
	for _, version := range []int{1, 2} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(version == 1)
		protocols.SetUnencryptedHTTP2(version == 2)
		client := http.Client{Transport: &http.Transport{Protocols: protocols}}
		res, err := client.Get(d.base)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		client.CloseIdleConnections()
		if types := res.Header["Content-Type"]; types != nil || string(body) != "<html>" || res.ProtoMajor != version {
			t.Errorf("HTTP/%d: got HTTP/%d %v %q, want no Content-Type and the body", version, res.ProtoMajor, types, body)
		}
	}
}
