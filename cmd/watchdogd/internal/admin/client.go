package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/local"
)

// Client is a client of the admin API at an address. Over a unix socket it sends nothing
// before it has seen that a user whom it trusts serves it.
type Client struct {
	address string
	token   string // sent over TCP only
	uid     int    // found out by vet; of a unix socket
	own     bool   // the socket is in one of watchdogd's own folders
}

// Get decodes the answer to a GET into value.
func (a Client) Get(ctx context.Context, path string, value any) error {
	return a.Do(ctx, http.MethodGet, path, value)
}

// Do sends a request without a body and decodes the answer into value.
func (a Client) Do(ctx context.Context, method, path string, value any) error {
	response, err := a.Send(ctx, method, path, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Refused(response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(value); err != nil {
		return fmt.Errorf("read the answer of the admin API: %w", err)
	}
	return nil
}

// mostAnswer is far more than an answer about ten thousands of routes has.
const mostAnswer = 256 << 20

// Send sends one request; the caller closes the body, which ends the connection.
func (a Client) Send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	transport := a.transport()
	transport.DisableKeepAlives = true
	a.authorize(request.Header)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if made, ok := errors.AsType[*url.Error](err); ok {
		err = made.Err // the URL is none that the user knows
	}
	return response, err
}

func (a Client) transport() *http.Transport {
	transport := local.Transport(a.address)
	if socket, ok := strings.CutPrefix(a.address, "unix:"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx, socket) }
	}
	return transport
}

// authorize adds the token, where one is needed.
func (a Client) authorize(header http.Header) {
	if a.token == "" || strings.HasPrefix(a.address, "unix:") {
		return
	}
	if own := header["Authorization"]; own != nil {
		header[callAuthorization] = own
	}
	header.Set("Authorization", "Bearer "+a.token)
}

// dial connects to the socket at path, if it is, and is served by, a trusted user's.
func (a Client) dial(ctx context.Context, path string) (net.Conn, error) {
	fileOf := -1
	if !strings.HasPrefix(path, "@") { // an abstract socket has no owner but its server
		var err error
		if fileOf, err = vet(path, a.own); err != nil {
			return nil, err
		}
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	uid, err := peerOf(c)
	if err == nil && (!trusts(uid) || fileOf >= 0 && uid != fileOf && uid != 0) {
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

// Refused is the error of an answer that is not 200.
func Refused(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what could be read is shown
	var why refusal
	if json.Unmarshal(body, &why) == nil && why.Error != "" {
		if response.StatusCode == http.StatusUnauthorized {
			return errToken
		}
		return errors.New(why.Error)
	}
	return fmt.Errorf("%s %s", response.Status, strings.TrimSpace(string(body)))
}

// errToken is the error of a client without the right token.
var errToken = errors.New("the admin API did not accept the token")

// Gone reports whether no watchdogd serves the admin address any more. One that does not answer
// in time, as on a busy machine, is there.
func (a Client) Gone() bool {
	_, err := a.Info()
	return err != nil && !silent(err)
}

// silent reports whether err is that of a watchdogd that did not answer in time.
func silent(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// Info asks who serves the admin address, and waits for 5 seconds.
func (a Client) Info() (Info, error) { return a.infoWithin(5 * time.Second) }

func (a Client) infoWithin(bound time.Duration) (who Info, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	err = a.Get(ctx, "/v1/info", &who)
	return who, err
}
