package schema

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// forms is what may be written, for messages.
const forms = "write ${NAME}, ${NAME:-default} or ${NAME:?message}; write $$ for a plain $"

// interpolate replaces ${NAME}, ${NAME:-default} and ${NAME:?message} in a value by
// the environment's, and $$ by $. What is replaced is data: it is not looked at again.
// A $ before anything else stands for itself.
//
// With keep, the value is a Text: ${PORT}, ${INSTANCE} and ${NAME} stay, and so does
// every $$, for Text.Expand; a $ that a variable brings in becomes $$.
func (d *decoder) interpolate(value string, keep bool) (string, []mistake) {
	if !strings.Contains(value, "$") {
		return value, nil
	}
	in := interpolation{env: d.env, keep: keep, left: maxGrowth - d.grown}
	in.value(value, 0)
	d.grown = maxGrowth - in.left
	return in.out.String(), in.mistakes
}

// mistake is a problem without a place.
type mistake struct{ message, hint string }

// maxGrowth bounds what all variables of a configuration bring in, together.
const maxGrowth = 64 << 20

// maxDefaults is how deeply defaults may stand in defaults.
const maxDefaults = 20

type interpolation struct {
	env      func(string) (string, bool)
	keep     bool
	left     int // bytes that may still be brought in
	out      strings.Builder
	mistakes []mistake
}

func (in *interpolation) value(s string, depth int) {
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			in.out.WriteString(s)
			return
		}
		in.out.WriteString(s[:i])
		switch s[i+1] {
		case '$':
			in.out.WriteString(escape("$", in.keep))
			s = s[i+2:]
		case '{':
			inner, rest, closed := braces(s[i+2:])
			if !closed {
				in.mistake(fmt.Sprintf("%s has no closing }", phrase.Quote(s[i:])), "")
				return
			}
			in.variable(inner, depth)
			s = rest
		default:
			in.out.WriteByte('$')
			s = s[i+1:]
		}
	}
}

// variable replaces what is between the braces of ${...}.
func (in *interpolation) variable(inner string, depth int) {
	v, ok := parseVariable(inner)
	switch {
	case !ok:
		in.mistake(fmt.Sprintf("%s is not a supported form", phrase.Quote("${"+inner+"}")), forms)
		return
	case depth > maxDefaults:
		in.mistake(fmt.Sprintf("%s: the defaults are nested too deeply", phrase.Quote("${"+inner+"}")), "")
		return
	}
	if in.keep && instanceVariable(v.name) {
		if v.operator != "" {
			in.mistake(keptOperator(v.name))
			return
		}
		in.out.WriteString("${" + v.name + "}")
		return
	}
	value, set := in.env(v.name)
	switch {
	case v.operator == ":-" && value == "":
		in.value(v.word, depth+1)
		return
	case v.operator == ":?" && value == "":
		word := interpolation{env: in.env, left: in.left}
		word.value(v.word, depth+1)
		in.left = word.left
		in.mistakes = append(in.mistakes, word.mistakes...)
		in.mistake(required(v.name, word.out.String()))
		return
	case !set:
		in.mistake(unset(v.name))
		return
	}
	if !utf8.ValidString(value) || strings.Contains(value, "\x00") {
		in.mistake(fmt.Sprintf("the value of ${%s} is not valid UTF-8 text", v.name), "")
		return
	}
	value = escape(value, in.keep)
	if in.left -= len(value); in.left < 0 {
		in.left = 0
		in.mistake(fmt.Sprintf("the values of variables in this configuration exceed %d MiB", maxGrowth>>20), "")
		return
	}
	in.out.WriteString(value)
}

func (in *interpolation) mistake(message, hint string) {
	in.mistakes = append(in.mistakes, mistake{message, hint})
}

func unset(name string) (message, hint string) {
	return fmt.Sprintf("${%s} is not set and has no default", name), fmt.Sprintf("set %s in the environment, or write ${%s:-default}", name, name)
}

func required(name, why string) (message, hint string) {
	if strings.TrimSpace(why) == "" {
		why = "it is required"
	}
	return fmt.Sprintf("${%s} is not set or is empty: %s", name, why), fmt.Sprintf("set %s in the environment", name)
}

func keptOperator(name string) (message, hint string) {
	return fmt.Sprintf("${%s} is set for each instance and cannot have a default here", name), fmt.Sprintf("write ${%s}, or use an environment variable with another name", name)
}

// instanceVariable reports whether name is one that Text.Expand replaces.
func instanceVariable(name string) bool {
	return name == "PORT" || name == "INSTANCE" || name == "NAME"
}

// variable is ${name}, or ${name operator word}.
type variable struct{ name, operator, word string }

func parseVariable(inner string) (variable, bool) {
	n := 0
	for n < len(inner) && (inner[n] == '_' || inner[n] >= 'a' && inner[n] <= 'z' || inner[n] >= 'A' && inner[n] <= 'Z' || n > 0 && inner[n] >= '0' && inner[n] <= '9') {
		n++
	}
	name, rest := inner[:n], inner[n:]
	switch {
	case name == "":
		return variable{}, false
	case rest == "":
		return variable{name: name}, true
	case strings.HasPrefix(rest, ":-"), strings.HasPrefix(rest, ":?"):
		return variable{name: name, operator: rest[:2], word: rest[2:]}, true
	}
	return variable{}, false
}

// braces splits s behind the } that closes a ${ before it.
func braces(s string) (inner, rest string, closed bool) {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			depth++
			i++
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '$':
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

// escape makes a Text of what is to be taken as it is.
func escape(s string, text bool) string {
	if !text {
		return s
	}
	return strings.ReplaceAll(s, "$", "$$")
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
func Literal(s string) Text { return Text(escape(s, true)) }
