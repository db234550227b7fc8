package routes

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forward sets the headers that tell a process behind us how the request came:
// X-Forwarded-For, -Proto and -Host, and -Prefix where a prefix is stripped. What
// the peer says of those before him is believed and kept if he is trusted; otherwise every
// X-Forwarded-* and Forwarded (RFC 7239) that he sent is removed. A peer on a unix
// socket counts as 127.0.0.1.
func forward(r *http.Request, rt *route, trusted []netip.Prefix) {
	peer, believed := peerOf(r.RemoteAddr, trusted)
	h := r.Header
	if !believed {
		for key := range h {
			if forwardedKey(key) {
				delete(h, key)
			}
		}
	}
	values := [4]string{peer, "http", r.Host}
	if r.TLS != nil {
		values[1] = "https"
	}
	if believed {
		if before := h["X-Forwarded-For"]; len(before) > 0 {
			values[0] = strings.Join(before, ", ") + ", " + peer
		}
	}
	all := values[:] // one piece of memory for the four
	h["X-Forwarded-For"] = all[0:1:1]
	for i, key := range [...]string{1: "X-Forwarded-Proto", 2: "X-Forwarded-Host"} {
		if i > 0 && (!believed || len(h[key]) == 0) {
			h[key] = all[i : i+1 : i+1]
		}
	}
	if rt.strip {
		all[3] = rt.prefix
		if before := h["X-Forwarded-Prefix"]; believed && len(before) > 0 {
			all[3] = strings.TrimSuffix(before[0], "/") + rt.prefix
		}
		h["X-Forwarded-Prefix"] = all[3:4:4]
	}
}

// peerOf gives the address of a connection's other end, and whether it is trusted.
func peerOf(remote string, trusted []netip.Prefix) (peer string, believed bool) {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		peer, addr = "127.0.0.1", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	} else {
		peer = host(remote)
	}
	if len(trusted) == 0 {
		return peer, false
	}
	ip := addr.Addr().Unmap().WithZone("")
	return peer, slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// host is the address of "address:port", without the brackets of IPv6; empty for a unix socket's peer.
func host(remote string) string {
	return strings.Trim(remote[:max(0, strings.LastIndexByte(remote, ':'))], "[]")
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
