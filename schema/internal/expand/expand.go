// Package expand replaces variables in the values of a configuration, and splits commands
// into words as a shell would. What a variable brings in is data: it is not looked at again.
//
// A text is a value in which ${PORT}, ${INSTANCE} and ${NAME} stay, and every $$ does, for
// what is known only when an instance starts; a $ that a variable brings in becomes $$.
package expand

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Expander replaces the variables of one configuration.
type Expander struct {
	Env    func(string) (string, bool)
	Shell  bool // commands are lines for the shell, in the item being read
	grown  int  // bytes that variables brought in
	parser *syntax.Parser
}

// New returns an Expander that looks variables up by env.
func New(env func(string) (string, bool)) *Expander {
	return &Expander{Env: env, parser: syntax.NewParser(syntax.Variant(syntax.LangPOSIX))}
}

// Value replaces ${NAME}, ${NAME:-default} and ${NAME:?message} by the environment's
// values, and $$ by $. A $ before anything else stands for itself.
func (e *Expander) Value(value string) (string, []phrase.Mistake) { return e.expand(value, false) }

// Text is Value of a text.
func (e *Expander) Text(value string) (string, []phrase.Mistake) { return e.expand(value, true) }

func (e *Expander) expand(value string, text bool) (string, []phrase.Mistake) {
	if !strings.Contains(value, "$") {
		return value, nil
	}
	x := expansion{Expander: e, text: text}
	x.value(value, 0)
	return x.out.String(), x.mistakes
}

// Escape returns the text that stands for s.
func Escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// forms is what may be written, for messages.
const forms = "write ${NAME}, ${NAME:-default} or ${NAME:?message}; write $$ for a plain $"

// maxGrowth bounds what all variables of a configuration bring in, together.
const maxGrowth = 64 << 20

// maxDefaults is how deeply defaults may stand in defaults.
const maxDefaults = 20

// expansion is one value whose variables are being replaced.
type expansion struct {
	*Expander
	text     bool
	out      strings.Builder
	mistakes []phrase.Mistake
}

func (x *expansion) value(s string, depth int) {
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			x.out.WriteString(s)
			return
		}
		x.out.WriteString(s[:i])
		switch s[i+1] {
		case '$':
			x.out.WriteString("$")
			if x.text {
				x.out.WriteString("$")
			}
			s = s[i+2:]
		case '{':
			inner, rest, closed := braces(s[i+2:])
			if !closed {
				x.mistake(phrase.Quote(s[i:])+" has no closing }", "")
				return
			}
			x.variable(inner, depth)
			s = rest
		default:
			x.out.WriteByte('$')
			s = s[i+1:]
		}
	}
}

// variable replaces what is between the braces of ${...}.
func (x *expansion) variable(inner string, depth int) {
	v, ok := parseVariable(inner)
	switch {
	case !ok:
		x.mistake(phrase.Quote("${"+inner+"}")+" is not a supported form", forms)
		return
	case depth > maxDefaults:
		x.mistake(phrase.Quote("${"+inner+"}")+": the defaults are nested too deeply", "")
		return
	}
	value, missing, mistake := x.resolve(v.name, v.operator, x.text)
	switch {
	case mistake != nil:
		x.mistakes = append(x.mistakes, *mistake)
	case !missing:
		x.out.WriteString(value)
	case v.operator == ":-":
		x.value(v.word, depth+1)
	default:
		why := expansion{Expander: x.Expander}
		why.value(v.word, depth+1)
		x.mistakes = append(append(x.mistakes, why.mistakes...), required(v.name, why.out.String()))
	}
}

func (x *expansion) mistake(message, hint string) {
	x.mistakes = append(x.mistakes, phrase.Mistake{Message: message, Hint: hint})
}

// resolve returns the value of a variable, or that it is missing, so that the word after
// its operator counts: the default after :-, or the message after :?.
func (e *Expander) resolve(name, operator string, text bool) (value string, missing bool, mistake *phrase.Mistake) {
	wrong := func(message, hint string) (string, bool, *phrase.Mistake) {
		return "", false, &phrase.Mistake{Message: message, Hint: hint}
	}
	if text && instanceVariable(name) {
		if operator != "" {
			return wrong(fmt.Sprintf("${%s} is set for each instance and cannot have a default here", name), fmt.Sprintf("write ${%s}, or use an environment variable with another name", name))
		}
		return "${" + name + "}", false, nil
	}
	value, set := e.Env(name)
	switch {
	case value == "" && operator != "":
		return "", true, nil
	case !set:
		return wrong(fmt.Sprintf("${%s} is not set and has no default", name), fmt.Sprintf("set %s in the environment, or write ${%s:-default}", name, name))
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
		return wrong(fmt.Sprintf("the value of ${%s} is not valid UTF-8 text", name), "")
	}
	if text {
		value = Escape(value)
	}
	if e.grown += len(value); e.grown > maxGrowth {
		e.grown = maxGrowth
		return wrong(fmt.Sprintf("the values of variables in this configuration exceed %d MiB", maxGrowth>>20), "")
	}
	return value, false, nil
}

func required(name, why string) phrase.Mistake {
	if strings.TrimSpace(why) == "" {
		why = "it is required"
	}
	return phrase.Mistake{Message: fmt.Sprintf("${%s} is not set or is empty: %s", name, why), Hint: fmt.Sprintf("set %s in the environment", name)}
}

// instanceVariable reports whether name is known only when an instance starts.
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
