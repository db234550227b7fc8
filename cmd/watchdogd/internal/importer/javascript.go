package importer

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
)

// literal is the value that a JavaScript module exports, if that is a plain object: no
// code of it is run. Constants, process.env.X, __dirname and path.join are known.
func literal(s source) (any, error) {
	ast, err := parseJavaScript(string(s.text))
	if err != nil {
		return nil, err
	}
	m := module{constants: map[string]js.IExpr{}, dir: s.dir}
	var exported js.IExpr
	for _, statement := range ast.List {
		switch n := statement.(type) {
		case *js.VarDecl:
			m.declare(n)
		case *js.ExprStmt:
			if value := assigned(n.Value); value != nil {
				exported = value
			}
		case *js.ExportStmt:
			if decl, ok := n.Decl.(*js.VarDecl); ok {
				m.declare(decl)
			} else if n.Default {
				exported = n.Decl
			}
		}
	}
	if exported == nil {
		exported = m.constants["apps"]
	}
	if exported == nil {
		return nil, errors.New("it exports nothing that can be read without running it")
	}
	return m.value(exported, 0)
}

// parseJavaScript parses text; a parser that panics has not understood it.
func parseJavaScript(text string) (ast *js.AST, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it is not JavaScript that can be read")
		}
	}()
	if ast, err = js.Parse(parse.NewInputString(text), js.Options{}); err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("it is not valid JavaScript: %s", line)
	}
	return ast, nil
}

// assigned is the right side of module.exports = X or exports.default = X.
func assigned(expr js.IExpr) js.IExpr {
	binary, ok := expr.(*js.BinaryExpr)
	if !ok || binary.Op != js.EqToken {
		return nil
	}
	switch binary.X.String() {
	case "(module.exports)", "module.exports", "(exports.default)", "exports.default", "exports", "(exports.apps)", "exports.apps", "((module.exports).apps)":
		return binary.Y
	}
	return nil
}

// module is what the top level of a file declares.
type module struct {
	constants map[string]js.IExpr
	dir       string
}

func (m module) declare(decl *js.VarDecl) {
	for _, e := range decl.List {
		if v, ok := e.Binding.(*js.Var); ok && e.Default != nil {
			m.constants[string(v.Data)] = e.Default
		}
	}
}

// deepest is how deeply values may stand in each other.
const deepest = 64

