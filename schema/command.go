package schema

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// command reads a command: a list of words, or one string. With shell: true the
// string is a line for the shell; otherwise it is split into words here, as a shell
// would, and what only a shell can do is a mistake.
func (d *decoder) command(n *yaml.Node, c *Command) bool {
	if n.Kind == yaml.SequenceNode {
		return d.commandList(n, c)
	}
	text, ok := d.plain(n, "a command: a string, or a list of words")
	if !ok {
		return false
	}
	if d.shell {
		line, mistakes := d.interpolate(text, true)
		switch {
		case len(mistakes) > 0:
			for i := range mistakes {
				// In such a line it may well be meant for the shell.
				mistakes[i].hint = "write $$ instead of $ to leave it to the shell; or " + strings.TrimSuffix(strings.TrimPrefix(mistakes[i].hint, "write "), "; write $$ for a plain $")
			}
			return d.mistakes(n, mistakes)
		case strings.TrimSpace(line) == "":
			return d.problem(n, "the command is empty", "")
		case len(line) > maxArgument:
			return d.problem(n, fmt.Sprintf("the command is longer than %d KiB, the limit for one argument", maxArgument>>10), "put it in a script")
		}
		if d.inFProcess() && d.background(line) {
			return d.problem(n, "the & at the end starts the program in the background: the shell ends at once, and what it started with it", "remove the & at the end")
		}
		*c = Command{Line: Text(line)}
		return true
	}
	words, mistakes := d.split(text)
	switch {
	case len(mistakes) > 0:
		return d.mistakes(n, mistakes)
	case len(words) == 0 || words[0] == "":
		return d.problem(n, "the command is empty", "")
	}
	*c = Command{Words: words}
	return true
}

// background reports whether a line for the shell leaves its last command running.
func (d *decoder) background(line string) bool {
	if !strings.HasSuffix(strings.TrimSpace(line), "&") || len(line) > maxCommand {
		return false
	}
	file, err := d.words.Parse(strings.NewReader(line), "")
	return err == nil && len(file.Stmts) > 0 && file.Stmts[len(file.Stmts)-1].Background
}

// maxArgument is Linux's MAX_ARG_STRLEN, without the NUL at the end.
const maxArgument = 128<<10 - 1

func (d *decoder) commandList(n *yaml.Node, c *Command) bool {
	if d.shell && d.inFProcess() {
		return d.problem(n, "with shell: true, the command must be one string, not a list", "write it as one string, or remove shell: true")
	}
	words := make([]Text, 0, len(n.Content))
	ok := true
	for i := range d.items(n) {
		d.index(i)
		word, fine := d.text(n.Content[i])
		d.pop()
		words, ok = append(words, Text(word)), ok && fine
	}
	if ok && (len(words) == 0 || words[0] == "") {
		return d.problem(n, "the command is empty", "")
	}
	if ok {
		*c = Command{Words: words}
	}
	return ok
}

// split makes words of a command string by the rules of a POSIX shell. Variables
// are replaced after the string is split: in quotes a value stays in its word, outside
// of them it is cut at blanks, and nothing in it is ever read as syntax.
func (d *decoder) split(command string) ([]Text, []mistake) {
	if len(command) > maxCommand {
		return nil, []mistake{{fmt.Sprintf("the command is longer than %d KiB", maxCommand>>10), "put it in a script"}}
	}
	// In a single-quoted part ${VAR} is replaced too, though to a shell it is plain
	// text; a broken one is reported in the same words as everywhere.
	file, err := d.words.Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, d.unreadable(command, err)
	}
	call, mistakes := simple(file)
	if len(mistakes) > 0 || call == nil {
		return nil, mistakes
	}
	s := splitter{decoder: d, command: command}
	for _, word := range call.Args {
		s.home(word)
		s.parts(word.Parts, false, false)
		s.end()
	}
	return s.words, s.mistakes
}

// maxCommand bounds what is parsed as shell words, whose nesting costs stack.
const maxCommand = 64 << 10

