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
		return nil, f.unknown()
	}
	return result, nil
}

// unknown is the error for a folder with nothing that is known, and says what comes near it.
func (f *folder) unknown() error {
	const instead = "watchdogd try COMMAND serves any command, and --write saves it"
	for _, name := range []string{"Flask", "FastAPI", "Django"} {
		if f.requires(strings.ToLower(name)) {
			return fmt.Errorf("this folder needs %s, but in its .py files, and those in src, app and api, no application is made; %s", name, instead)
		}
	}
	var inside []string
	for _, dir := range f.folders() {
		if found := (&folder{dir: f.path(dir), names: namesIn(f.path(dir))}).found(); found != "" {
			inside = append(inside, dir+" ("+found+")")
		}
	}
	switch n := len(inside); {
	case n > 3:
		return fmt.Errorf("the programs are in folders of this one: %s and %d more; run watchdogd init in each, or put the routes that init --print shows there into one file, with a path and a dir: each", strings.Join(inside[:3], ", "), n-3)
	case n > 1:
		return fmt.Errorf("the programs are in folders of this one: %s; run watchdogd init in each, or put the routes that init --print shows there into one file, with a path and a dir: each", strings.Join(inside, ", "))
	case n == 1:
		return fmt.Errorf("the program is in a folder of this one: %s; run watchdogd init there", inside[0])
	}
	if name := f.first("Dockerfile", "Containerfile"); name != "" {
		return fmt.Errorf("the %s has no CMD and no ENTRYPOINT: its base image says what is started; %s", name, instead)
	}
	return errors.New("nothing in this folder is known to be a program: no Procfile, package.json, Python with Flask, Django or FastAPI, app.py, main.go, Gemfile, artisan, index.php, index.html or Dockerfile, and no fprocess in the environment; " + instead)
}

// found is what the folder would be written for; empty is nothing.
func (f *folder) found() string {
	for _, k := range kinds {
		if p := k.look(f); p != nil && p.err == nil {
			return p.found
		}
	}
	return ""
}

// mostFolders is how many folders are looked at for programs that this one has not.
const mostFolders = 50

// folders are those in the folder, and those in the ones that hold the packages of a repository.
func (f *folder) folders() (dirs []string) {
	for _, name := range f.names {
		switch {
		case strings.HasPrefix(name, "."), slices.Contains([]string{"node_modules", "vendor", "venv", "env", "dist", "build", "docs", "testdata"}, name), !f.isFolder(name):
		case slices.Contains([]string{"packages", "apps", "services", "cmd"}, name):
			for _, inner := range namesIn(f.path(name)) {
				if f.isFolder(name + "/" + inner) {
					dirs = append(dirs, name+"/"+inner)
				}
			}
		default:
			dirs = append(dirs, name)
		}
	}
	return dirs[:min(len(dirs), mostFolders)]
}

func namesIn(dir string) (names []string) {
	entries, _ := os.ReadDir(dir) // one that cannot be read has none
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
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
