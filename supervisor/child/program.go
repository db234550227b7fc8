package child

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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

// StartOptions is what differs from one start of a Program to the next. The zero value
// starts it for one request, with /dev/null as its three standard files.
type StartOptions struct {
	Command *Command // what Program.Command returned; nil is the command without any instance's variables
	Env     []string // NAME=VALUE, replacing the program's own of that name
	Stdin   *os.File // nil is /dev/null, as for the next two
	Stdout  *os.File
	Stderr  *os.File
	Extra   []*os.File // descriptors 3, 4 and on
	Dir     string     // empty is the program's own

	Owner  *Owner // of a long-lived child, whose descendants are told from those of others
	Long   bool   // it may live as long as this program; implied by Owner
	Beside *Child // a child of an Owner to which this one's descendants belong too
}

var devNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_RDWR, 0) })

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

// Start begins the program, the leader of a group of its own that ends when this
// program is killed. It returns when the program runs, and the caller then ends it by
// Stop or Kill. The files given remain the caller's to close. The error is one sentence,
// and wraps the system's (syscall.E2BIG for an environment that is too large).
func (p *Program) Start(o StartOptions) (*Child, error) {
	c := o.Command
	if c == nil {
		c = &p.plain
	}
	s := identity{long: o.Long || o.Owner != nil}
	var mark string
	switch {
	case o.Owner != nil:
		mark = o.Owner.mark()
		file := c.path
		if p.process.Shell {
			file = ""
		}
		s.origin = newOrigin(mark[len(markName)+1:], file)
	case o.Beside != nil:
		mark = markName + "=" + o.Beside.mark
	default:
		mark = callMark()
	}
	s.mark = mark[len(markName)+1:]
	null, err := devNull()
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Dir: c.dir, Env: c.env.with(o.Env, mark), Files: make([]uintptr, 0, 8)}
	for _, f := range [...]*os.File{o.Stdin, o.Stdout, o.Stderr} {
		if f == nil {
			f = null
		}
		attr.Files = append(attr.Files, f.Fd())
	}
	for _, f := range o.Extra {
		attr.Files = append(attr.Files, f.Fd())
	}
	if o.Dir != "" {
		attr.Dir = o.Dir
	}
	path, argv, cred := c.path, c.argv, p.cred
	if cred != nil {
		own(cred, o.Stdin, o.Stdout, o.Stderr)
	}
	if p.process.Umask.Set || len(p.limits) > 0 {
		if path, argv, err = p.shim(path, argv); err != nil {
			return nil, err
		}
		cred = nil // the shim changes the user when the limits are set
	}
	for try := 0; ; try++ {
		child, err := fork(path, argv, attr, cred, s)
		switch {
		case err == nil:
			return child, nil
		case err == syscall.ETXTBSY && try < 10:
			// Somebody has the file open for writing, or a fork elsewhere still holds
			// it: over in a moment (golang.org/issue/22315).
			time.Sleep(time.Millisecond << min(try, 5))
		default:
			return nil, startError(c, attr, err)
		}
	}
}

// own gives the pipes among files to the user that a program runs as. It has them open
// already; but to open them again, as /dev/stdout or /dev/stderr, it must be allowed to.
func own(cred *syscall.Credential, files ...*os.File) {
	for _, f := range files {
		if f == nil {
			continue
		}
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // what cannot be given is of use as it is
			var st syscall.Stat_t
			if syscall.Fstat(int(fd), &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO {
				_ = syscall.Fchown(int(fd), int(cred.Uid), int(cred.Gid))
			}
		})
	}
}

// startError makes a sentence of what the kernel says of a start.
func startError(c *Command, attr *syscall.ProcAttr, err error) error {
	switch {
	case err == syscall.ENOENT && checkDir(attr.Dir) != nil:
		return checkDir(attr.Dir)
	case err == syscall.ENOENT && CRLF(c.path) != "":
		return fmt.Errorf("start %s: %s: %w", c.path, CRLF(c.path), err)
	case err == syscall.ENOENT:
		if line, ok := interpreter(c.path); ok {
			return fmt.Errorf("start %s: its interpreter %q is not there: install it or correct the first line: %w", c.path, line, err)
		}
		return fmt.Errorf("start %s: it, or the loader that it needs, is not there: %w", c.path, err)
	case err == syscall.ENOEXEC:
		return fmt.Errorf("start %s: it is no program for this machine, and has no #! line: %w", c.path, err)
	case err == syscall.E2BIG:
		return fmt.Errorf("start %s: its arguments and environment are larger than the system allows: %w", c.path, err)
	case err == syscall.EAGAIN:
		return fmt.Errorf("start %s: the system allows no more processes (see rlimits.nproc and pids.max): %w", c.path, err)
	}
	return fmt.Errorf("start %s: %w", c.path, err)
}

