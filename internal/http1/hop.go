package http1

import (
	"net/http"
	"net/textproto"
	"strings"
)

// Hop is what the Connection fields of one message say (RFC 9110, 7.6.1), and so which
// of its fields end with the connection that it came on. The zero Hop is that of a message
// without Connection.
type Hop struct {
	Close, KeepAlive, Upgrade bool

	options int
	names   map[string]bool // the other options, in canonical form; nil is none
}

// MaxOptions is how many options the Connection fields of one message may have. More
// than three or four have no use, and each is one more field name to remember.
const MaxOptions = 100

// Add reads the value of one Connection field. It reports false when the message has
// more than MaxOptions options; it may then stop reading.
func (h *Hop) Add(value string) bool {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		switch {
		case option == "":
			continue
		case strings.EqualFold(option, "keep-alive"):
			h.KeepAlive = true
		case strings.EqualFold(option, "close"):
			h.Close = true
		case strings.EqualFold(option, "upgrade"):
			h.Upgrade = true
		default:
			if name := textproto.CanonicalMIMEHeaderKey(option); !hopByHop(name) && !identifying(name) {
				if h.names == nil {
					h.names = map[string]bool{}
				}
				h.names[name] = true
			}
		}
		if h.options++; h.options > MaxOptions {
			return false
		}
	}
	return true
}

// HopOf returns the Hop of a message with this header. Options beyond MaxOptions are
// ignored: the front refuses a request that has them.
func HopOf(header http.Header) (h Hop) {
	for _, value := range header["Connection"] {
		if !h.Add(value) {
			break
		}
	}
	return h
}

// Hop is HopOf a message with these fields.
func (f *Fields) Hop() (h Hop) {
	for i := f.index("Connection"); i >= 0 && i < len(f.list); i++ {
		if o := &f.list[i]; o.Name == "Connection" && !h.Add(o.Value) {
			break
		}
	}
	return h
}

// Names reports whether an option names a field that would be forwarded otherwise.
func (h *Hop) Names() bool { return h.names != nil }

// Ends reports whether the field of this canonical name is for this connection only, and
// a proxy does not forward it. It costs the same however many options there are.
func (h *Hop) Ends(name string) bool {
	return hopByHop(name) || h.names[name]
}

// hopByHop reports whether a field is for one connection only, whatever Connection says.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// identifying reports whether a field tells the upstream who sent the request, or what it is part of. A client
// cannot have it dropped by naming it in Connection.
func identifying(name string) bool {
	return name == "Forwarded" || name == "X-Request-Id" || name == "X-Call-Id" || name == "Traceparent" || name == "Tracestate" ||
		strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Auth-")
}
