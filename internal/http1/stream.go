package http1

import (
	"net/http"
	"strings"
)

// Stream is whether a response has an end in sight, by its Content-Type.
type Stream uint8

// Events are sent to whoever listens; a client that loses them connects again. Lines are
// JSON values, one a line.
const (
	NoStream Stream = iota
	Lines           // application/x-ndjson
	Events          // text/event-stream
)

// StreamOf returns whether a response with this header is a stream.
func StreamOf(header http.Header) Stream {
	if values := header["Content-Type"]; len(values) > 0 {
		return StreamType(values[0])
	}
	return NoStream
}

// StreamType is StreamOf for the value of Content-Type.
func StreamType(contentType string) Stream {
	switch contentType {
	case "application/json", "text/html", "text/plain", "": // most
		return NoStream
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.TrimSpace(kind); {
	case strings.EqualFold(kind, "text/event-stream"):
		return Events
	case strings.EqualFold(kind, "application/x-ndjson"):
		return Lines
	}
	return NoStream
}
