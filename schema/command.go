package schema

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// read reads a command: a list of words, or one string. With shell: true the
// string is a line for the shell; otherwise it is split into words here, as a shell
// would, and what only a shell can do is a mistake.
func (c *Command) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.SequenceNode {
		return c.list(d, n)
	}
	text, ok := d.Plain(n, "a command: a string, or a list of words")
	if !ok {
		return false
	}
	if d.Expand.Shell {
		line, mistakes := d.Expand.Text(text)
		switch {
		case len(mistakes) > 0:
			for i := range mistakes {
				// In such a line it may well be meant for the shell.
				mistakes[i].Hint = "write $$ instead of $ to leave it to the shell; or " + strings.TrimSuffix(strings.TrimPrefix(mistakes[i].Hint, "write "), "; write $$ for a plain $")
			}
			return d.Mistakes(n, mistakes...)
		case strings.TrimSpace(line) == "":
			return d.Problem(n, "the command is empty", "")
		case len(line) > maxArgument:
			return d.Problem(n, fmt.Sprintf("the command is longer than %d KiB, the limit for one argument", maxArgument>>10), "put it in a script")
		}
		if d.InKey("fprocess") && d.Expand.Background(line) {
			return d.Problem(n, "the & at the end starts the program in the background: the shell ends at once, and what it started with it", "remove the & at the end")
		}
		*c = Command{Line: Text(line)}
		return true
	}
	words, mistakes := d.Expand.Words(text)
	switch {
	case len(mistakes) > 0:
		return d.Mistakes(n, mistakes...)
	case len(words) == 0 || words[0] == "":
		return d.Problem(n, "the command is empty", "")
	}
	*c = Command{}
	for _, w := range words {
		c.Words = append(c.Words, Text(w))
	}
	return true
}

// maxArgument is Linux's MAX_ARG_STRLEN, without the NUL at the end.
const maxArgument = 128<<10 - 1

func (c *Command) list(d *decode.Decoder, n *yaml.Node) bool {
	if d.Expand.Shell && d.InKey("fprocess") {
		return d.Problem(n, "with shell: true, the command must be one string, not a list", "write it as one string, or remove shell: true")
	}
	words := make([]Text, 0, len(n.Content))
	ok := true
	for i := range d.Items(n) {
		d.Index(i)
		word, fine := d.Text(n.Content[i])
		d.Pop()
		words, ok = append(words, Text(word)), ok && fine
	}
	if ok && (len(words) == 0 || words[0] == "") {
		return d.Problem(n, "the command is empty", "")
	}
	if ok {
		*c = Command{Words: words}
	}
	return ok
}
