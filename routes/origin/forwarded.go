// Package origin is what a request says of where it comes from, and how much of that is
// believed: the proxies that it came through (X-Forwarded-*, Forwarded), its id, and whether
// a browser sent it for a page of another site. It changes the request's header into what the
// process that answers may rely on.
package origin

import (
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Forward sets the fields that tell a process behind us how the request came:
// X-Forwarded-For, -Proto and -Host, and -Prefix where a prefix is stripped,
// which then is not empty. What a trusted peer says of the proxies before it is believed and
// kept; otherwise every X-Forwarded-* and Forwarded (RFC 7239) that the peer sent is removed.
// A peer on a unix socket counts as 127.0.0.1. Of r the Header does not count.
//
// It reports whether the request came by way of another proxy.
func Forward(r *http.Request, f *http1.Fields, stripped string, trusted []netip.Prefix) (proxied bool) {
	peer, believed := peerOf(r.RemoteAddr, trusted)
	f.DeleteFunc(func(field http1.Field) bool {
		key := field.Name
		switch {
		case key[0] != 'X' && key[0] != 'F':
			return false // most
		case disguised(key), key == "X-Auth-User": // of a trusted proxy too: it passes on what its client made up
			return true
		case forwardedKey(key):
			proxied = proxied || !believed || key == "Forwarded"
			return !believed
		}
		return false
	})
	if f.Has("X-Forwarded-For") {
		proxied = true
		peer = strings.Join(f.Values(nil, "X-Forwarded-For"), ", ") + ", " + peer
	}
	f.Set("X-Forwarded-For", peer)
	if !f.Has("X-Forwarded-Proto") {
		proto := "http"
		if r.TLS != nil {
			proto = "https"
		}
		f.Add("X-Forwarded-Proto", proto)
	}
	if !f.Has("X-Forwarded-Host") && r.Host != "" {
		f.Add("X-Forwarded-Host", r.Host)
	}
	if f.Has("X-Forwarded-Prefix") {
		if before := f.Get("X-Forwarded-Prefix"); soundPrefix(before) {
			f.Set("X-Forwarded-Prefix", before)
		} else {
			f.Delete("X-Forwarded-Prefix")
		}
	}
	if stripped != "" {
		if before := f.Get("X-Forwarded-Prefix"); f.Has("X-Forwarded-Prefix") {
			stripped = strings.TrimSuffix(before, "/") + stripped
		}
		f.Set("X-Forwarded-Prefix", stripped)
	}
	return proxied
}

// OnThisMachine reports whether a request comes from a program on this machine, most
// likely a developer's: the peer is on loopback or a unix socket, asks for a name of this
// machine, and speaks for nobody else. A proxy in front of us mostly shows in one of these.
func OnThisMachine(r *http.Request, f *http1.Fields, proxied bool) bool {
	if proxied || !r.ProtoAtLeast(1, 1) || f.Has("Via") {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = strings.Trim(r.Host, "[]")
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().IsLoopback()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// peerOf returns the address of a connection's other end, and whether it is trusted.
func peerOf(remote string, trusted []netip.Prefix) (peer string, believed bool) {
	if len(trusted) == 0 && len(remote) > 0 && remote[0] >= '0' && remote[0] <= '9' {
		return Peer(remote), false // the server's word for an address
	}
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		peer, addr = "127.0.0.1", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	} else {
		peer = Peer(remote)
	}
	if len(trusted) == 0 {
		return peer, false
	}
	ip := addr.Addr().Unmap().WithZone("")
	return peer, slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Peer is the address of "address:port", without the brackets of IPv6; empty for a unix socket's peer.
func Peer(remote string) string {
	return strings.Trim(remote[:max(0, strings.LastIndexByte(remote, ':'))], "[]")
}

// soundPrefix reports whether a value of X-Forwarded-Prefix is the path that programs take
// it for, which they put before their links: neither another host (//host) nor dot segments.
func soundPrefix(p string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return strings.HasPrefix(p, "/") && !strings.Contains(p, "//") &&
		strings.Trim(strings.ToLower(p), "abcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+=:@/") == ""
}

// Relayed reports whether a request has what proxies add.
func Relayed(f *http1.Fields) bool {
	return slices.ContainsFunc(f.All(), func(field http1.Field) bool { return forwardedKey(field.Name) })
}

// disguised reports whether a header is one of those by which a process learns who called,
// but for underscores: a program that reads it from its environment cannot tell the two
// apart.
func disguised(key string) bool {
	return strings.IndexByte(key, '_') >= 0 && identifying(key)
}

// identifying reports whether a field, written with hyphens or underscores, tells a
// process who called: it is set by us, or taken from the header where it is believed, and
// never from anywhere else.
func identifying(key string) bool {
	if key == "" || key[0] != 'X' && key[0] != 'F' {
		return false
	}
	if forwardedKey(key) {
		return true
	}
	name := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(key, "_", "-"))
	return name == "X-Request-Id" || name == "X-Call-Id" || strings.HasPrefix(name, "X-Auth-")
}

// InTrailer reports whether a field of a request's trailer is passed on. None of those is by
// which a process learns who called, and none that proves it (RFC 9110, 6.5.1): some
// programs add a trailer to the header.
func InTrailer(key string) bool {
	switch key {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Traceparent", "Tracestate":
		return false
	}
	return !identifying(key)
}

// CleanTrailer removes the fields that a request's trailer must not have.
func CleanTrailer(trailer http.Header) {
	for key := range trailer {
		if !InTrailer(key) {
			delete(trailer, key)
		}
	}
}

// forwardedKey reports whether a header speaks of the way of the request. One with
// underscores is the same to a program that reads it from its environment.
func forwardedKey(key string) bool {
	switch key[0] {
	case 'F':
		return key == "Forwarded"
	case 'X':
		const begin = "x-forwarded-"
		if len(key) < len(begin) {
			return false
		}
		for i := range len(begin) {
			b := key[i] | 0x20
			if b != begin[i] && !(key[i] == '_' && begin[i] == '-') {
				return false
			}
		}
		return true
	}
	return false
}
