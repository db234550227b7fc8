// Package trace gives calls their place in a distributed trace, and exports what happened in
// them as spans.
//
// A call's place is in its traceparent (W3C Trace Context): see Parse and Append. That costs
// next to nothing and is done for each call. Spans are recorded only with a Tracer, which
// FromEnv makes when the standard variables of OpenTelemetry name a collector:
//
//	tracer, err := trace.FromEnv(os.Getenv, trace.Resource{Service: "shop"}, log)
//	go tracer.Run(ctx)                        // nil, if no collector is named
//	spans := tracer.Begin(id, parent, true)   // nil, if the call is not sampled
//	spans.Add("queue", began, ended)          // nothing, of a nil Spans
//	spans.End(call)
//
// The SDK of OpenTelemetry would do it too, at the cost of initializing it in each process
// that links it: the program links itself into every child that it starts with limits or as another
// user. So what it takes is written here: one form of one protocol, OTLP over HTTP in JSON.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Parent is what a traceparent says.
type Parent struct {
	Trace   string // the id of the trace: 32 digits
	Span    string // the id of the span that the call is part of: 16 digits
	Sampled bool   // the spans of the trace are recorded
}

const (
	traceDigits  = 32
	spanDigits   = 16
	parentLength = len("00-") + traceDigits + len("-") + spanDigits + len("-01")
)

// Parse reads the values of a traceparent field. There must be one, of version 00 or, as far
// as that goes, of a later one.
func Parse(values []string) (p Parent, ok bool) {
	if len(values) != 1 || len(values[0]) < parentLength {
		return Parent{}, false
	}
	v := values[0]
	version, flags := v[:2], v[53:55]
	p = Parent{Trace: v[3:35], Span: v[36:52]}
	switch {
	case v[2] != '-' || v[35] != '-' || v[52] != '-':
	case !digits(version) || version == "ff" || !digits(flags):
	case version == "00" && len(v) != parentLength, len(v) > parentLength && v[parentLength] != '-':
	case !ValidTrace(p.Trace) || !digits(p.Span) || zeros(p.Span):
	default:
		p.Sampled = strings.IndexByte("13579bdf", flags[1]) >= 0
		return p, true
	}
	return Parent{}, false
}

// IDOf is the id of the trace in a traceparent of AppendParent.
func IDOf(parent string) string { return parent[3 : 3+traceDigits] }

// ValidTrace reports whether s is the id of a trace: 32 digits, in lower case, that are not all 0.
func ValidTrace(s string) bool { return len(s) == traceDigits && digits(s) && !zeros(s) }

func digits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool { return strings.Trim(s, "0") == "" }

// AppendParent appends a traceparent of version 00 to b.
func AppendParent(b []byte, trace string, span []byte, sampled bool) []byte {
	b = append(append(b, "00-"...), trace...)
	b = append(append(b, '-'), span...)
	if sampled {
		return append(b, "-01"...)
	}
	return append(b, "-00"...)
}

// AppendID appends the digits of so many random bytes, 8 or 16, to b.
func AppendID(b []byte, bytes int) []byte {
	var raw [16]byte
	for i := 0; i < bytes; i += 8 {
		binary.BigEndian.PutUint64(raw[i:], max(rand.Uint64(), 1)) // none is all 0
	}
	return hex.AppendEncode(b, raw[:bytes])
}
