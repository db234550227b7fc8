package child

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"syscall"

	"github.com/watchdogd/watchdogd/schema"
)

// Program is a command prepared to be started many times: looked up, its user and its
// environment files read, and its environment built, once. It may be used by many
// goroutines.
type Program struct {
	name    string
	process *schema.Process
	files   []string // NAME=VALUE of the environment files, in order
	own     []string // the names of process.Env, sorted
	cred    *syscall.Credential
	account *user.User // whose HOME and USER the program sees; nil is ours
	limits  []rlimit
	plain   Command // with nothing but the name to stand for in texts
}

// Command is a Program with the variables of its texts replaced.
type Command struct {
	path string
	argv []string
	env  environ
	dir  string
}

// Path is the file of its program.
func (c *Command) Path() string { return c.path }

// Dir is the directory that it starts in; empty is ours.
func (c *Command) Dir() string { return c.dir }

// NewProgram looks up what p says: the program on the PATH that it will itself see, its
// directory, its user, and its environment files. name is what ${NAME} stands for. The
// error is one sentence on what is wrong and what to do.
func NewProgram(name string, p *schema.Process) (*Program, error) {
	prog := &Program{name: name, process: p}
	var err error
	if p.User != "" {
		if prog.cred, prog.account, err = credential(p.User); err != nil {
			return nil, err
		}
	}
	if prog.limits, err = rlimits(p.RLimits); err != nil {
		return nil, err
	}
	size := 0
	for _, file := range p.EnvFile {
		pairs, err := readEnvFile(file)
		if err != nil {
			return nil, err
		}
		prog.files = append(prog.files, pairs...)
		for _, pair := range pairs {
			size += len(pair) + 1
		}
		if size > maxEnvFile {
			return nil, fmt.Errorf("env_file %s and those before it hold more than a program's environment can carry (%d MiB)", file, maxEnvFile>>20)
		}
	}
	for n := range p.Env {
		prog.own = append(prog.own, n)
	}
	slices.Sort(prog.own)
	prog.plain, err = prog.Command(schema.Vars{Name: name}, nil, nil)
	if err != nil {
		return nil, err
	}
	return prog, nil
}

// SameFiles reports whether the environment files of p and o had the same contents.
func (p *Program) SameFiles(o *Program) bool { return slices.Equal(p.files, o.files) }

// Dir is the directory that the program starts in; empty is ours.
func (p *Program) Dir() string { return p.plain.dir }

// ofManager reports whether a variable is how systemd speaks to the process that it started,
// which is watchdogd: a program that answered there would be refused, or speak for watchdogd.
func ofManager(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	switch name {
	case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		return true
	}
	return false
}

// Command replaces the variables of the program's texts by v. Its environment is ours,
// then below, then the environment files', then env, then above: the later wins.
func (p *Program) Command(v schema.Vars, below, above []string) (Command, error) {
	env := newEnviron(slices.DeleteFunc(os.Environ(), ofManager))
	if p.account != nil {
		env.set("HOME", p.account.HomeDir)
		env.set("USER", p.account.Username)
		env.set("LOGNAME", p.account.Username)
	}
	if slices.ContainsFunc(slices.Concat(below, above), func(kv string) bool { return strings.HasPrefix(kv, "PORT=") }) && env.get("HOST") == "" {
		env.set("HOST", "127.0.0.1") // where its calls come from
	}
	env.add(below)
	env.add(p.files)
	for _, n := range p.own {
		env.set(n, p.process.Env[n].Expand(v))
	}
	env.add(above)
	c := Command{env: env, dir: p.process.Dir.Expand(v)}
	if p.process.Shell {
		c.argv = []string{"/bin/sh", "-c", p.process.FProcess.Line.Expand(v)}
	} else {
		for _, w := range p.process.FProcess.Words {
			c.argv = append(c.argv, w.Expand(v))
		}
	}
	if len(c.argv) == 0 || c.argv[0] == "" {
		return c, errors.New("no program is given: set fprocess")
	}
	if err := checkDir(c.dir); err != nil {
		return c, err
	}
	var err error
	c.path, err = lookUp(c.argv[0], c.dir, env.get("PATH"))
	if hereOnly(c.dir) {
		c.dir = ""
	}
	return c, err
}
