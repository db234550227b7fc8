package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A test that fails says what it got and what it wants: a value without a word is no message.
// A sentence says both in its own way, and so does an error by itself.
func TestHouseTestsSayWhatTheyWant(t *testing.T) {
	for message, want := range map[string]bool{"%+v": true, "%s: %v %q": true, "got %d, %d bytes": false, "%d of %d": false, "got %q": true, "it still listens": false, "reload: %d": true, "a call was lost meanwhile: %s": false} {
		if got := wordless(message); got != want {
			t.Errorf("%q without a word: got %v, want %v", message, got, want)
		}
	}
	set := token.NewFileSet()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2 {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			message, ok := messageOf(n)
			if !ok {
				return true
			}
			if seen++; wordless(message) && !strings.Contains(message, "want") {
				t.Errorf("%s: got the message %q, want one that says what was got and wanted", set.Position(n.Pos()), message)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 1000 {
		t.Errorf("got %d messages, want those of all tests", seen)
	}
}

// messageOf returns the message of a call that fails a test, with a verb for each value. That of
// an error alone, or of an error with a label, is its own.
func messageOf(n ast.Node) (message string, ok bool) {
	c, isCall := n.(*ast.CallExpr)
	if !isCall || len(c.Args) == 0 {
		return "", false
	}
	to, isMethod := c.Fun.(*ast.SelectorExpr)
	if !isMethod {
		return "", false
	}
	receiver, isName := to.X.(*ast.Ident)
	if !isName || !slices.Contains([]string{"t", "b", "f", "tb"}, receiver.Name) || !slices.Contains([]string{"Error", "Errorf", "Fatal", "Fatalf"}, to.Sel.Name) {
		return "", false
	}
	var words []string
	for i, arg := range c.Args {
		text, isText := arg.(*ast.BasicLit)
		switch {
		case isText && text.Kind == token.STRING && (i == 0 || !strings.HasSuffix(to.Sel.Name, "f")):
			word, err := strconv.Unquote(text.Value)
			if err != nil {
				return "", false
			}
			words = append(words, word)
		case !strings.HasSuffix(to.Sel.Name, "f"):
			words = append(words, "%v")
		}
	}
	if len(words) == 0 {
		return "", false
	}
	last, isName := c.Args[len(c.Args)-1].(*ast.Ident)
	if isName && strings.Contains(strings.ToLower(last.Name), "err") {
		return "", false
	}
	return strings.Join(words, " "), true
}

var aVerb = regexp.MustCompile(`%[-+# 0]*(\d+|\*)?(\.(\d+|\*))?[a-zA-Z]`)

// wordless reports whether a message has values, and no words but a label.
func wordless(message string) bool {
	if label, rest, labelled := strings.Cut(message, ": "); labelled && len(strings.Fields(label)) < 4 { // a longer one is a sentence
		message = rest
	}
	message = strings.TrimPrefix(message, "got")
	return strings.Trim(aVerb.ReplaceAllString(message, ""), " \t\r\n0123456789.,;:()[]{}%\"'=/-+|") == ""
}
