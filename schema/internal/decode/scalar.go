package decode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Plain returns the text of a scalar as it is written; what describes what it must be.
func (d *Decoder) Plain(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		hint := ""
		if n.Style&yaml.FlowStyle != 0 {
			hint = "quote text that starts with [ or {"
		}
		return "", d.Problem(n, "must be "+what+", not "+Given(n), hint)
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null"}, n.Tag) {
		return "", d.Problem(n, fmt.Sprintf("the tag %s is not supported here", n.Tag), "quote a value that starts with !")
	}
	if strings.Contains(n.Value, "\x00") {
		return "", d.Problem(n, "the value contains a NUL character", "")
	}
	if IsNull(n) {
		return "", true
	}
	return n.Value, true
}

// Scalar returns the text of a scalar with all its variables replaced.
func (d *Decoder) Scalar(n *yaml.Node, what string) (string, bool) {
	s, ok := d.Plain(n, what)
	if !ok {
		return "", false
	}
	s, mistakes := d.Expand.Value(s)
	if len(mistakes) > 0 {
		return "", d.Mistakes(n, mistakes...)
	}
	return s, true
}

// Text returns the text of a scalar with all its variables replaced but those of an instance.
func (d *Decoder) Text(n *yaml.Node) (string, bool) {
	n = d.Follow(n)
	s, ok := d.Plain(n, "a string")
	if !ok {
		return "", false
	}
	s, mistakes := d.Expand.Text(s)
	if len(mistakes) > 0 {
		return "", d.Mistakes(n, mistakes...)
	}
	return s, true
}

func (d *Decoder) bool(n *yaml.Node) (value, ok bool) {
	s, ok := d.Scalar(n, "true or false")
	if !ok {
		return false, false
	}
	switch {
	case !d.bare(n):
	case s == "true", s == "True", s == "TRUE":
		return true, true
	case s == "false", s == "False", s == "FALSE":
		return false, true
	}
	hint := ""
	switch strings.ToLower(s) {
	case "true", "false":
		hint = "write it without quotes"
	case "yes", "on", "y", "1":
		hint = "write true"
	case "no", "off", "n", "0":
		hint = "write false"
	}
	return false, d.Problem(n, "must be true or false, not "+Given(&yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: s}), hint)
}

// Int reads a whole number.
func (d *Decoder) Int(n *yaml.Node) (int, bool) {
	s, ok := d.Scalar(n, "a whole number")
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 32)
	switch digits := strings.TrimPrefix(s, "-"); {
	case len(digits) > 1 && digits[0] == '0' && d.bare(n):
		return 0, d.Problem(n, "must be a whole number, not "+s, "write it without leading zeros")
	case err == nil && d.bare(n):
		return int(i), true
	case err == nil:
		return 0, d.Problem(n, "must be a whole number, not "+phrase.Quote(s), "write it without quotes")
	case strings.Contains(err.Error(), "range"):
		return 0, d.Problem(n, "must be a whole number below 2147483648, not "+s, "")
	}
	return 0, d.Problem(n, "must be a whole number, not "+Given(&yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: s}), "")
}

// bare reports whether a value can be a number or a boolean: it is not in quotes,
// or a variable makes it.
func (d *Decoder) bare(n *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Style&quoted == 0 || strings.Contains(n.Value, "${")
}