// interpreter gives what a script's #! line names.
func interpreter(path string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head) // what is there is enough
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(words) == 0 {
		return "", false
	}
	return words[0], true
}

// Command replaces the variables of the program's texts by v. Its environment is ours,
// then below, then the environment files', then env, then above: the later wins.
func (p *Program) Command(v schema.Vars, below, above []string) (Command, error) {
	env := newEnviron(os.Environ())
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

// hereOnly reports whether dir is where we are and could not go, as an image that runs in
// /root as somebody else: a program can stay there too.
func hereOnly(dir string) bool {
	if dir == "" || unix.Access(dir, unix.X_OK) == nil {
		return false
	}
	here, err := os.Getwd()
	if err != nil {
		here, err = syscall.Getwd() // of the kernel, which knows also where we cannot look
	}
	return err == nil && here == dir
}

func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("dir %s is not there: create it or correct dir: %w", dir, err)
	case err != nil:
		return fmt.Errorf("dir %s cannot be entered: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("dir %s is not a directory", dir)
	}
	return nil
}

// ownName is a program name that means this program where the PATH has no other, so that a
// file with "watchdogd env -- ..." works from a folder of a download or a build.
const ownName = "watchdogd"

// lookUp finds a program as execvp(3) would for a process in dir that sees path.
func lookUp(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) && dir != "" {
			file = filepath.Join(dir, file)
		}
		return file, runnable(file)
	}
	var denied error
	for _, d := range filepath.SplitList(path) {
		if d == "" {
			d = "."
		}
		file := filepath.Join(d, name)
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		err := runnable(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, os.ErrNotExist) && denied == nil {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	if name == ownName {
		return executable()
	}
	return "", fmt.Errorf("program %q is not on the PATH (%s): install it, or write its path", name, path)
}

func runnable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("program %s is not there: install it or correct fprocess: %w", file, os.ErrNotExist)
	case err != nil:
		return fmt.Errorf("program %s cannot be looked at: %w", file, err)
	case info.IsDir():
		return fmt.Errorf("program %s is a directory", file)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("program %s is not executable: chmod +x it", file)
	}
	return nil
}

// credential reads user or user:group, by name or number. A number that the system
// does not know stands for itself, with a group of the same number.
func credential(s string) (*syscall.Credential, *user.User, error) {
	name, group, hasGroup := strings.Cut(s, ":")
	cred := &syscall.Credential{}
	account, err := user.Lookup(name)
	if err != nil {
		account, err = user.LookupId(name)
	}
	switch {
	case err == nil:
		uid, _ := strconv.ParseUint(account.Uid, 10, 32) // both are numbers on the systems we run on
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		cred.Uid, cred.Gid = uint32(uid), uint32(gid)
		ids, _ := account.GroupIds() // none is what a user without groups has
		for _, id := range ids {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				cred.Groups = append(cred.Groups, uint32(n))
			}
		}
	default:
		n, numErr := strconv.ParseUint(name, 10, 32)
		if numErr != nil {
			return nil, nil, fmt.Errorf("user %q is not known to this system: add it, or write its number", name)
		}
		account = nil
		cred.Uid, cred.Gid = uint32(n), uint32(n)
	}
	if hasGroup {
		g, err := user.LookupGroup(group)
		if err != nil {
			g, err = user.LookupGroupId(group)
		}
		id := group
		if err == nil {
			id = g.Gid
		}
		n, numErr := strconv.ParseUint(id, 10, 32)
		if numErr != nil {
			return nil, nil, fmt.Errorf("group %q of user %q is not known to this system: add it, or write its number", group, s)
		}
		cred.Gid = uint32(n)
	}
	if os.Geteuid() != 0 {
		if int(cred.Uid) == os.Geteuid() && int(cred.Gid) == os.Getegid() {
			return nil, account, nil // what we are already
		}
		return nil, nil, fmt.Errorf("user %q: only root can start a process as another user, and watchdogd runs as user %d", s, os.Geteuid())
	}
	return cred, account, nil
}
