// Package http1 is the grammar of HTTP/1.1 (RFC 9112) and 1.0: what the two ends of a
// connection, in http1/server and http1/client, read and write. Each rule that decides
// where a message ends, which fields it has and which of them are forwarded stands here
// once, so that no two readers of ours take the same bytes for different messages.
package http1

import (
	"bytes"
	"strings"
)

// MaxFields is how many fields a head may have, and a trailer: each costs more memory than its bytes.
const MaxFields = 1000

// ValidName reports whether s is a token (RFC 9110, 5.6.2), as names of fields and
// methods are.
func ValidName(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// ValidValue reports whether s may be sent as a field value: no control character
// but the tab (RFC 9110, 5.5).
func ValidValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// ValidTarget reports whether s can stand between the two spaces of a request line.
func ValidTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// Digits reports whether s is one digit at least and nothing else.
func Digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// tokenBytes are the characters of a token.
var tokenBytes = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		t[c] = true
	}
	return t
}()

// ChunkSize reads the line before a chunk (RFC 9112, 7.1), without its end; extensions
// are passed over. It reports false for a line that is malformed or a size of 2^60 and more.
func ChunkSize(line []byte) (n int64, ok bool) {
	size, extension, _ := bytes.Cut(line, []byte(";"))
	size = bytes.TrimRight(size, " \t") // section 7.1.1: "bad whitespace", which was common once
	ok = len(size) > 0 && len(size) <= 15 && ValidValue(string(extension))
	for _, c := range size {
		digit := hexDigits[c]
		ok = ok && digit >= 0
		n = n<<4 | int64(digit)
	}
	return n, ok
}

// hexDigits are the values of hexadecimal digits; -1 is none.
var hexDigits = func() (t [256]int8) {
	for c := range t {
		t[c] = int8(strings.IndexByte("0123456789abcdef", byte(c)))
		if c >= 'A' && c <= 'F' {
			t[c] = int8(c - 'A' + 10)
		}
	}
	return t
}()

// HeadEnd returns the length of the head that p begins with, with the empty line, or 0
// while it is not all there; in the first seen bytes there is no end. Lines may end in
// a bare LF.
func HeadEnd(p []byte, seen int) int {
	for i := max(0, seen-2); i < len(p); i++ {
		next := bytes.IndexByte(p[i:], '\n')
		if next < 0 {
			return 0
		}
		i += next
		switch after := p[i+1:]; {
		case len(after) > 0 && after[0] == '\n':
			return i + 2
		case len(after) > 1 && after[0] == '\r' && after[1] == '\n':
			return i + 3
		}
	}
	return 0
}

// Idempotent reports whether sending a request twice is the same as once (RFC 9110, 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
