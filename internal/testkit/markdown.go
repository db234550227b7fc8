package testkit

import (
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// Block is a fenced block of code in a page of Markdown, such as one that begins with
// "```yaml watchdog.yaml".
type Block struct {
	Language string
	Rest     string // what follows the language
	Code     string
	Line     int // of its first line of code
}

// Blocks returns the fenced blocks of a page that name a language.
func Blocks(page string) []Block {
	var all []Block
	source := []byte(page)
	root := goldmark.DefaultParser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // nothing fails
		fenced, ok := n.(*ast.FencedCodeBlock)
		if !ok || !entering || fenced.Info == nil || fenced.Lines().Len() == 0 {
			return ast.WalkContinue, nil
		}
		language, rest, _ := strings.Cut(string(fenced.Info.Segment.Value(source)), " ")
		line := 1 + strings.Count(page[:fenced.Lines().At(0).Start], "\n")
		all = append(all, Block{language, strings.TrimSpace(rest), string(fenced.Lines().Value(source)), line})
		return ast.WalkContinue, nil
	})
	return all
}
