// Package local reaches what a watchdogd of this machine listens on.
package local

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Transport reaches a listen address from the same machine, whatever host a URL
// names: an address of all interfaces by loopback, unix:/path by the socket.
func Transport(listen string) *http.Transport {
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
		// The certificate of our own listener names the public host, and the connection
		// does not leave the machine.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
}

// Get returns the text of a 200 answer to a GET of path; any other answer is an error.
func Get(ctx context.Context, listen string, tls bool, path string) (string, error) {
	client := http.Client{Transport: Transport(listen)}
	defer client.CloseIdleConnections()
	scheme := "http"
	if tls {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w; is watchdogd running?", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // a problem's body is far shorter
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
			return "", fmt.Errorf("%s: %s", response.Status, problem.Detail)
		}
		return "", fmt.Errorf("%s %s", response.Status, text)
	}
	return text, nil
}