// value evaluates an expression that needs no code to be run. Strings are values of
// watchdog.yaml.
func (m module) value(expr js.IExpr, depth int) (any, error) {
	if depth > deepest {
		return nil, errors.New("it is nested too deeply")
	}
	switch n := expr.(type) {
	case *js.LiteralExpr:
		return constant(n)
	case js.LiteralExpr:
		return constant(&n)
	case *js.GroupExpr:
		return m.value(n.X, depth+1)
	case *js.ObjectExpr:
		return m.object(n, depth)
	case *js.ArrayExpr:
		var all []any
		for _, e := range n.List {
			if e.Spread || e.Value == nil {
				return nil, unreadable(expr)
			}
			v, err := m.value(e.Value, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	case *js.Var:
		name := string(n.Data)
		if name == "__dirname" {
			return draft.Literal(m.dir), nil
		}
		if name == "undefined" {
			return nil, nil
		}
		if declared := m.constants[name]; declared != nil {
			return m.value(declared, depth+1)
		}
	case *js.TemplateExpr:
		if n.Tag == nil {
			return m.template(n, depth)
		}
	case *js.UnaryExpr:
		return m.unary(n, depth)
	case *js.BinaryExpr:
		return m.binary(n, depth)
	case *js.DotExpr:
		if name, ok := environmentVariable(n); ok {
			return "${" + name + ":-}", nil
		}
		if x, ok := n.X.(*js.Var); ok && m.constants[string(x.Data)] != nil {
			if v, err := m.value(x, depth+1); err == nil && asObject(v) != nil {
				return asObject(v)[strings.Trim(n.Y.String(), `"`)], nil
			}
		}
	case *js.CallExpr:
		return m.call(n, depth)
	}
	return nil, unreadable(expr)
}

func unreadable(expr js.IExpr) error {
	var out strings.Builder
	expr.JS(&out)
	return fmt.Errorf("it is not a plain object: %s must be run to be known", cut(strings.Join(strings.Fields(out.String()), " ")))
}

func constant(n *js.LiteralExpr) (any, error) {
	text := string(n.Data)
	switch n.TokenType {
	case js.StringToken:
		return draft.Literal(unescapeJS(text[1 : len(text)-1])), nil
	case js.TrueToken:
		return true, nil
	case js.FalseToken:
		return false, nil
	case js.NullToken:
		return nil, nil
	}
	number := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(number, 0, 64); err == nil {
		return int(i), nil
	}
	if f, err := strconv.ParseFloat(number, 64); err == nil {
		return f, nil
	}
	return nil, fmt.Errorf("it is not a plain object: %s", cut(text))
}

func (m module) object(n *js.ObjectExpr, depth int) (any, error) {
	all := object{}
	for _, p := range n.List {
		if p.Spread {
			v, err := m.value(p.Value, depth+1)
			if err != nil {
				return nil, err
			}
			for key, value := range asObject(v) {
				all[key] = value
			}
			continue
		}
		if _, method := p.Value.(*js.MethodDecl); method || p.Init != nil || p.Name != nil && p.Name.IsComputed() {
			return nil, errors.New("it is not a plain object: it has methods or computed keys")
		}
		key := ""
		if p.Name != nil {
			key = string(p.Name.Literal.Data)
			if p.Name.Literal.TokenType == js.StringToken && len(key) >= 2 {
				key = unescapeJS(key[1 : len(key)-1])
			}
		} else if v, ok := p.Value.(*js.Var); ok {
			key = string(v.Data)
		}
		v, err := m.value(p.Value, depth+1)
		if err != nil {
			return nil, err
		}
		all[key] = v
	}
	return all, nil
}

func (m module) template(n *js.TemplateExpr, depth int) (any, error) {
	var out strings.Builder
	for _, part := range n.List {
		text := strings.TrimSuffix(strings.TrimLeft(string(part.Value), "`}"), "${")
		v, err := m.value(part.Expr, depth+1)
		if err != nil {
			return nil, err
		}
		out.WriteString(draft.Literal(unescapeJS(text)) + scalar(v))
	}
	out.WriteString(draft.Literal(unescapeJS(strings.Trim(string(n.Tail), "`}"))))
	return out.String(), nil
}

func (m module) unary(n *js.UnaryExpr, depth int) (any, error) {
	v, err := m.value(n.X, depth+1)
	if err != nil {
		return nil, err
	}
	switch number := v.(type) {
	case int:
		if n.Op == js.NegToken || n.Op == js.SubToken {
			return -number, nil
		}
		if n.Op == js.NotToken {
			return number == 0, nil
		}
	case float64:
		if n.Op == js.NegToken {
			return -number, nil
		}
	case bool:
		if n.Op == js.NotToken {
			return !number, nil
		}
	}
	return nil, unreadable(n)
}

// binary knows a default for a variable, and sums.
func (m module) binary(n *js.BinaryExpr, depth int) (any, error) {
	x, err := m.value(n.X, depth+1)
	if err != nil {
		return nil, err
	}
	y, err := m.value(n.Y, depth+1)
	if err != nil {
		return nil, err
	}
	switch n.Op {
	case js.OrToken, js.NullishToken:
		if text, ok := x.(string); ok && strings.HasSuffix(text, ":-}") {
			return strings.TrimSuffix(text, "}") + scalar(y) + "}", nil
		}
		if x == nil || x == false || x == "" || x == 0 {
			return y, nil
		}
		return x, nil
	case js.AddToken:
		_, xs := x.(string)
		_, ys := y.(string)
		if xs || ys {
			return scalar(x) + scalar(y), nil
		}
	}
	a, aok := x.(int)
	c, cok := y.(int)
	if aok && cok && max(a, -a) < math.MaxInt32 && max(c, -c) < math.MaxInt32 {
		switch n.Op {
		case js.AddToken:
			return a + c, nil
		case js.SubToken:
			return a - c, nil
		case js.MulToken:
			return a * c, nil
		}
	}
	return nil, unreadable(n)
}

// environmentVariable is the X of process.env.X.
func environmentVariable(n *js.DotExpr) (string, bool) {
	inner, ok := n.X.(*js.DotExpr)
	if !ok || inner.X.String() != "process" || nameOf(inner.Y) != "env" {
		return "", false
	}
	name := nameOf(n.Y)
	return name, name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func nameOf(expr js.IExpr) string {
	switch n := expr.(type) {
	case *js.LiteralExpr:
		return string(n.Data)
	case js.LiteralExpr:
		return string(n.Data)
	case *js.Var:
		return string(n.Data)
	}
	return ""
}

// call knows path.join and path.resolve.
func (m module) call(n *js.CallExpr, depth int) (any, error) {
	dot, ok := n.X.(*js.DotExpr)
	if !ok || nameOf(dot.X) != "path" || nameOf(dot.Y) != "join" && nameOf(dot.Y) != "resolve" {
		return nil, unreadable(n)
	}
	joined := ""
	for _, arg := range n.Args.List {
		v, err := m.value(arg.Value, depth+1)
		if err != nil || arg.Rest {
			return nil, unreadable(n)
		}
		if text := scalar(v); nameOf(dot.Y) == "resolve" && path.IsAbs(text) {
			joined = text
		} else {
			joined = path.Join(joined, text)
		}
	}
	if nameOf(dot.Y) == "resolve" && !path.IsAbs(joined) {
		joined = path.Join(draft.Literal(m.dir), joined)
	}
	return joined, nil
}

// unescapeJS replaces the escapes of a JavaScript string.
func unescapeJS(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for n := 0; n < len(s); n++ {
		if s[n] != '\\' || n == len(s)-1 {
			out.WriteByte(s[n])
			continue
		}
		n++
		switch s[n] {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r', 'b', 'f', 'v', '0':
		case '\n':
		case 'x', 'u':
			digits := map[byte]int{'x': 2, 'u': 4}[s[n]]
			if n+digits < len(s) {
				if r, err := strconv.ParseUint(s[n+1:n+1+digits], 16, 32); err == nil && utf8.ValidRune(rune(r)) {
					out.WriteRune(rune(r))
					n += digits
					continue
				}
			}
			out.WriteByte(s[n])
		default:
			out.WriteByte(s[n])
		}
	}
	return out.String()
}
