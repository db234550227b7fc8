// Package detect looks at a folder and writes a watchdog.yaml for the program in it. It
// reads files and runs nothing.
package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// kind is one kind of project: look returns nil if the folder is not of it.
type kind struct {
	name string
	look func(*folder) *project
}

// kinds are tried in this order; the first that the folder is of is written.
var kinds = []kind{
	{"Procfile", procfile},
	{"package.json", node},
	{"Django", django},
	{"FastAPI", fastAPI},
	{"Flask", flask},
	{"Python", python},
	{"Go", goProgram},
	{"Ruby", ruby},
	{"PHP", php},
	{"static pages", pages},
	{"Dockerfile", dockerfile},
	{"fprocess in the environment", environment},
}

// project is what a folder was found to be.
type project struct {
	found string // the files that say so: "package.json"
	file  *draft.File
	text  []byte // instead of file, a file that is complete
	err   error  // why it cannot be read
}

// Result is a file for the program in a folder.
type Result struct {
	Text  []byte
	Found string   // as in "package.json (scripts.start)"
	Also  []string // what else was found, and is not in the file
}

// Folder looks at dir. env is the environment, as NAME=value.
func Folder(dir string, env []string) (*Result, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("this folder cannot be read; change to another, or ask its owner: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("look at the folder: %w", err)
	}
	f := &folder{dir: dir, env: env}
	for _, e := range entries {
		f.names = append(f.names, e.Name())
	}
	var result *Result
	for _, k := range kinds {
		p := k.look(f)
		switch {
		case p == nil:
		case p.err != nil && result == nil:
			return nil, p.err
		case p.err != nil:
		case result == nil:
			if result, err = f.result(p); err != nil {
				return nil, err
			}
		case !strings.HasPrefix(result.Found, p.found) && !slices.Contains(result.Also, p.found):
			result.Also = append(result.Also, p.found)
		}
	}
	if result == nil {
		return nil, errors.New("nothing in this folder is known to be a program: no Procfile, package.json, Python with Flask, Django or FastAPI, app.py, main.go, Gemfile, artisan, index.php, index.html or Dockerfile, and no fprocess in the environment; watchdogd try COMMAND serves any command, and --write saves it")
	}
	return result, nil
}

// result completes and checks the file of a project.
func (f *folder) result(p *project) (*Result, error) {
	if p.text != nil {
		return &Result{Text: p.text, Found: p.found}, nil
	}
	p.file.Head = append([]string{"Written by watchdogd init, which found " + p.found + ". Serve it with: watchdogd"}, p.file.Head...)
	p.file.Tail = append(p.file.Tail,
		"Another route has a path of its own, another program without a route stands under services: see docs/configuration.md, and watchdogd validate for mistakes.")
	lookup := func(name string) (string, bool) {
		for _, pair := range f.env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	if p.file.Server == nil {
		p.file.Server = &draft.Item{}
		p.file.Server.SetNoted("listen", ":${PORT:-8080}", "127.0.0.1:8080 would be reachable from this machine only")
	}
	said, err := p.file.Settle(filepath.Join(f.dir, "watchdog.yaml"), lookup)
	if err != nil {
		return nil, fmt.Errorf("the file for %s would not be valid: %w", p.found, err)
	}
	if p.file.Empty() {
		return nil, fmt.Errorf("%s cannot be written as a file: %s", p.found, strings.Join(said, "; "))
	}
	return &Result{Text: p.file.Bytes(), Found: p.found}, nil
}

// folder is what is looked at.
type folder struct {
	dir   string
	names []string
	env   []string
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// has reports whether a file is there.
func (f *folder) has(name string) bool {
	info, err := os.Stat(f.path(name))
	return err == nil && info.Mode().IsRegular()
}

func (f *folder) isFolder(name string) bool {
	info, err := os.Stat(f.path(name))
	return err == nil && info.IsDir()
}

// first is the first of names that is a file; empty is none.
func (f *folder) first(names ...string) string {
	for _, name := range names {
		if f.has(name) {
			return name
		}
	}
	return ""
}

func (f *folder) text(name string) string { return string(guess.Read(f.path(name))) }

// sources are the files of the folder, and of the folders in it named so, that have an
// extension, as far as a person would look.
func (f *folder) sources(extension string, inside ...string) (files []string) {
	for _, name := range f.names {
		if filepath.Ext(name) == extension && f.has(name) {
			files = append(files, name)
		}
	}
	for _, dir := range inside {
		_ = fs.WalkDir(os.DirFS(f.dir), dir, func(path string, e fs.DirEntry, err error) error { // what cannot be read has no sources
			if err != nil || strings.Count(path, "/") > 3 || len(files) > mostSources {
				return fs.SkipDir
			}
			if e.Type().IsRegular() && filepath.Ext(path) == extension {
				files = append(files, path)
			}
			return nil
		})
	}
	return files[:min(len(files), mostSources)]
}

// mostSources is how many files are read to find out what a program is.
const mostSources = 200

// web is a route on / for the program.
func web(f *folder) (*draft.File, *draft.Item) {
	file := &draft.File{}
	item := file.Route(filepath.Base(f.dir))
	item.Set("path", "/")
	return file, item
}

// program is a project that is one command.
func program(f *folder, found string, words []string) (*project, *draft.Item) {
	file, item := web(f)
	item.Program(words)
	return &project{found: found, file: file}, item
}
