package trial

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// Route is what one argument of try asks for.
type Route struct {
	Path   string
	Target string      // the command, folder or upstream as it was written
	Mode   schema.Mode // empty is not known yet
	Why    string      // why Mode was chosen, if the argument does not say it

	words    []string // the command in words; nil where Target is a line
	upstream string
}

// Spec is whether an argument has the form /PATH=...
func Spec(arg string) bool {
	at := strings.IndexByte(arg, '=')
	return at > 0 && arg[0] == '/' && !strings.ContainsAny(arg[:at], " \t\"'")
}

// Parse makes routes of arguments that all have the form /PATH=[MODE:]TARGET.
func Parse(args []string) ([]*Route, error) {
	var routes []*Route
	for _, arg := range args {
		if !Spec(arg) {
			return nil, fmt.Errorf("%s: write a route as /PATH=COMMAND, in quotes", arg)
		}
		at, target, _ := strings.Cut(arg, "=")
		r := &Route{Path: at, Target: strings.TrimSpace(target)}
		if r.Path != "/" {
			r.Path = strings.TrimSuffix(r.Path, "/")
		}
		if slices.ContainsFunc(routes, func(other *Route) bool { return other.Path == r.Path }) {
			return nil, fmt.Errorf("%s: there are two routes for %s", arg, r.Path)
		}
		if err := r.choose(); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// Bare makes the one route of arguments without a path: [MODE:]COMMAND as a line or as words, a
// folder, or a URL. The mode of a command is not known yet, unless it is written before it or the
// command uses $PORT.
func Bare(args []string) (*Route, error) {
	if len(args) > 1 {
		mode, rest, found := strings.Cut(args[0], ":")
		if !found || rest == "" || !slices.Contains(schema.Modes(), mode) {
			return Command(args), nil
		}
		if schema.Mode(mode) == schema.Static {
			return nil, fmt.Errorf("%s: static: takes one folder; write it in quotes", strings.Join(args, " "))
		}
		r := Command(append([]string{rest}, args[1:]...))
		r.Mode, r.Why = schema.Mode(mode), ""
		return r, nil
	}
	r := &Route{Path: "/", Target: strings.TrimSpace(args[0])}
	if err := r.choose(); err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	if r.Mode == schema.Streaming && r.Target == strings.TrimSpace(args[0]) {
		return Command(args), nil
	}
	return r, nil
}

// Command makes the one route of a bare command: a line, or words. Its mode is not known
// yet, unless the command uses $PORT.
func Command(args []string) *Route {
	r := &Route{Path: "/", Target: strings.Join(args, " ")}
	if len(args) > 1 {
		for _, w := range args {
			r.words = append(r.words, port.Replace(draft.Literal(w)))
		}
	}
	if usesPort(r.Target) {
		r.Mode, r.Why = schema.HTTP, "the command uses $PORT"
	}
	return r
}

// port makes $PORT of a word that is already a value the port of the instance.
var port = strings.NewReplacer("$${PORT}", "${PORT}", "$$PORT", "${PORT}")

func usesPort(s string) bool {
	return strings.Contains(s, "$PORT") || strings.Contains(s, "${PORT}")
}

// choose finds out the mode of what stands behind the path.
func (r *Route) choose() error {
	if r.Target == "" {
		return errors.New("write a command, a folder or a URL after the =")
	}
	mode, rest, found := strings.Cut(r.Target, ":")
	switch {
	case found && slices.Contains(schema.Modes(), mode) && !strings.HasPrefix(rest, "//"):
		r.Mode, r.Target = schema.Mode(mode), strings.TrimSpace(rest)
		if r.Target == "" {
			what := "command"
			if r.Mode == schema.Static {
				what = "folder"
			}
			return fmt.Errorf("write a %s after %q", what, mode+":")
		}
	case found && slices.Contains([]string{"http", "https", "h2c", "unix"}, mode):
		r.Mode, r.upstream, r.Why = schema.HTTP, r.Target, "it is an address"
	case found && misspelt(mode) != "":
		return fmt.Errorf("%s is not a mode; did you mean %s?", mode, misspelt(mode))
	case usesPort(r.Target):
		r.Mode, r.Why = schema.HTTP, "the command uses $PORT"
	default:
		if info, err := os.Stat(r.Target); err == nil && info.IsDir() {
			r.Mode, r.Why = schema.Static, "it is a folder"
			return nil
		}
		r.Mode, r.Why = schema.Streaming, "a command is run for each request unless http: stands before it"
	}
	return nil
}

// misspelt returns the mode that word was meant to be, or "".
func misspelt(word string) string {
	if strings.ContainsAny(word, " \t/=\"'") {
		return ""
	}
	return phrase.Nearest(word, schema.Modes())
}

// Name is what the route is called, from its path or its command.
func (r *Route) Name() string {
	if r.Path != "/" {
		return strings.ReplaceAll(strings.Trim(r.Path, "/"), "/", "-")
	}
	if r.Mode == schema.Static {
		return "files"
	}
	fields := strings.Fields(r.Target)
	if len(fields) == 0 || r.upstream == r.Target {
		return "app"
	}
	name := filepath.Base(fields[0])
	return strings.TrimSuffix(name, path.Ext(name))
}

// Use takes what a trial found.
func (r *Route) Use(f Finding) {
	r.Mode, r.upstream, r.Why = f.Mode, f.Upstream, f.Why
}

// Write adds the route to a file.
func (r *Route) Write(f *draft.File) {
	item := f.Route(r.Name())
	item.Set("path", r.Path)
	mode := r.Mode
	if mode == "" {
		mode = schema.HTTP
	}
	item.SetNoted("mode", string(mode), r.Why)
	switch {
	case mode == schema.Static:
		item.Set("root", draft.Literal(r.Target))
		return
	case r.upstream != "":
		item.Set("upstream", r.upstream)
	}
	switch {
	case r.upstream == r.Target:
	case r.words != nil:
		item.Program(r.words)
	default:
		item.Command(r.Target)
	}
	if mode.Traits().Forks {
		item.SetNoted("content_type", "auto", "detected from the output")
	}
}
