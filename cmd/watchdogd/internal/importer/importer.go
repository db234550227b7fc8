// Package importer reads the files of other supervisors and writes what they start as a
// watchdog.yaml. It runs nothing of what it reads. What cannot be carried over is a
// comment with the reason, and a line of the Result.
//
// A format is one file: it makes a list of programs of its text, and build.go makes
// routes and services of them.
package importer

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
)

// Options are what an import needs besides the files.
type Options struct {
	From    string // the format; empty is what the name and the content of the file say
	Into    string // the file to be, absolute; its folder need not be that of what is imported
	RunNode bool   // an ecosystem file that is not a plain object may be run by node
	Env     func(string) (string, bool)
}

// Result is the file to be, which schema.Parse accepts, and a sentence for each thing
// that it lacks.
type Result struct {
	File *draft.File
	Lost []string
}

// format is how one kind of file is read.
type format struct {
	name   string // what --from takes
	files  string // what the files are called, for messages
	named  string // a regular expression of its name
	holds  string // and of what only such a file has; "" is not known
	read   func(*builder, []source) error
	pieces bool // several files are one import
}

var formats = []format{
	{"procfile", "Procfile", `^Procfile(\..+)?$|\.procfile$`, "", readProcfile, false},
	{"systemd", "*.service, *.socket", `\.(service|socket)$`, `(?m)^\[(Unit|Service|Socket)\]`, readUnits, true},
	{"supervisord", "supervisord.conf", `^supervisor(d)?.*\.(conf|ini)$`, `(?m)^\[(program|supervisord|supervisorctl|group|eventlistener|fcgi-program)[:\]]`, readSupervisord, false},
	{"process-compose", "process-compose.yaml", `^process-compose.*\.ya?ml$`, `(?m)^processes\s*:`, readProcessCompose, false},
	{"compose", "docker-compose.yaml", `^(docker-)?compose.*\.ya?ml$`, `(?m)^services\s*:`, readCompose, false},
	{"pm2", "ecosystem.config.js", `^ecosystem.*\.([cm]?js|json)$|^pm2.*\.([cm]?js|json)$|\.config\.[cm]?js$`, `["']?apps["']?\s*[:=]`, readEcosystem, false},
}

// Formats lists what --from takes.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Import reads files, which are of one format and for all but systemd just one.
func Import(files []string, o Options) (*Result, error) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	var sources []source
	var chosen *format
	for _, path := range files {
		s, err := open(path)
		if err != nil {
			return nil, err
		}
		f, err := formatOf(s, o.From)
		if err != nil {
			return nil, err
		}
		if chosen != nil && chosen != f {
			return nil, fmt.Errorf("import %s: %s is of another format (%s, not %s); import them one by one", path, s.name, f.name, chosen.name)
		}
		chosen, sources = f, append(sources, s)
	}
	if len(sources) > 1 && !chosen.pieces {
		return nil, fmt.Errorf("import: only systemd units can be imported together; import %s and %s one by one", sources[0].path, sources[1].path)
	}
	b := newBuilder(sources[0], o)
	if err := chosen.read(b, sources); err != nil {
		return nil, fmt.Errorf("import %s: %w", sources[0].path, err)
	}
	return b.finish(chosen, sources)
}

// formatOf is the format of s: the one that is asked for, that its name says, or that its
// content shows.
func formatOf(s source, from string) (*format, error) {
	if from != "" {
		if i := slices.IndexFunc(formats, func(f format) bool { return f.name == from }); i >= 0 {
			return &formats[i], nil
		}
		return nil, fmt.Errorf("import --from %s: there is no such format; use %s", from, strings.Join(Formats(), ", "))
	}
	for i := range formats {
		if regexp.MustCompile(formats[i].named).MatchString(s.name) {
			return &formats[i], nil
		}
	}
	for i := range formats {
		if formats[i].holds != "" && regexp.MustCompile(formats[i].holds).Match(s.text) {
			return &formats[i], nil
		}
	}
	return nil, fmt.Errorf("import %s: it is not known what kind of file this is; name the format: --from %s", s.path, strings.Join(Formats(), "|"))
}

// errNothing is what is imported when a file starts no program.
var errNothing = errors.New("there is nothing in it that watchdogd could start")
