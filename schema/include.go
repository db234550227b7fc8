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

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"github.com/watchdogd/watchdogd/schema/internal/source"
)

// include reads the files that the main file names.
func (l *loader) include(n *yaml.Node) {
	if decode.IsNull(n) {
		return
	}
	var patterns Strings
	if !patterns.read(l.Decoder, n) {
		l.incomplete = true
		return
	}
	main := l.From
	for i, pattern := range patterns {
		at := n
		if n.Kind == yaml.SequenceNode {
			at = l.Follow(n.Content[i])
			l.Index(i)
		}
		before := len(l.Problems)
		for _, file := range l.match(at, pattern) {
			if l.Stopped {
				break
			}
			l.included(at, main, file)
		}
		l.incomplete = l.incomplete || len(l.Problems) > before
		if n.Kind == yaml.SequenceNode {
			l.Pop()
		}
	}
}

// match returns the files that an entry of include names, in order.
func (l *loader) match(at *yaml.Node, name string) []string {
	full := name
	if !filepath.IsAbs(full) {
		full = pattern.Replace(filepath.ToSlash(l.From.Dir)) + "/" + name
	}
	if !strings.ContainsAny(name, `*?[{\`) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.From.Dir, name)
		}
		return []string{filepath.Clean(name)}
	}
	if !validPattern(full) {
		l.Problem(at, phrase.Quote(name)+" is not a valid file pattern", patternHint)
		return nil
	}
	base, _ := doublestar.SplitPattern(full)
	base = plain.Replace(base)
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		l.Problem(at, fmt.Sprintf("the folder %s does not exist", shown(l.From, base)), "")
		return nil
	}
	files, err := l.glob(full)
	if err != nil {
		l.Problem(at, fmt.Sprintf("cannot list %s: %v", phrase.Quote(name), err), "name the folder of the files more precisely")
		return nil
	}
	slices.Sort(files) // the order of a folder's entries is not defined
	// A pattern may match the file that contains it.
	return slices.DeleteFunc(files, func(file string) bool {
		return slices.ContainsFunc(l.sources, func(s *source.Source) bool { return s.Path == file })
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
func (l *loader) included(at *yaml.Node, main *source.Source, file string) {
	for _, s := range l.sources {
		if s.Path == file {
			what := "is already included"
			if s == main {
				what = "is the file itself"
			}
			l.Problem(at, fmt.Sprintf("%s %s", shown(main, file), what), "remove it here")
			return
		}
	}
	data, err := regular.ReadFile(file)
	if err != nil {
		l.Problem(at, fmt.Sprintf("cannot read %s: %v", shown(main, file), err), "")
		return
	}
	total := len(data)
	for _, s := range l.sources {
		total += len(s.Data)
	}
	if total > source.MaxFile || len(l.sources) == maxSources {
		l.Problem(at, fmt.Sprintf("this file and the files it includes exceed %d MiB or %d files", source.MaxFile>>20, maxSources), "include fewer or smaller files")
		l.Stopped = true
		return
	}
	outer := l.Steps
	l.Steps = nil
	defer func() { l.Steps, l.From = outer, main }()
	n := l.open(shown(main, file), data)
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.Problem(n, "an included file must be a mapping with routes: and services:, not "+decode.Given(n), "")
		return
	}
	p := l.Plan(reflect.TypeFor[document]())
	for _, e := range l.Entries(n) {
		if l.Stopped {
			return
		}
		l.Key(e.Key.Value)
		switch {
		case e.Key.Value == "routes":
			l.collect(e.Value, &l.routes, "routes")
		case e.Key.Value == "services":
			l.collect(e.Value, &l.services, "services")
		case p.Field(e.Key.Value) != nil:
			l.Problem(e.Key, "an included file can have only routes: and services:", "move this key to "+main.Name)
		default:
			l.Unknown(e, p)
		}
		l.Pop()
	}
}
