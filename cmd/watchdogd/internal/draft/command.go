package draft

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Literal returns the value that stands for s as it is: no ${...} in it is replaced.
func Literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// Command sets fprocess to the command in line, which is written for a POSIX shell. One
// that needs no shell is started without one: $PORT becomes ${PORT}, and variables that
// are set before the program become keys of env.
func (i *Item) Command(line string) {
	words, env, plain := Words(line)
	if !plain {
		i.Shell(line)
		return
	}
	i.Program(words)
	if len(env) > 0 {
		i.addEnv(env)
	}
}

// Program sets fprocess to words, in which ${PORT} is the port of the instance.
func (i *Item) Program(words []string) {
	i.Drop("shell")
	if line, ok := joined(words); ok {
		i.Set("fprocess", line)
		return
	}
	i.Set("fprocess", words)
}

// Shell sets fprocess to a line that a shell interprets; its variables are the shell's.
func (i *Item) Shell(line string) {
	i.Set("fprocess", shellText(line))
	i.Set("shell", true)
}

// addEnv adds to the variables of env that are set.
func (i *Item) addEnv(more Ordered) {
	env, _ := i.Get("env").(Ordered)
	for _, key := range more {
		env = env.With(key.Name, key.Value)
	}
	i.Set("env", env)
}

// Env sets one variable of the program.
func (i *Item) Env(name, value string) { i.addEnv(Ordered{{Name: name, Value: value}}) }

// With is o with a value for a name.
func (o Ordered) With(name string, value any) Ordered {
	for n := range o {
		if o[n].Name == name {
			o[n].Value = value
			return o
		}
	}
	return append(o, Key{Name: name, Value: value})
}

// shellText keeps ${...} and $$ of a line for the shell.
func shellText(line string) string {
	var out strings.Builder
	for n := 0; n < len(line); n++ {
		out.WriteByte(line[n])
		if line[n] == '$' && n+1 < len(line) && (line[n+1] == '{' || line[n+1] == '$') {
			out.WriteByte('$')
			if line[n+1] == '$' {
				out.WriteString("$$")
				n++
			}
		}
	}
	return out.String()
}

// maxLine bounds what is parsed as a command, whose nesting costs stack.
const maxLine = 32 << 10

// Words splits line as a shell would. It returns false if only a shell can run it: a
// pipe, a redirect, a pattern, or a variable other than $PORT.
func Words(line string) (words []string, env Ordered, plain bool) {
	if len(line) > maxLine {
		return nil, nil, false
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil || len(file.Stmts) != 1 {
		return nil, nil, false
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 || s.Background || s.Negated || s.Semicolon.IsValid() || len(s.Redirs) > 0 {
		return nil, nil, false
	}
	for _, assign := range call.Assigns {
		if assign.Append || assign.Index != nil || assign.Array != nil || assign.Name == nil {
			return nil, nil, false
		}
		value := ""
		if assign.Value != nil {
			if value, ok = word(assign.Value); !ok {
				return nil, nil, false
			}
		}
		env = env.With(assign.Name.Value, value)
	}
	for _, arg := range call.Args {
		w, ok := word(arg)
		if !ok {
			return nil, nil, false
		}
		words = append(words, w)
	}
	if words[0] == "exec" && len(words) > 1 {
		words = words[1:]
	}
	if builtins[words[0]] || words[0] == "" {
		return nil, nil, false
	}
	return words, env, true
}

// builtins are commands that only a shell has, or that mean something else without one.
var builtins = map[string]bool{
	"cd": true, "source": true, ".": true, "export": true, "set": true, "ulimit": true, "umask": true, "trap": true,
	"eval": true, "exec": true, "exit": true, "wait": true, "read": true, "alias": true, "unset": true, ":": true, "command": true, "type": true,
}

// word is a word whose value is known without a shell; $PORT becomes ${PORT}.
func word(w *syntax.Word) (string, bool) {
	var out strings.Builder
	for n, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(p.Value, "*?[") || n == 0 && strings.HasPrefix(p.Value, "~") {
				return "", false
			}
			out.WriteString(Literal(unquote(p.Value, false)))
		case *syntax.SglQuoted:
			if p.Dollar {
				return "", false
			}
			out.WriteString(Literal(p.Value))
		case *syntax.DblQuoted:
			for _, inner := range p.Parts {
				switch q := inner.(type) {
				case *syntax.Lit:
					out.WriteString(Literal(unquote(q.Value, true)))
				case *syntax.ParamExp:
					if !isPort(q) {
						return "", false
					}
					out.WriteString("${PORT}")
				default:
					return "", false
				}
			}
		case *syntax.ParamExp:
			if !isPort(p) {
				return "", false
			}
			out.WriteString("${PORT}")
		default:
			return "", false
		}
	}
	return out.String(), true
}

// isPort reports whether p is $PORT, or ${PORT:-5000}, whose default never applies.
func isPort(p *syntax.ParamExp) bool {
	return p.Param != nil && p.Param.Value == "PORT" && !p.Excl && !p.Length && !p.Width && p.Index == nil && p.Slice == nil && p.Repl == nil &&
		(p.Exp == nil || p.Exp.Op == syntax.DefaultUnsetOrNull || p.Exp.Op == syntax.DefaultUnset)
}

// unquote removes the backslashes that quote.
func unquote(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for n := 0; n < len(s); n++ {
		if s[n] != '\\' || n == len(s)-1 {
			out.WriteByte(s[n])
			continue
		}
		switch next := s[n+1]; {
		case next == '\n':
			n++
		case quoted && !strings.ContainsRune("$`\"\\", rune(next)):
			out.WriteByte('\\')
		default:
			out.WriteByte(next)
			n++
		}
	}
	return out.String()
}

// joined is the command as one string, if that splits into the same words.
func joined(words []string) (string, bool) {
	if len(words) == 0 {
		return "", false
	}
	for _, w := range words {
		if w == "" || strings.Trim(strings.ReplaceAll(w, "${PORT}", ""), safe) != "" || strings.HasPrefix(w, "~") {
			return "", false
		}
	}
	line := strings.Join(words, " ")
	return line, !strings.Contains(words[0], "=")
}

const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-~"