// unreadable returns why a command cannot be parsed.
func (d *decoder) unreadable(command string, err error) []mistake {
	if _, mistakes := d.interpolate(command, true); len(mistakes) > 0 {
		return mistakes
	}
	text := err.Error()
	if p, ok := err.(syntax.ParseError); ok {
		text = p.Text
	}
	for _, e := range []struct{ says, means string }{
		{"without closing quote `'`", "a single quote (') is never closed"},
		{"without closing quote `\"`", `a double quote (") is never closed`},
		{"without closing quote", "a quote is never closed"},
	} {
		if strings.Contains(text, e.says) {
			return []mistake{{e.means, `write a plain quote as \' or \" outside quotes`}}
		}
	}
	if strings.Contains(text, "here-document") {
		return []mistake{needsShell("the redirect <<")}
	}
	for _, sign := range []string{"$(", "`", "<<", "&&", "||", ";;", "|", "&", ";", "<", ">", "(", ")"} {
		if strings.Contains(text, "`"+sign+"`") || sign == "`" && strings.Contains(command, sign) {
			return []mistake{needsShell(sign)}
		}
	}
	return []mistake{{"is not a valid command: " + text, `with shell: true, a shell interprets the line`}}
}

func needsShell(what string) mistake {
	return mistake{what + " works only in a shell", "set shell: true, or quote it to pass it as plain text"}
}

// simple returns the one simple command of a file, nil when there is none, or what makes
// it more than that.
func simple(file *syntax.File) (*syntax.CallExpr, []mistake) {
	if len(file.Stmts) == 0 {
		return nil, nil
	}
	statement := file.Stmts[0]
	switch {
	case statement.Background:
		return nil, []mistake{needsShell("&")}
	case statement.Negated:
		return nil, []mistake{needsShell("!")}
	case statement.Semicolon.IsValid():
		return nil, []mistake{needsShell(";")}
	case len(file.Stmts) > 1:
		return nil, []mistake{{"more than one line works only in a shell", "set shell: true, or fold the lines into one with > instead of |"}}
	case len(statement.Redirs) > 0:
		return nil, []mistake{needsShell("the redirect " + statement.Redirs[0].Op.String())}
	}
	switch command := statement.Cmd.(type) {
	case *syntax.CallExpr:
		if len(command.Assigns) > 0 {
			name := ""
			if command.Assigns[0].Name != nil {
				name = command.Assigns[0].Name.Value
			}
			return nil, []mistake{{name + "= before the program works only in a shell", fmt.Sprintf("put it under env: as %s: value", name)}}
		}
		return command, nil
	case *syntax.BinaryCmd:
		what := command.Op.String()
		if command.Op == syntax.Pipe {
			what = "the pipe |"
		}
		return nil, []mistake{needsShell(what)}
	case *syntax.Subshell:
		return nil, []mistake{needsShell("( )")}
	case *syntax.Block:
		return nil, []mistake{needsShell("{ }")}
	case *syntax.IfClause:
		return nil, []mistake{needsShell("if")}
	case *syntax.WhileClause:
		return nil, []mistake{needsShell("while")}
	case *syntax.ForClause:
		return nil, []mistake{needsShell("for")}
	case *syntax.CaseClause:
		return nil, []mistake{needsShell("case")}
	case *syntax.FuncDecl:
		return nil, []mistake{needsShell("a function")}
	}
	return nil, []mistake{needsShell("this command")}
}

// splitter collects the words of one command.
type splitter struct {
	decoder  *decoder
	command  string
	words    []Text
	word     strings.Builder
	begun    bool // there is a word, if an empty one
	mistakes []mistake
}

// end closes the word that was begun.
func (s *splitter) end() {
	if s.begun {
		s.words = append(s.words, Text(s.word.String()))
	}
	s.word.Reset()
	s.begun = false
}

// add takes a piece into the word as it is.
func (s *splitter) add(text string) {
	s.word.WriteString(text)
	s.begun = true
}

// cut takes a piece in that is split at blanks.
func (s *splitter) cut(text string) {
	for {
		i := strings.IndexAny(text, " \t\n")
		if i < 0 {
			break
		}
		if i > 0 {
			s.add(text[:i])
		}
		s.end()
		text = text[i+1:]
	}
	if text != "" {
		s.add(text)
	}
}

