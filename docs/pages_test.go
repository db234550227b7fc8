package docs_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// page is one Markdown file of the repository.
type page struct {
	name  string // relative to the root, with slashes
	text  []byte
	root  ast.Node
	links []link
}

type link struct {
	to   string
	line int
}

// pages returns every Markdown file and llms.txt, but those that tests read as their input.
func pages(t *testing.T) map[string]*page {
	t.Helper()
	all := map[string]*page{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(file, ".."+string(filepath.Separator)))
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "testdata" || base == "node_modules" || base == "dist" || base == "bin" || base == "out" || base != ".." && strings.HasPrefix(base, ".") && base != ".github"):
			return fs.SkipDir
		case entry.IsDir(), path.Ext(name) != ".md" && name != "llms.txt":
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all[name] = read(name, data)
		return nil
	})
	if err != nil || all["README.md"] == nil || all["docs/cli.md"] == nil {
		t.Fatalf("got %d pages and %v, want README.md and docs/cli.md among them", len(all), err)
	}
	return all
}

func read(name string, data []byte) *page {
	p := &page{name: name, text: data}
	p.root = goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(data))
	p.walk(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Link:
			p.links = append(p.links, link{string(n.Destination), p.line(n)})
		case *ast.Image:
			p.links = append(p.links, link{string(n.Destination), p.line(n)})
		case *ast.AutoLink:
			p.links = append(p.links, link{string(n.URL(data)), p.line(n)})
		}
	})
	return p
}

func (p *page) walk(visit func(ast.Node)) {
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // visit does not fail
		if entering {
			visit(n)
		}
		return ast.WalkContinue, nil
	})
}

// line returns the line of the block in which a node stands.
func (p *page) line(n ast.Node) int {
	for ; n != nil; n = n.Parent() {
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			return 1 + strings.Count(string(p.text[:n.Lines().At(0).Start]), "\n")
		}
	}
	return 1
}

var (
	dropped = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
	idOf    = regexp.MustCompile(`(?:id|name)="([^"]+)"`)
)

// anchors returns the names that a link to a part of the page may have, as GitHub makes them.
func (p *page) anchors() map[string]bool {
	all, seen := map[string]bool{}, map[string]int{}
	p.walk(func(n ast.Node) {
		heading, ok := n.(*ast.Heading)
		if !ok {
			return
		}
		var words strings.Builder
		_ = ast.Walk(heading, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // nothing fails
			if t, isText := n.(*ast.Text); isText && entering {
				words.Write(t.Segment.Value(p.text))
			}
			return ast.WalkContinue, nil
		})
		slug := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(words.String()), ""), " ", "-")
		if n := seen[slug]; n > 0 {
			all[fmt.Sprintf("%s-%d", slug, n)] = true
		} else {
			all[slug] = true
		}
		seen[slug]++
	})
	for _, m := range idOf.FindAllSubmatch(p.text, -1) {
		all[string(m[1])] = true
	}
	return all
}

func TestEveryLinkLeadsToSomething(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		for _, l := range p.links {
			if problem := broken(all, p, l.to); problem != "" {
				t.Errorf("%s:%d: the link %s: %s", p.name, l.line, l.to, problem)
			}
		}
	}
}

// broken says what is wrong with a link of a page, or returns "".
func broken(all map[string]*page, p *page, to string) string {
	u, err := url.Parse(to)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme == "mailto":
		return ""
	case u.Scheme != "":
		if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(to, " \t") {
			return "want https://HOST/PATH"
		}
		return ""
	case strings.HasPrefix(to, "/"):
		return "want a path that is relative to the page"
	}
	target := p
	if u.Path != "" {
		name := path.Join(path.Dir(p.name), u.Path)
		info, err := os.Stat(filepath.Join("..", filepath.FromSlash(name)))
		switch {
		case err != nil:
			return "no such file"
		case info.IsDir():
			name = path.Join(name, "README.md")
		}
		target = all[name]
	}
	if u.Fragment != "" && (target == nil || !target.anchors()[u.Fragment]) {
		return "no such heading"
	}
	return ""
}

func TestABrokenLinkIsFound(t *testing.T) {
	p := read("docs/x.md", []byte("# The `a.b`, c/d\n\n## Twice\n\n## Twice\n"))
	all := map[string]*page{p.name: p}
	for to, want := range map[string]string{
		"#the-ab-cd": "", "#twice-1": "", "#twice-2": "no such heading", "docs.go": "", "cli.md#x": "no such heading",
		"../docs": "", "gone.md": "no such file", "https://example.org/x": "", "https:///x": "want https://HOST/PATH", "/x": "want a path that is relative to the page",
	} {
		if got := broken(all, p, to); got != want {
			t.Errorf("%s: got %q, want %q", to, got, want)
		}
	}
}

