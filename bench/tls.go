package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// benchTLS measures the cost of a hop whose clients speak TLS, and HTTP/2 over it. All
// candidates have the same certificate and the same cipher of TLS 1.3, which is the one that Go
// takes first.
func benchTLS(l *lab) error {
	certificate, key, err := l.certificate()
	if err != nil {
		return err
	}
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	watchdogd, err := free()
	if err != nil {
		return err
	}
	w, err := l.start("taskset", "-c", underTest, l.watchdogd, "-c", l.file("tls.yaml", fmt.Sprintf(
		"server: {listen: %q, tls: {cert: %q, key: %q}}\nmetrics: {listen: \"127.0.0.1:0\"}\nroutes: [{name: up, path: /, mode: http, upstream: %q}]\n",
		watchdogd, certificate, key, upstream)))
	if err != nil {
		return err
	}
	if err := accepts(watchdogd); err != nil {
		return err
	}
	nginx, npid, err := l.nginxAt(" ssl http2", fmt.Sprintf(`
		ssl_certificate %s;
		ssl_certificate_key %s;
		ssl_protocols TLSv1.3;
		ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
		access_log %s/access.log;
		location / {
			proxy_pass http://up;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}`, certificate, key, l.dir), fmt.Sprintf("upstream up { server %s; keepalive 128; }", upstream))
	if err != nil {
		return err
	}
	closing := l.file("close.lua", "wrk.headers['Connection'] = 'close'\n")
	for _, load := range []struct{ title, script string }{
		{"HTTP/1.1 over TLS, GET 1 KiB", ""},
		{"the same, a handshake for each", closing},
	} {
		err := compare(load.title, units,
			candidate{"watchdogd", func() (figures, error) {
				return wrk("https://"+watchdogd+"/bytes/1024", load.script, 64, w.Process.Pid)
			}},
			candidate{"nginx", func() (figures, error) { return wrk("https://"+nginx+"/bytes/1024", load.script, 64, npid) }},
		)
		if err != nil {
			return err
		}
	}
	return compare("HTTP/2 over TLS, GET 1 KiB", units,
		candidate{"watchdogd", func() (figures, error) { return h2load("https://"+watchdogd+"/bytes/1024", w.Process.Pid) }},
		candidate{"nginx", func() (figures, error) { return h2load("https://"+nginx+"/bytes/1024", npid) }},
	)
}

// certificate writes one for 127.0.0.1, and its key.
func (l *lab) certificate() (certificate, key string, err error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &pair.PublicKey, pair)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return "", "", err
	}
	encoded := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return l.file("cert.pem", encoded("CERTIFICATE", der)), l.file("key.pem", encoded("PRIVATE KEY", secret)), nil
}

// accepts waits until connections are accepted at address.
func accepts(address string) error {
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		last = err
	}
	return last
}

var (
	finishedLine  = regexp.MustCompile(`finished in .*, ([\d.]+) req/s`)
	succeededLine = regexp.MustCompile(`(\d+) succeeded, 0 failed`)
)

// h2load puts a load of 16 connections with four requests at a time each on url.
func h2load(url string, pid int) (figures, error) {
	before := cpuSeconds(pid)
	n := int(20000 * duration.Seconds())
	out, err := exec.Command("taskset", "-c", loadCore, "h2load", "-n", strconv.Itoa(n), "-c", "16", "-m", "4", url).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	text := string(out)
	if got := first(succeededLine, text); int(got) != n || !strings.Contains(text, "Application protocol: h2") {
		return nil, fmt.Errorf("h2load: %d requests: %s", n, text)
	}
	return figures{"rps": first(finishedLine, text), "cpu": (cpuSeconds(pid) - before) * 1e6 / float64(n)}, nil
}
