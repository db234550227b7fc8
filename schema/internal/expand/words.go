package expand

import (
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Words returns the words of a command, each a text, by the rules of a POSIX shell. Variables
// are replaced after the string is split: in quotes a value stays in its word, outside
// of them it is cut at blanks, and nothing in it is ever read as syntax.
func (e *Expander) Words(command string) ([]string, []phrase.Mistake) {
	if len(command) > MaxCommand {
		return nil, []phrase.Mistake{wrong(fmt.Sprintf("the command is longer than %d KiB", MaxCommand>>10), "put it in a script")}
	}
	// In a single-quoted part ${VAR} is replaced too, though to a shell it is plain
	// text; a broken one is reported in the same words as everywhere.
	file, err := e.parser.Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, e.unreadable(command, err)
	}
	call, mistakes := simple(file)
	if len(mistakes) > 0 || call == nil {
		return nil, mistakes
	}
	s := splitter{Expander: e, command: command}
	for _, word := range call.Args {
		s.home(word)
		s.parts(word.Parts, false, false)
		s.end()
	}
	return s.words, s.mistakes
}

// MaxCommand bounds what is parsed as shell words, whose nesting costs stack.
const MaxCommand = 64 << 10

// unreadable returns why a command cannot be parsed.
func (e *Expander) unreadable(command string, err error) []phrase.Mistake {
	if _, mistakes := e.Text(command); len(mistakes) > 0 {
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
			return []phrase.Mistake{wrong(e.means, `write a plain quote as \' or \" outside quotes`)}
		}
	}
	if strings.Contains(text, "here-document") {
		return []phrase.Mistake{needsShell("the redirect <<")}
	}
	for _, sign := range []string{"$(", "`", "<<", "&&", "||", ";;", "|", "&", ";", "<", ">", "(", ")"} {
		if strings.Contains(text, "`"+sign+"`") || sign == "`" && strings.Contains(command, sign) {
			return []phrase.Mistake{needsShell(sign)}
		}
	}
	return []phrase.Mistake{wrong("is not a valid command: "+text, `with shell: true, a shell interprets the line`)}
}

func needsShell(what string) phrase.Mistake {
	return wrong(what+" works only in a shell", "set shell: true, or quote it to pass it as plain text")
}

// simple returns the one simple command of a file, nil when there is none, or what makes
// it more than that.
func simple(file *syntax.File) (*syntax.CallExpr, []phrase.Mistake) {
	if len(file.Stmts) == 0 {
		return nil, nil
	}
	statement := file.Stmts[0]
	switch {
	case statement.Background:
		return nil, []phrase.Mistake{needsShell("&")}
	case statement.Negated:
		return nil, []phrase.Mistake{needsShell("!")}
	case statement.Semicolon.IsValid():
		return nil, []phrase.Mistake{needsShell(";")}
	case len(file.Stmts) > 1:
		return nil, []phrase.Mistake{wrong("more than one line works only in a shell", "set shell: true, or fold the lines into one with > instead of |")}
	case len(statement.Redirs) > 0:
		return nil, []phrase.Mistake{needsShell("the redirect " + statement.Redirs[0].Op.String())}
	}
	switch command := statement.Cmd.(type) {
	case *syntax.CallExpr:
		if len(command.Assigns) > 0 {
			name := ""
			if command.Assigns[0].Name != nil {
				name = command.Assigns[0].Name.Value
			}
			return nil, []phrase.Mistake{wrong(name+"= before the program works only in a shell", fmt.Sprintf("put it under env: as %s: value", name))}
		}
		return command, nil
	case *syntax.BinaryCmd:
		what := command.Op.String()
		if command.Op == syntax.Pipe {
			what = "the pipe |"
		}
		return nil, []phrase.Mistake{needsShell(what)}
	case *syntax.Subshell:
		return nil, []phrase.Mistake{needsShell("( )")}
	case *syntax.Block:
		return nil, []phrase.Mistake{needsShell("{ }")}
	case *syntax.IfClause:
		return nil, []phrase.Mistake{needsShell("if")}
	case *syntax.WhileClause:
		return nil, []phrase.Mistake{needsShell("while")}
	case *syntax.ForClause:
		return nil, []phrase.Mistake{needsShell("for")}
	case *syntax.CaseClause:
		return nil, []phrase.Mistake{needsShell("case")}
	case *syntax.FuncDecl:
		return nil, []phrase.Mistake{needsShell("a function")}
	}
	return nil, []phrase.Mistake{needsShell("this command")}
}

