package listen

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"github.com/watchdogd/watchdogd/internal/regular"
)

// Certificate is the server's certificate and key, which can be read again while
// connections are served.
type Certificate struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

// NewCertificate returns the certificate of two PEM files. Load reads them, before the
// first connection.
func NewCertificate(cert, key string) *Certificate { return &Certificate{cert: cert, key: key} }

// Load reads the files, for the first time or again. After an error the certificate is
// the one before.
func (c *Certificate) Load() error {
	pair, err := c.read()
	if err == nil {
		c.current.Store(pair)
	}
	return err
}

// Check returns the error that Load would, and changes nothing.
func (c *Certificate) Check() error {
	_, err := c.read()
	return err
}

func (c *Certificate) read() (*tls.Certificate, error) {
	cert, err := regular.ReadFile(c.cert)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s: %w", c.cert, err)
	}
	key, err := regular.ReadFile(c.key)
	if err != nil {
		return nil, fmt.Errorf("read the key %s of the certificate: %w", c.key, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key %s: %w", c.cert, c.key, err)
	}
	return &pair, nil
}

// Config returns what a server needs to present the certificate, whichever is current
// when a connection comes, and to speak HTTP/2 and HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
