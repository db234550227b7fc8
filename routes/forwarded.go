package routes

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forward sets the headers that tell a process behind us how the request came:
// X-Forwarded-For, -Proto and -Host, and -Prefix where a prefix is stripped. What
// the peer says of those before him is believed and kept if he is trusted; otherwise every
// X-Forwarded-* and Forwarded (RFC 7239) that he sent is removed. A peer on a unix
// socket counts as 127.0.0.1. The values go into v.
//
// It reports whether the request came by way of another proxy.
func forward(r *http.Request, rt *route, trusted []netip.Prefix, v *values) (proxied bool) {
	peer, believed := peerOf(r.RemoteAddr, trusted)
	h := r.Header
	if !believed {
		for key := range h {
			if forwardedKey(key) {
				proxied = true
				delete(h, key)
			}
		}
	} else if len(h["Forwarded"]) > 0 {
		proxied = true
	}
	if before := h["X-Forwarded-For"]; len(before) > 0 {
		proxied = true
		peer = strings.Join(before, ", ") + ", " + peer
	}
	v.forwardedFor[0] = peer
	h["X-Forwarded-For"] = v.forwardedFor[:]
	if len(h["X-Forwarded-Proto"]) == 0 {
		v.proto[0] = "http"
		if r.TLS != nil {
			v.proto[0] = "https"
		}
		h["X-Forwarded-Proto"] = v.proto[:]
	}
	if len(h["X-Forwarded-Host"]) == 0 && r.Host != "" {
		v.host[0] = r.Host
		h["X-Forwarded-Host"] = v.host[:]
	}
	if rt.strip {
		v.prefix[0] = rt.prefix
		if before := h["X-Forwarded-Prefix"]; len(before) > 0 {
			v.prefix[0] = strings.TrimSuffix(before[0], "/") + rt.prefix
		}
		h["X-Forwarded-Prefix"] = v.prefix[:]
	}
	return proxied
}

// onThisMachine reports whether a request comes from a program on this machine, most
// likely a developer's: the peer is on loopback or a unix socket, asks for a name of this
// machine, and speaks for nobody else. A proxy in front of us mostly shows in one of these.
func onThisMachine(r *http.Request, proxied bool) bool {
	if proxied || !r.ProtoAtLeast(1, 1) || len(r.Header["Via"]) > 0 {
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