// splitter collects the words of one command.
type splitter struct {
	*Expander
	command  string
	words    []string
	word     strings.Builder
	begun    bool // there is a word, if an empty one
	mistakes []phrase.Mistake
}

// end closes the word that was begun.
func (s *splitter) end() {
	if s.begun {
		s.words = append(s.words, s.word.String())
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
			text := Escape(unescape(p.Value, quoted))
			if cut {
				s.cut(text)
			} else {
				s.add(text)
			}
		case *syntax.SglQuoted:
			text, mistakes := s.Text(p.Value)
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
		s.short(p.Param.Value, source)
		return
	}
	operator, word, plain := operand(p)
	if !plain {
		s.mistake(phrase.Quote(source)+" is not a supported form", forms)
		return
	}
	name := p.Param.Value
	value, missing, mistake := s.resolve(name, operator, true)
	switch {
	case mistake != nil:
		s.mistakes = append(s.mistakes, *mistake)
	case !missing && (quoted || instanceVariable(name)):
		s.add(value)
	case !missing:
		s.cut(value)
	case operator == ":?":
		why := splitter{Expander: s.Expander, command: s.command}
		why.parts(word, true, false)
		s.mistakes = append(append(s.mistakes, why.mistakes...), required(name, strings.ReplaceAll(why.word.String(), "$$", "$")))
	default:
		s.begun = s.begun || quoted
		s.parts(word, quoted, !quoted)
	}
}

// short takes $$ in, and refuses $x.
func (s *splitter) short(name, source string) {
	if name == "$" {
		s.add("$$")
		return
	}
	hint := fmt.Sprintf("write $$%s for the plain text, or set shell: true", name)
	if syntax.ValidName(name) {
		hint = fmt.Sprintf("write ${%s} for the variable, ", name) + strings.TrimPrefix(hint, "write ")
	}
	s.mistake(source+" works only in a shell", hint)
}

func (s *splitter) mistake(message, hint string) {
	s.mistakes = append(s.mistakes, phrase.Mistake{Message: message, Hint: hint})
}

// operand returns the operator of a ${...}, none, :- or :?, and the word after it; plain
// reports whether it is one of these forms.
func operand(p *syntax.ParamExp) (operator string, word []syntax.WordPart, plain bool) {
	if p.Param == nil || p.Excl || p.Length || p.Width || p.IsSet || p.Flags != nil || p.NestedParam != nil ||
		p.Index != nil || len(p.Modifiers) > 0 || p.Slice != nil || p.Repl != nil || p.Names != 0 || !syntax.ValidName(p.Param.Value) {
		return "", nil, false
	}
	if p.Exp == nil {
		return "", nil, true
	}
	if !slices.Contains([]syntax.ParExpOperator{syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull}, p.Exp.Op) {
		return "", nil, false
	}
	if p.Exp.Word != nil {
		word = p.Exp.Word.Parts
	}
	return p.Exp.Op.String(), word, true
}

// home refuses a ~ that a shell would replace.
func (s *splitter) home(word *syntax.Word) {
	if lit, ok := word.Parts[0].(*syntax.Lit); ok && (lit.Value == "~" && len(word.Parts) == 1 || strings.HasPrefix(lit.Value, "~/")) {
		s.mistakes = append(s.mistakes, wrong("~ is replaced only by a shell", "write ${HOME} for the home directory"))
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

// Background reports whether a line for the shell leaves its last command running.
func (e *Expander) Background(line string) bool {
	if !strings.HasSuffix(strings.TrimSpace(line), "&") || len(line) > MaxCommand {
		return false
	}
	file, err := e.parser.Parse(strings.NewReader(line), "")
	return err == nil && len(file.Stmts) > 0 && file.Stmts[len(file.Stmts)-1].Background
}

func wrong(message, hint string) phrase.Mistake { return phrase.Mistake{Message: message, Hint: hint} }
