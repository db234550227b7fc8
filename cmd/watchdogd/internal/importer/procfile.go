package importer

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// procfileLine is a process type and its command, as foreman and Heroku read it.
var procfileLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9_.-]+)\s*:\s*(.+)$`) })

// readProcfile reads a Procfile. The process type web gets requests and $PORT; release is
// a task that is completed before the others start.
func readProcfile(b *builder, sources []source) error {
	s := sources[0]
	release := ""
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(string(s.text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := procfileLine().FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("line %d is not NAME: COMMAND: %s", number, cut(line))
		}
		if seen[m[1]] {
			return fmt.Errorf("line %d: there are two commands for %s", number, m[1])
		}
		seen[m[1]] = true
		p := b.add(&program{name: m[1], line: m[2]})
		switch m[1] {
		case "web":
			p.web = func() guess.Program { return webProcess(b, p) }
		case "release":
			release = p.name
			p.set("restart", "never")
			p.notes = append(p.notes, "It runs once, before the others.")
		}
	}
	for _, p := range b.programs {
		if release != "" && p.name != release {
			p.needs = append(p.needs, draft.Key{Name: release, Value: "completed"})
		}
		if guess.Read(filepath.Join(s.dir, ".env")) != nil {
			p.envFiles = []string{b.placeFile(".env")} // as foreman reads it
		}
	}
	return nil
}

// webProcess is the judgement on the process type web, which Heroku gives requests.
func webProcess(b *builder, p *program) guess.Program {
	p.web = nil
	g := b.judge(p)
	if g.HTTP {
		return g
	}
	return guess.Program{HTTP: true, UsesPort: true, Why: "the process type web gets the requests and $PORT"}
}

// placeFile is a file as the file to be has it.
func (b *builder) placeFile(path string) string {
	placed := b.place(path)
	if placed == "" {
		return "."
	}
	return draft.Literal(placed)
}
