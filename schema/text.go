package schema

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/expand"
)

// Text is a value in which ${PORT}, ${INSTANCE} and ${NAME} are replaced when an
// instance starts, and $$ stands for $. Every other ${...} is replaced already.
type Text string

// Vars are what the variables of a Text stand for in one instance. A Port of 0
// is no port: ${PORT} is then replaced by nothing.
type Vars struct {
	Port   int
	Number int
	Name   string
}

// Expand returns the text with ${PORT}, ${INSTANCE}, ${NAME} and $$ replaced.
func (t Text) Expand(v Vars) string {
	s := string(t)
	if !strings.Contains(s, "$") {
		return s
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "$$"):
			out.WriteByte('$')
			s = s[2:]
		case strings.HasPrefix(s, "${PORT}"):
			if v.Port != 0 {
				fmt.Fprint(&out, v.Port)
			}
			s = s[len("${PORT}"):]
		case strings.HasPrefix(s, "${INSTANCE}"):
			fmt.Fprint(&out, v.Number)
			s = s[len("${INSTANCE}"):]
		case strings.HasPrefix(s, "${NAME}"):
			out.WriteString(v.Name)
			s = s[len("${NAME}"):]
		default:
			out.WriteByte('$')
			s = s[1:]
		}
	}
}

// Uses reports whether the text contains ${name}.
func (t Text) Uses(name string) bool {
	s := string(t)
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			return false
		}
		s = s[i:]
		if strings.HasPrefix(s, "${"+name+"}") {
			return true
		}
		if strings.HasPrefix(s, "$$") {
			s = s[1:]
		}
		s = s[1:]
	}
}

// Literal returns the Text that expands to s.
func Literal(s string) Text { return Text(expand.Escape(s)) }

// Secret is a value that is never shown: not by fmt, a log, JSON or Marshal, which leaves its key
// out. Convert it to a string to use it.
type Secret string

const hidden = "(hidden)"

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
