package export

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/schema"
)

// App is a configuration and what it was read from.
type App struct {
	Config    *schema.Config
	Files     []Source   // the file first, then what it includes
	Variables []Variable // the ${...} of the files, by name

	followsPort bool // server.listen depends on $PORT
}

// Source is a file of the configuration as it is written.
type Source struct {
	Path    string // relative to the folder of the configuration, with slashes
	Content string

	mode fs.FileMode // its permissions; it may hold secrets
}

// Variable is an environment variable that the files refer to. A Required one has no
// default.
type Variable struct {
	Name     string
	Required bool
}

// File is one file of manifests.
type File struct {
	Name    string
	Content []byte
	Mode    fs.FileMode // its permissions; 0 is the usual ones
}

// Options are what the configuration does not say. The zero Options are not complete; see
// Complete.
type Options struct {
	Layout    string // Bundle or Split
	Image     string // of the container; it holds watchdogd and the programs
	Program   string // watchdogd in the image, or on this machine
	Here      string // the path of the watchdogd that exports, for what runs on this machine
	Out       string // the folder of the files, with its whole path; empty is that they are printed
	Folder    string // of the file in the image
	Namespace string // of Kubernetes
	Min, Max  int    // replicas of each container
	Scaler    string // of Kubernetes, where Max is above Min: HPA or KEDA
	Publish   string // of Swarm: Ingress or Host
	Update    string // of Swarm: StartFirst or StopFirst
}

// The values of Options.
const (
	Bundle     = "bundle" // one container with everything
	Split      = "split"  // a container for each route, and a gateway in front
	HPA        = "hpa"
	KEDA       = "keda"
	Ingress    = "ingress"
	Host       = "host"
	StartFirst = "start-first"
	StopFirst  = "stop-first"
)

// Complete fills in the defaults and refuses values that are not known.
func (o Options) Complete(name string) (Options, error) {
	for _, v := range []struct {
		flag    string
		value   *string
		allowed []string // the first is the default
	}{
		{"layout", &o.Layout, []string{Bundle, Split}},
		{"scaler", &o.Scaler, []string{HPA, KEDA}},
		{"publish", &o.Publish, []string{Ingress, Host}},
		{"update", &o.Update, []string{StartFirst, StopFirst}},
	} {
		if *v.value == "" {
			*v.value = v.allowed[0]
		}
		if !slices.Contains(v.allowed, *v.value) {
			return o, fmt.Errorf("--%s %q is not known: write %s", v.flag, *v.value, strings.Join(v.allowed, " or "))
		}
	}
	for _, v := range []struct{ value, otherwise *string }{
		{&o.Image, new(name + ":latest")},
		{&o.Program, new("watchdogd")},
		{&o.Folder, new("/app")},
		{&o.Namespace, new("default")},
	} {
		if *v.value == "" {
			*v.value = *v.otherwise
		}
	}
	o.Min = max(o.Min, 1)
	o.Max = max(o.Max, o.Min)
	return o, nil
}

// placeholder stands for a variable that is not set where the manifests are written: its
// value is not needed here, only where the program runs.
const placeholder = "not-set-here"

// Load reads the file as schema.Load does, except that variables need not be set.
func Load(file string, lookup func(string) (string, bool)) (*App, error) {
	asked := map[string]bool{}
	app := &App{}
	record := func(name string) (string, bool) {
		asked[name] = true
		return lookup(name)
	}
	cfg, err := schema.Load(file, record)
	if err != nil { // once more, with a value for each variable that is not set
		var again error
		cfg, again = schema.Load(file, func(name string) (string, bool) {
			asked[name] = true
			if value, set := lookup(name); set && value != "" {
				return value, true
			}
			if app.requires(file, name) {
				return placeholder, true
			}
			return "", false
		})
		if again != nil {
			return nil, err
		}
	}
	app.Config = cfg
	app.followsPort = asked["PORT"]
	if err := app.read(cfg); err != nil {
		return nil, err
	}
	app.variables(asked)
	return app, nil
}

// read takes in the files of cfg as they are written.
func (a *App) read(cfg *schema.Config) error {
	folder := filepath.Dir(cfg.File)
	a.Files = nil
	for _, path := range cfg.Files {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil || strings.HasPrefix(relative, "..") {
			return fmt.Errorf("%s is included, but lies outside %s: move it there, since both go into the container together", path, folder)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		a.Files = append(a.Files, Source{filepath.ToSlash(relative), string(content), info.Mode().Perm()})
	}
	return nil
}

// reference is a ${NAME}, ${NAME:-default} or ${NAME:?message} of a file.
var reference = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-|:\?)?`) })

// requires reports whether the file, or one beside it that it may include, refers to the
// variable without a default.
func (a *App) requires(file, name string) bool {
	if a.Files == nil {
		paths := []string{file}
		filepath.WalkDir(filepath.Dir(file), func(path string, entry os.DirEntry, err error) error {
			switch {
			case err != nil || len(paths) > 1000:
				return filepath.SkipAll
			case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != filepath.Dir(file):
				return filepath.SkipDir
			case strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml"):
				paths = append(paths, path)
			}
			return nil
		})
		for _, path := range paths {
			if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
				continue
			}
			if content, err := os.ReadFile(path); err == nil {
				a.Files = append(a.Files, Source{Path: path, Content: string(content)})
			}
		}
	}
	return slices.ContainsFunc(references(a.Files), func(v Variable) bool { return v.Name == name && v.Required })
}

// references lists what the files refer to, also in their comments.
func references(files []Source) (all []Variable) {
	for _, f := range files {
		for _, m := range reference().FindAllStringSubmatch(f.Content, -1) {
			if m[1] != "" {
				all = append(all, Variable{m[1], m[2] != ":-"})
			}
		}
	}
	return all
}

// variables keeps the references to what reading the configuration asked for: others are
// in comments, or are set for each instance.
func (a *App) variables(asked map[string]bool) {
	required := map[string]bool{}
	for _, v := range references(a.Files) {
		if asked[v.Name] {
			required[v.Name] = required[v.Name] || v.Required
		}
	}
	for name, needed := range required {
		a.Variables = append(a.Variables, Variable{name, needed})
	}
	slices.SortFunc(a.Variables, func(x, y Variable) int { return strings.Compare(x.Name, y.Name) })
}

// checksum identifies the contents of all files, for engines that restart a container
// when a label changes.
func checksum(files []Source) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s\x00%d\x00%s", f.Path, len(f.Content), f.Content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
