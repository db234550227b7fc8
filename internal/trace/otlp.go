package trace

import (
	"strconv"
	"time"
)

// The messages of OTLP as its JSON has them: ids in hexadecimal digits, 64-bit numbers as
// strings (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding).
type (
	otlpRequest struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name string `json:"name"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Parent     string          `json:"parentSpanId,omitempty"`
		TraceState string          `json:"traceState,omitempty"`
		Flags      uint32          `json:"flags"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Began      string          `json:"startTimeUnixNano"`
		Ended      string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     otlpStatus      `json:"status,omitzero"`
	}
	otlpStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
	}
)

const (
	statusError  = 2
	flagsSampled = 1
)

// request is the message that exports the spans of calls.
func (t *Tracer) request(calls []*Spans) otlpRequest {
	var spans []otlpSpan
	for _, c := range calls {
		spans = append(spans, c.call.otlp(c))
		for i := range c.inner {
			spans = append(spans, c.inner[i].otlp(c))
		}
	}
	return otlpRequest{[]otlpResourceSpans{{
		Resource:   otlpResource{otlpAttributes(t.resource)},
		ScopeSpans: []otlpScopeSpans{{otlpScope{"watchdogd"}, spans}},
	}}}
}

func (s *span) otlp(of *Spans) otlpSpan {
	o := otlpSpan{TraceID: of.trace, SpanID: s.id, Parent: s.parent, TraceState: of.state, Flags: flagsSampled, Name: s.name, Kind: s.kind,
		Began: nanoseconds(s.began), Ended: nanoseconds(s.ended), Attributes: otlpAttributes(s.attributes)}
	if s.failed != "" {
		o.Status = otlpStatus{statusError, s.failed}
	}
	return o
}

func nanoseconds(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }

func otlpAttributes(all []attribute) []otlpAttribute {
	var list []otlpAttribute
	for _, a := range all {
		value := otlpValue{Text: &a.text}
		if a.number {
			value = otlpValue{Number: strconv.FormatInt(a.n, 10)}
		}
		list = append(list, otlpAttribute{a.key, value})
	}
	return list
}
