package http1

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// MaxHost is how many bytes a Host, or the authority of a target, may have: a domain name
// has at most 253 (RFC 1035, 2.3.4).
const MaxHost = 255

// CheckTarget reports why a request's target is not one of the four forms of RFC 9112, 3.2,
// or nil. It is a matter of more than order: what one reader takes for a path, another takes
// for an authority.
func CheckTarget(method, target string) error {
	if strings.IndexByte(target, '#') >= 0 {
		return errors.New("the request's target has a fragment (#)")
	}
	switch {
	case method == http.MethodConnect:
		_, port, _ := strings.Cut(target[strings.IndexByte(target, ']')+1:], ":")
		if !ValidHost(target) || port == "" {
			return errors.New("the target of CONNECT is not host:port")
		}
	case target[0] == '/':
	case target == "*":
		if method != http.MethodOptions {
			return errors.New("the target * is for OPTIONS only")
		}
	default:
		scheme, rest, _ := strings.Cut(target, "://")
		if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return errors.New("the request's target is neither a path nor an http or https URL")
		}
		authority := rest
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			authority = rest[:i]
		}
		if authority == "" || !ValidHost(authority) {
			return errors.New("the authority of the request's target is not host or host:port")
		}
	}
	return nil
}

// ValidHost reports whether s is empty or the value of a Host field: a name or an
// address, and after it a port or none (RFC 9112, 3.2), in at most MaxHost bytes.
func ValidHost(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > MaxHost {
		return false
	}
	host, port := s, ""
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 || strings.IndexByte(s[:end], ':') < 0 || !consists(s[1:end], addressBytes) {
			return false
		}
		host, port = "[]", s[end+1:]
	} else {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if host == "" || !consists(host, hostBytes) || !escaped(host) {
			return false
		}
	}
	if port == "" || port == ":" {
		return true
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	return err == nil && n > 0 && port[0] == ':' && Digits(port[1:])
}

func consists(s string, of *[256]bool) bool {
	for i := range len(s) {
		if !of[s[i]] {
			return false
		}
	}
	return true
}

// escaped reports whether two hexadecimal digits follow each % in s.
func escaped(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || hexDigits[s[i+1]] < 0 || hexDigits[s[i+2]] < 0) {
			return false
		}
	}
	return true
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	hostBytes    = bytesOf(alphanumeric + "-._~%!$&'()*+,;=") // of a registered name (RFC 3986, 3.2.2)
	addressBytes = bytesOf(alphanumeric + "-._~%:")           // between brackets, with a zone
)

func bytesOf(s string) *[256]bool {
	var t [256]bool
	for i := range len(s) {
		t[s[i]] = true
	}
	return &t
}
