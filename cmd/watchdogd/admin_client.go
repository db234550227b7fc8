package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// admin is a client of the admin API at an address. Over a unix socket it sends nothing
// before it has seen that a user whom it trusts serves it.
type admin struct {
	address string
	token   string // sent over TCP only
	uid     int    // found out by vet; of a unix socket
	own     bool   // the socket is in one of watchdogd's own folders
}

// get decodes the answer to a GET into value.
func (a admin) get(ctx context.Context, path string, value any) error {
	return a.do(ctx, http.MethodGet, path, value)
}

// do sends a request without a body and decodes the answer into value.
func (a admin) do(ctx context.Context, method, path string, value any) error {
	response, err := a.send(ctx, method, path, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refused(response)
	}
	if err := json.NewDecoder(response.Body).Decode(value); err != nil {
		return fmt.Errorf("read the answer of the admin API: %w", err)
	}
	return nil
}

// send sends one request; the caller closes the body, which ends the connection.
func (a admin) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	transport := localTransport(a.address)
	transport.DisableKeepAlives = true
	if socket, ok := strings.CutPrefix(a.address, "unix:"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx, socket) }
	} else if a.token != "" {
		if own := request.Header["Authorization"]; own != nil {
			request.Header[callAuthorization] = own
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	return (&http.Client{Transport: transport}).Do(request)
}

// dial connects to the socket at path, if it is, and is served by, a trusted user's.
func (a admin) dial(ctx context.Context, path string) (net.Conn, error) {
	owner := -1
	if !strings.HasPrefix(path, "@") { // an abstract socket has no owner but its server
		var err error
		if owner, err = vet(path, a.own); err != nil {
			return nil, err
		}
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	uid, err := peerOf(c)
	if err == nil && (!trusts(uid) || owner >= 0 && uid != owner && uid != 0) {
		err = &foreign{path, uid}
	}
	if err != nil {
		_ = c.Close() // nothing was sent
		return nil, err
	}
	return c, nil
}

// peerOf returns the user that serves the other end of c.
func peerOf(c net.Conn) (uid int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := raw.Control(func(fd uintptr) { uid, err = peerUID(int(fd)) })
	if err = errors.Join(failed, err); err != nil {
		return -1, fmt.Errorf("find out who serves the admin socket: %w", err)
	}
	return uid, nil
}

// refused is the error of an answer that is not 200.
func refused(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what could be read is shown
	var why refusal
	if json.Unmarshal(body, &why) == nil && why.Error != "" {
		return errors.New(why.Error)
	}
	return fmt.Errorf("%s %s", response.Status, strings.TrimSpace(string(body)))
}

// askInfo asks who serves an admin address.
func askInfo(a admin) (info, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var who info
	err := a.get(ctx, "/v1/info", &who)
	return who, err
}

// localTransport reaches a listen address from the same machine, whatever host a URL
// names: an address of all interfaces by loopback, unix:/path by the socket.
func localTransport(listen string) *http.Transport {
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		network, address = "unix", path
	} else if host, port, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort("localhost", port)
		}
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig: localTLS(),
	}
}

// localTLS accepts the certificate of our own listener, which names the public host: the
// connection does not leave the machine.
func localTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