// parts adds the parts of a word. In a default outside of quotes,
// plain text is cut too.
func (s *splitter) parts(parts []syntax.WordPart, quoted, cut bool) {
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			text := escape(unescape(p.Value, quoted), true)
			if cut {
				s.cut(text)
			} else {
				s.add(text)
			}
		case *syntax.SglQuoted:
			text, mistakes := s.decoder.interpolate(p.Value, true)
			s.mistakes = append(s.mistakes, mistakes...)
			s.add(text)
		case *syntax.DblQuoted:
			s.begun = true
			s.parts(p.Parts, true, false)
		case *syntax.ParamExp:
			s.variable(p, quoted)
		case *syntax.CmdSubst:
			what := "$( )"
			if p.Backquotes {
				what = "the backquote `"
			}
			s.mistakes = append(s.mistakes, needsShell(what))
		default:
			s.mistakes = append(s.mistakes, needsShell(s.source(part)))
		}
	}
}

// variable takes ${...}, or $$, in.
func (s *splitter) variable(p *syntax.ParamExp, quoted bool) {
	source := s.source(p)
	if p.Short {
		if p.Param.Value == "$" {
			s.add("$$")
			return
		}
		name := p.Param.Value
		hint := fmt.Sprintf("write $$%s for the plain text, or set shell: true", name)
		if syntax.ValidName(name) {
			hint = fmt.Sprintf("write ${%s} for the variable, ", name) + strings.TrimPrefix(hint, "write ")
		}
		s.mistakes = append(s.mistakes, mistake{source + " works only in a shell", hint})
		return
	}
	word, plain := operand(p)
	if !plain {
		s.mistakes = append(s.mistakes, mistake{fmt.Sprintf("%s is not a supported form", phrase.Quote(source)), forms})
		return
	}
	name := p.Param.Value
	if p.Exp == nil || instanceVariable(name) {
		// No default: the same rules as anywhere.
		text, mistakes := s.decoder.interpolate(source, true)
		s.mistakes = append(s.mistakes, mistakes...)
		if quoted || instanceVariable(name) {
			s.add(text)
		} else {
			s.cut(text)
		}
		return
	}
	if value, _ := s.decoder.env(name); value != "" {
		text, mistakes := s.decoder.interpolate("${"+name+"}", true)
		s.mistakes = append(s.mistakes, mistakes...)
		if quoted {
			s.add(text)
		} else {
			s.cut(text)
		}
		return
	}
	if p.Exp.Op == syntax.ErrorUnsetOrNull {
		why := splitter{decoder: s.decoder, command: s.command}
		why.parts(word, true, false)
		s.mistakes = append(s.mistakes, why.mistakes...)
		message, hint := required(name, Text(why.word.String()).Expand(Vars{}))
		s.mistakes = append(s.mistakes, mistake{message, hint})
		return
	}
	if quoted {
		s.begun = true
	}
	s.parts(word, quoted, !quoted)
}

// operand returns the default or message of a ${...}, and whether it is one of the
// forms that are known.
func operand(p *syntax.ParamExp) ([]syntax.WordPart, bool) {
	if p.Param == nil || p.Excl || p.Length || p.Width || p.IsSet || p.Flags != nil || p.NestedParam != nil ||
		p.Index != nil || len(p.Modifiers) > 0 || p.Slice != nil || p.Repl != nil || p.Names != 0 || !syntax.ValidName(p.Param.Value) {
		return nil, false
	}
	if p.Exp == nil {
		return nil, true
	}
	if !slices.Contains([]syntax.ParExpOperator{syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull}, p.Exp.Op) {
		return nil, false
	}
	if p.Exp.Word == nil {
		return nil, true
	}
	return p.Exp.Word.Parts, true
}

// home refuses a ~ that a shell would replace.
func (s *splitter) home(word *syntax.Word) {
	if lit, ok := word.Parts[0].(*syntax.Lit); ok && (lit.Value == "~" && len(word.Parts) == 1 || strings.HasPrefix(lit.Value, "~/")) {
		s.mistakes = append(s.mistakes, mistake{"~ is replaced only by a shell", "write ${HOME} for the home directory"})
	}
}

// source returns the part of the command that n is.
func (s *splitter) source(n syntax.Node) string {
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	if from < 0 || to > len(s.command) || from > to {
		return "this"
	}
	return s.command[from:to]
}

// unescape removes the backslashes that quote.
func unescape(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i == len(s)-1 {
			out.WriteByte(s[i])
			continue
		}
		next := s[i+1]
		switch {
		case next == '\n': // a line continued
			i++
		case quoted && !strings.ContainsRune("$`\"\\", rune(next)):
			out.WriteByte('\\')
		default:
			out.WriteByte(next)
			i++
		}
	}
	return out.String()
}
