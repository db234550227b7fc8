package auth

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// mostBodies is how much is held in all of bodies whose signature was not checked yet; mostOfRoute
// and mostOfClient are what those of one route and of one client may have of it, so that the
// others find room.
const (
	mostBodies   = 64 << 20
	mostOfRoute  = mostBodies / 2
	mostOfClient = mostBodies / 4
)

// budget is a number of bytes that all calls share.
type budget struct {
	mu   sync.Mutex
	used int64
	of   map[sharer]int64 // what each uses of it; none has 0
}

// sharer is a route or a client.
type sharer struct{ route, client string }

// errSpent says that nothing is left of a budget.
var errSpent = errors.New("no room for the body")

// take notes n bytes more, or less, and reports whether they are within the bounds.
func (b *budget) take(route, client sharer, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	ofRoute, ofClient := b.add(route, n), b.add(client, n)
	return ofRoute <= mostOfRoute && ofClient <= mostOfClient && b.used <= mostBodies
}

// add is called with the mutex held.
func (b *budget) add(s sharer, n int64) int64 {
	if b.of == nil {
		b.of = map[sharer]int64{}
	}
	all := b.of[s] + n
	if b.of[s] = all; all == 0 {
		delete(b.of, s)
	}
	return all
}

// hold is what one call uses of a budget.
type hold struct {
	budget        *budget
	route, client sharer
	from          io.Reader
	used          int64
}

// Read reads, and counts what it read.
func (h *hold) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	h.used += int64(n)
	if n > 0 && !h.budget.take(h.route, h.client, int64(n)) {
		return 0, errSpent
	}
	return n, err
}

func (h *hold) release() { h.budget.take(h.route, h.client, -h.used) }

// clientOf is whom a request comes from: the peer or, where that is a trusted proxy, who that
// says its client is. The addresses of an IPv6 network that one client has are one.
func clientOf(r *http.Request) string {
	peer := r.Header.Get("X-Forwarded-For") // as we pass it on: the peer is the last
	if before, _, proxied := cutLast(peer); proxied {
		if _, last, several := cutLast(before); several {
			peer = last
		} else {
			peer = before
		}
	}
	peer = strings.TrimSpace(peer)
	if ip, err := netip.ParseAddr(peer); err == nil && ip.Is6() && !ip.Is4In6() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return peer
}

// cutLast returns what stands before and behind the last comma of a list.
func cutLast(list string) (before, last string, found bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}
