package modes

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
)

// isGRPC reports whether a request is a call of gRPC, whose clients look for the status
// in a header or trailer and know no problem+json.
func isGRPC(r *http.Request) bool {
	if r.ProtoMajor != 2 {
		return false
	}
	values := r.Header["Content-Type"]
	if len(values) != 1 {
		return false
	}
	rest, ok := strings.CutPrefix(values[0], "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// respondGRPC is Respond for a call of gRPC: the status and its message are in the head,
// which is all of the response.
func respondGRPC(w http.ResponseWriter, f *failure.Error) {
	h := w.Header()
	for _, name := range ofAnotherBody {
		delete(h, name)
	}
	delete(h, "Content-Length")
	h.Set("Content-Type", "application/grpc")
	code, message := grpcStatus(f)
	h.Set("Grpc-Status", code)
	h.Set("Grpc-Message", message)
	w.WriteHeader(http.StatusOK)
}

// endGRPC ends a response of gRPC that has begun with the status of f in its trailer.
func endGRPC(c *call.Call, w http.ResponseWriter, f *failure.Error) {
	c.Concluded()
	h := w.Header()
	code, message := grpcStatus(f)
	h.Set(http.TrailerPrefix+"Grpc-Status", code)
	h.Set(http.TrailerPrefix+"Grpc-Message", message)
}

// grpcStatus is the values of grpc-status and grpc-message.
func grpcStatus(f *failure.Error) (code, message string) {
	n := grpcUnknown
	if int(f.Kind) < len(grpcCodes) && grpcCodes[f.Kind] != 0 {
		n = grpcCodes[f.Kind]
	}
	return strconv.Itoa(n), grpcMessage(cmp.Or(f.Detail, answerTo(f.Kind).title))
}

// The codes of gRPC that our failures have (grpc/doc/statuscodes.md).
const (
	grpcCanceled          = 1
	grpcUnknown           = 2
	grpcInvalidArgument   = 3
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// grpcCodes is answers for gRPC. Unavailable is what a client may try again.
var grpcCodes = [...]int{
	failure.Internal:        grpcInternal,
	failure.Malformed:       grpcInvalidArgument,
	failure.Unauthorized:    grpcUnauthenticated,
	failure.Forbidden:       grpcPermissionDenied,
	failure.NoRoute:         grpcUnimplemented,
	failure.NotFound:        grpcUnimplemented,
	failure.Method:          grpcUnimplemented,
	failure.SlowBody:        grpcDeadlineExceeded,
	failure.BodyTooLarge:    grpcResourceExhausted,
	failure.RateLimited:     grpcResourceExhausted,
	failure.Full:            grpcResourceExhausted,
	failure.HeaderTooLarge:  grpcResourceExhausted,
	failure.Gone:            grpcCanceled,
	failure.StartFailed:     grpcInternal,
	failure.ExitFailed:      grpcInternal,
	failure.BadUpstream:     grpcUnavailable,
	failure.ResponseTooBig:  grpcResourceExhausted,
	failure.NotReady:        grpcUnavailable,
	failure.QueueTimeout:    grpcUnavailable,
	failure.CrashLoop:       grpcUnavailable,
	failure.Draining:        grpcUnavailable,
	failure.AuthUnavailable: grpcUnavailable,
	failure.Timeout:         grpcDeadlineExceeded,
}

// grpcMessage is s as grpc-message has it: printable ASCII but for %, and the other
// bytes as %XX.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