// A block of YAML is a whole watchdog.yaml, unless a name of another file or "fragment" follows
// the language. A fragment is valid in its place: beneath routes, or beside a route.
func TestEveryYAMLBlockIsValid(t *testing.T) {
	found := 0
	dir := t.TempDir()
	for _, folder := range []string{"public", "www"} { // that static routes name
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pages(t) {
		for _, b := range testkit.Blocks(string(p.text)) {
			code := b.Code
			switch {
			case b.Language == "yml":
				t.Errorf("%s:%d: got a block of yml, want yaml", p.name, b.Line)
				continue
			case b.Language != "yaml", b.Rest != "" && b.Rest != "fragment" && b.Rest != "watchdog.yaml":
				continue
			case b.Rest == "fragment" && strings.HasPrefix(strings.TrimSpace(code), "- "):
				code = "routes:\n" + code
			case b.Rest == "fragment":
				code += "\nroutes: [{name: fragment, fprocess: x}]\n"
			}
			found++
			set := func(string) (string, bool) { return "1", true } // every variable
			if _, err := schema.Parse(filepath.Join(dir, "watchdog.yaml"), []byte(code), set); err != nil {
				t.Errorf("%s:%d: got\n%v\nwant a valid watchdog.yaml; a part of one is marked \"yaml fragment\"", p.name, b.Line, err)
			}
		}
	}
	if found < 5 {
		t.Errorf("got %d blocks of YAML, want 5 or more", found)
	}
}

// docs/configuration.md has a row for keys that exist only; schema's tests see to the others.
func TestTheKeysThatAreDocumentedExist(t *testing.T) {
	known := schema.Keys()
	row := regexp.MustCompile("^\\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \\|")
	keys, found := false, 0
	for i, line := range strings.Split(string(pages(t)["docs/configuration.md"].text), "\n") {
		if !strings.HasPrefix(line, "|") {
			keys = false
		}
		if strings.HasPrefix(line, "| key |") {
			keys = true
		}
		m := row.FindStringSubmatch(line)
		if m == nil || !keys {
			continue
		}
		for key := range strings.SplitSeq(m[1], ", ") {
			found++
			if key = strings.Trim(key, "`"); !slices.Contains(known, key) && !slices.Contains(known, "routes."+key) && !slices.Contains(known, "services."+key) {
				t.Errorf("docs/configuration.md:%d: got the key %s, want one that exists", i+1, key)
			}
		}
	}
	if found < 100 {
		t.Errorf("got %d keys, want 100 or more", found)
	}
}

// llms.txt has the form of llmstxt.org, and a line for each page of docs.
func TestTheListForLanguageModelsHasEveryPage(t *testing.T) {
	all := pages(t)
	p := all["llms.txt"]
	if p == nil {
		t.Fatal("got no llms.txt at the root, want one")
	}
	lines := strings.Split(string(p.text), "\n")
	if !strings.HasPrefix(lines[0], "# ") || lines[1] != "" || !strings.HasPrefix(lines[2], "> ") {
		t.Errorf("got the beginning %q, want a title and a summary", lines[:3])
	}
	item := regexp.MustCompile(`^- \[[^\]]+\]\([^)]+\): \S.*$`)
	_, sections, _ := strings.Cut(string(p.text), "\n## ")
	for _, line := range strings.Split(sections, "\n")[1:] {
		if line != "" && !strings.HasPrefix(line, "## ") && !item.MatchString(line) {
			t.Errorf("got the line %q, want - [title](link): what it is", line)
		}
	}
	everyPageIsLinked(t, all, p)
}

func TestTheIndexLinksEveryPage(t *testing.T) {
	all := pages(t)
	if all["docs/README.md"] == nil {
		t.Fatal("got no docs/README.md, want the index")
	}
	everyPageIsLinked(t, all, all["docs/README.md"])
}

// everyPageIsLinked checks that a page links all of docs and all examples.
func everyPageIsLinked(t *testing.T, all map[string]*page, from *page) {
	t.Helper()
	linked := []string{from.name, "docs/README.md"}
	for _, l := range from.links {
		to, _, _ := strings.Cut(l.to, "#")
		to = path.Join(path.Dir(from.name), to)
		if all[to] == nil {
			to = path.Join(to, "README.md")
		}
		linked = append(linked, to)
	}
	for name := range all {
		if (path.Dir(name) == "docs" || path.Dir(path.Dir(name)) == "examples") && !slices.Contains(linked, name) {
			t.Errorf("%s does not link %s", from.name, name)
		}
	}
}
