package schema

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// include reads the files that the main file names.
func (l *loader) include(n *yaml.Node) {
	if isNull(n) {
		return
	}
	var patterns Strings
	if !l.strings(n, &patterns) {
		l.incomplete = true
		return
	}
	main := l.from
	for i, pattern := range patterns {
		at := n
		if n.Kind == yaml.SequenceNode {
			at = l.follow(n.Content[i])
			l.index(i)
		}
		before := len(l.problems)
		for _, file := range l.match(at, pattern) {
			if l.stopped {
				break
			}
			l.included(at, main, file)
		}
		l.incomplete = l.incomplete || len(l.problems) > before
		if n.Kind == yaml.SequenceNode {
			l.pop()
		}
	}
}

// match returns the files that an entry of include names, in order.
func (l *loader) match(at *yaml.Node, name string) []string {
	full := name
	if !filepath.IsAbs(full) {
		full = pattern.Replace(filepath.ToSlash(l.from.dir)) + "/" + name
	}
	if !strings.ContainsAny(name, `*?[{\`) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.from.dir, name)
		}
		return []string{filepath.Clean(name)}
	}
	if !validPattern(full) {
		l.problem(at, phrase.Quote(name)+" is not a valid file pattern", patternHint)
		return nil
	}
	base, _ := doublestar.SplitPattern(full)
	base = unescape(base, false)
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		l.problem(at, fmt.Sprintf("the folder %s does not exist", shown(l.from, base)), "")
		return nil
	}
	files, err := l.glob(full)
	if err != nil {
		l.problem(at, fmt.Sprintf("cannot list %s: %v", phrase.Quote(name), err), "name the folder of the files more precisely")
		return nil
	}
	slices.Sort(files) // the order of a folder's entries is not defined
	// A pattern may match the file that contains it.
	return slices.DeleteFunc(files, func(file string) bool {
		return slices.ContainsFunc(l.sources, func(s *source) bool { return s.path == file })
	})
}

// maxLooked is how many files and folders the patterns of one configuration may look at.
const maxLooked = 100_000

// glob returns the files that an absolute pattern matches. It lists no more of the file
// system than the configuration has left of maxLooked.
func (l *loader) glob(full string) ([]string, error) {
	base, rest := doublestar.SplitPattern(filepath.ToSlash(filepath.Clean(full)))
	within := &listing{FS: os.DirFS(base), root: base, left: maxLooked - l.looked}
	files, err := doublestar.Glob(within, rest, doublestar.WithFilesOnly())
	l.looked = maxLooked - within.left
	if err == nil && within.left <= 0 {
		err = fmt.Errorf("there are more than %d files and folders to search", maxLooked)
	}
	for i := range files {
		files[i] = filepath.Join(base, filepath.FromSlash(files[i]))
	}
	return files, err
}

// listing is a file system whose folders are listed until left entries were seen.
type listing struct {
	fs.FS
	root string
	left int
}

// ReadDir implements fs.ReadDirFS. What is not a folder has no entries: to open a pipe
// would wait for a writer.
func (l *listing) ReadDir(name string) ([]fs.DirEntry, error) {
	if l.left <= 0 {
		return nil, nil
	}
	info, err := fs.Stat(l.FS, name)
	if err != nil || !info.IsDir() {
		return nil, err
	}
	dir, err := os.Open(filepath.Join(l.root, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(l.left)
	l.left -= max(len(entries), 1) // an empty folder was looked at, too
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

// maxSources is how many files one configuration may be made of.
const maxSources = 10_000

// included reads one included file, whose routes and services join the others.
func (l *loader) included(at *yaml.Node, main *source, file string) {
	for _, s := range l.sources {
		if s.path == file {
			what := "is already included"
			if s == main {
				what = "is the file itself"
			}
			l.problem(at, fmt.Sprintf("%s %s", shown(main, file), what), "remove it here")
			return
		}
	}
	data, err := regular.ReadFile(file)
	if err != nil {
		l.problem(at, fmt.Sprintf("cannot read %s: %v", shown(main, file), err), "")
		return
	}
	total := len(data)
	for _, s := range l.sources {
		total += len(s.data)
	}
	if total > maxFile || len(l.sources) == maxSources {
		l.problem(at, fmt.Sprintf("this file and the files it includes exceed %d MiB or %d files", maxFile>>20, maxSources), "include fewer or smaller files")
		l.stopped = true
		return
	}
	outer := l.steps
	l.steps = nil
	defer func() { l.steps, l.from = outer, main }()
	n := l.open(shown(main, file), data)
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.problem(n, "an included file must be a mapping with routes: and services:, not "+given(n), "")
		return
	}
	p := l.plan(reflect.TypeFor[document]())
	for _, e := range l.entries(n) {
		if l.stopped {
			return
		}
		l.key(e.key.Value)
		switch {
		case e.key.Value == "routes":
			l.collect(e.value, &l.routes, "routes")
		case e.key.Value == "services":
			l.collect(e.value, &l.services, "services")
		case p.field(e.key.Value) != nil:
			l.problem(e.key, "an included file can have only routes: and services:", "move this key to "+main.name)
		default:
			l.unknown(e.key, e.value, p)
		}
		l.pop()
	}
}

// shown is how an included file is called in messages: as the main file is, from
// the same folder.
func shown(main *source, file string) string {
	if filepath.IsAbs(main.name) {
		return file
	}
	if rel, err := filepath.Rel(main.dir, file); err == nil && !strings.HasPrefix(rel, "../..") {
		return filepath.Join(filepath.Dir(main.name), rel)
	}
	return file
}
