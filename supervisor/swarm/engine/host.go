package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Socket is where an engine listens by default.
const Socket = "/var/run/docker.sock"

// dialBound is how long a connection may take.
const dialBound = 5 * time.Second

// host is where an engine is and how it is reached.
type host struct {
	network, address string // unix or tcp
	tls              *tls.Config
}

// String is the host as the variables of Docker write it.
func (h host) String() string { return h.network + "://" + h.address }

// base begins the URLs of requests.
func (h host) base() string {
	switch {
	case h.network == "unix":
		return "http://docker"
	case h.tls != nil:
		return "https://" + h.address
	}
	return "http://" + h.address
}

func (h host) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialBound, KeepAlive: 15 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, h.network, h.address)
		},
		TLSClientConfig:       h.tls,
		TLSHandshakeTimeout:   dialBound,
		ResponseHeaderTimeout: answerBound,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true,
	}
}

// CheckHost returns what is wrong with a host as an operator writes it.
func CheckHost(written string) error {
	_, _, _, err := splitHost(written)
	return err
}

// parseHost returns the host that is written or that the environment names.
func parseHost(written string, env func(string) (string, bool)) (host, error) {
	from := "gateway.swarm.host"
	if written == "" {
		from = "DOCKER_HOST"
		written, _ = env("DOCKER_HOST")
	}
	if written == "" {
		written = "unix://" + Socket
	}
	network, address, secure, err := splitHost(written)
	if err != nil {
		return host{}, fmt.Errorf("%s: %w", from, err)
	}
	h := host{network: network, address: address}
	folder, _ := env("DOCKER_CERT_PATH")
	verify, _ := env("DOCKER_TLS_VERIFY")
	switch {
	case network == "unix":
	case folder != "" || verify != "":
		if folder == "" {
			home, _ := env("HOME")
			folder = filepath.Join(home, ".docker")
		}
		if h.tls, err = certificates(folder, verify != ""); err != nil {
			return host{}, err
		}
	case secure:
		h.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return h, nil
}

// splitHost reads unix:///path, tcp://host:port, http:// and https://. secure is that TLS is
// asked for.
func splitHost(written string) (network, address string, secure bool, err error) {
	scheme, rest, ok := strings.Cut(written, ":")
	rest, slashes := strings.CutPrefix(rest, "//")
	switch {
	case ok && scheme == "unix" && strings.HasPrefix(rest, "/"):
		return "unix", rest, false, nil
	case ok && slashes && (scheme == "tcp" || scheme == "http" || scheme == "https"):
		rest = strings.TrimSuffix(rest, "/")
		if strings.Contains(rest, "/") {
			return "", "", false, fmt.Errorf("%q must not have a path: write tcp://HOST:PORT", written)
		}
		if _, _, e := net.SplitHostPort(rest); e != nil {
			port := "2375" // as Docker's own client
			if scheme == "https" {
				port = "2376"
			}
			rest = net.JoinHostPort(strings.Trim(rest, "[]"), port)
		}
		if strings.HasPrefix(rest, ":") {
			return "", "", false, fmt.Errorf("%q names no host: write tcp://HOST:PORT", written)
		}
		return "tcp", rest, scheme == "https", nil
	case ok && scheme == "ssh":
		return "", "", false, fmt.Errorf("%q: watchdogd does not open tunnels: forward the socket by ssh -L and write its path as unix:///PATH", written)
	}
	return "", "", false, fmt.Errorf("%q is not the address of a Docker Engine: write unix:///PATH or tcp://HOST:PORT", written)
}

// certificates reads the files that Docker's own client reads: ca.pem, cert.pem and key.pem.
func certificates(folder string, verify bool) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !verify} // as DOCKER_TLS_VERIFY says
	ca, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("DOCKER_CERT_PATH: the certificate of the engine's authority: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("DOCKER_CERT_PATH: %s holds no certificate", filepath.Join(folder, "ca.pem"))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("DOCKER_CERT_PATH: the client's certificate: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
