// Package doctor judges whether a configuration will work on this machine: what will fail,
// what is doubtful, and what to do about it. Look gathers the facts, and Examine judges
// them without looking at anything itself.
package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Note Level = "note" // worth knowing
	Warn Level = "warn" // may fail, or does something that is probably not wanted
	Fail Level = "fail" // will fail
)

// Finding is one judgement.
type Finding struct {
	Check string `json:"check"` // what was looked at: ports, programs, ...
	Level Level  `json:"level"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// Machine is what is known of the machine, the user and the environment. A zero value is
// not known.
type Machine struct {
	Stack     string   // which watchdogd serves the file already
	Missing   []string // programs, users, folders and files, a sentence each
	Root      bool
	Init      string // the name of process 1
	Self      bool   // process 1 is watchdogd
	Container bool

	Files, MostFiles uint64 // the soft and the hard limit of open files
	Processes        uint64 // the limit of processes of this user
	Memory           int64  // bytes that may be used
	MemoryOf         string // whose limit that is: the cgroup, this machine
	CPUs             float64

	Now        time.Time
	Unsynced   bool // the kernel says that the clock is not synchronized
	FileTime   time.Time
	Temporary  string // the folder of temporary files
	Free       int64  // bytes there
	InMemory   bool   // it is a file system in memory
	Unwritable error  // why there can be no temporary file

	Busy   func(address string) error        // why an address cannot be listened on
	Taken  func(host string, port int) error // why a fixed port of a program is not free
	Spill  func(r *schema.Route) bool        // whether a route may need temporary files
	Inside func(folder, file string) bool    // whether a file is in a folder
}

// doctor collects findings.
type doctor struct {
	cfg      *schema.Config
	m        *Machine
	findings []Finding
}

// Examine judges cfg on m. A nil cfg is one that could not be read; then only the machine
// is judged.
func Examine(cfg *schema.Config, m *Machine) []Finding {
	d := &doctor{cfg: cfg, m: m}
	if cfg != nil {
		d.ports()
		d.programs()
		d.routes()
		d.exposure()
	}
	d.init()
	d.limits()
	d.memory()
	d.cpu()
	d.clock()
	d.disk()
	return d.findings
}

func (d *doctor) say(level Level, check, do, what string, args ...any) {
	d.findings = append(d.findings, Finding{check, level, fmt.Sprintf(what, args...), do})
}

// Worst is the worst level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	rank := []Level{OK, Note, Warn, Fail}
	for _, f := range findings {
		if slices.Index(rank, f.Level) > slices.Index(rank, worst) {
			worst = f.Level
		}
	}
	return worst
}

// programs judges what the file needs and is not there.
func (d *doctor) programs() {
	for _, what := range d.m.Missing {
		d.say(Fail, "programs", "", "%s", what)
	}
	for name, p := range d.processes() {
		if p.User != "" && !d.m.Root {
			d.say(Fail, "permissions", "run watchdogd as root, or leave out user:", "%s: user: %s: only root can start a program as another user", name, p.User)
		}
	}
	if len(d.m.Missing) == 0 {
		d.say(OK, "programs", "", "every program, folder and file that the configuration names is there")
	}
}

// processes yields what the file starts, with its name.
func (d *doctor) processes() func(func(string, *schema.Process) bool) {
	return func(yield func(string, *schema.Process) bool) {
		if d.cfg == nil {
			return
		}
		for i := range d.cfg.Routes {
			if r := &d.cfg.Routes[i]; !r.FProcess.Empty() && !yield(r.Name, &r.Process) {
				return
			}
		}
		for i := range d.cfg.Services {
			if s := &d.cfg.Services[i]; !yield(s.Name, &s.Process) {
				return
			}
		}
	}
}

// routes judges paths that lie within each other.
func (d *doctor) routes() {
	inside := 0
	var example string
	for wide, r := range d.cfg.Nested() {
		if wide.Path != "/" {
			inside++
			example = cmp.Or(example, fmt.Sprintf("%s of %s lies within %s of %s", r.Path, r.Name, wide.Path, wide.Name))
		}
	}
	if inside > 0 {
		d.say(Note, "routes", "", "%s: the longer path wins (%s in all)", example, phrase.Count(inside, "such pair"))
	}
	for _, around := range d.cfg.Around() {
		d.say(Note, "routes", "", "%s", around)
	}
	if inside == 0 {
		d.say(OK, "routes", "", "%s, none of which lies within another's path but /", phrase.Count(len(d.cfg.Routes), "route"))
	}
}

// some are the first of names.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
