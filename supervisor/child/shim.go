package child

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/watchdogd/watchdogd/schema"
)

// shimName is the argv[0] of this program when it is a shim.
const shimName = "watchdogd: start"

// Shim is called first of all in main. When this program was started as the shim that
// sets rlimits, umask and user of a child, it becomes that child and never returns;
// nor does it when it was started as the guard, which ends what is left of the children
// when watchdogd was killed. Otherwise it returns false at once, and descriptors above 2
// that this program inherited are kept from its children.
//
// Go cannot run code of its own between fork and exec, so limits that hold for one child
// only are set by a program between the two: ourselves.
func Shim() bool {
	switch {
	case len(os.Args) == 3 && os.Args[0] == guardName:
		beGuard(os.Stdin, os.Args[1], os.Args[2])
		os.Exit(0)
	case len(os.Args) < 7 || os.Args[0] != shimName:
		ours.shim.Store(true)
		keepInherited()
		return false
	}
	err := becomeChild(os.Args[1:])
	fmt.Fprintf(os.Stderr, "watchdogd: %v\n", err)
	os.Exit(127) // as a shell says that it could not start a program
	return true
}

// shim returns the command that starts path with argv under the program's limits.
func (p *Program) shim(path string, argv []string) (string, []string, error) {
	self, err := executable()
	if err != nil {
		return "", nil, fmt.Errorf("start %s with rlimits or umask: find watchdogd itself: %w", path, err)
	}
	mask, as := "-", "-"
	if p.process.Umask.Set {
		mask = strconv.FormatUint(uint64(p.process.Umask.Mask), 8)
	}
	if p.cred != nil {
		as = fmt.Sprintf("%d:%d", p.cred.Uid, p.cred.Gid)
		for _, g := range p.cred.Groups {
			as += ":" + strconv.FormatUint(uint64(g), 10)
		}
	}
	limits := make([]string, len(p.limits))
	for i, l := range p.limits {
		limits[i] = fmt.Sprintf("%d=%d", l.resource, l.value)
	}
	return self, append([]string{shimName, strconv.Itoa(os.Getpid()), mask, strings.Join(limits, ","), as, path}, argv...), nil
}

var executable = sync.OnceValues(os.Executable)

// becomeChild is given parent, umask, limits, user, path, argv.
func becomeChild(args []string) error {
	runtime.LockOSThread() // the parent-death signal belongs to the thread that execs
	path, argv := args[4], args[5:]
	env := os.Environ()
	if args[1] != "-" {
		mask, err := strconv.ParseUint(args[1], 8, 32)
		if err != nil {
			return err
		}
		syscall.Umask(int(mask))
	}
	var limits []rlimit
	for l := range strings.SplitSeq(args[2], ",") {
		if l != "" {
			var r rlimit
			if _, err := fmt.Sscanf(l, "%d=%d", &r.resource, &r.value); err != nil {
				return err
			}
			limits = append(limits, r)
		}
	}
	// The address space comes last, as this program itself needs some.
	slices.SortFunc(limits, func(a, b rlimit) int {
		switch {
		case a.resource == syscall.RLIMIT_AS:
			return 1
		case b.resource == syscall.RLIMIT_AS:
			return -1
		}
		return 0
	})
	for _, l := range limits {
		if l.resource != syscall.RLIMIT_AS {
			if err := l.set(); err != nil {
				return fmt.Errorf("start %s: %w", path, err)
			}
		}
	}
	if args[3] != "-" {
		if err := become(args[3]); err != nil {
			return fmt.Errorf("start %s as user %s: %w", path, args[3], err)
		}
	}
	if err := dieWithParent(args[0]); err != nil {
		return err
	}
	for _, l := range limits {
		if l.resource == syscall.RLIMIT_AS {
			return fmt.Errorf("start %s: %w", path, execLimited(l, path, argv, env))
		}
	}
	return fmt.Errorf("start %s: %w", path, syscall.Exec(path, argv, env))
}

func become(as string) error {
	var ids []int
	for s := range strings.SplitSeq(as, ":") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		ids = append(ids, n)
	}
	if err := syscall.Setgroups(ids[2:]); err != nil {
		return fmt.Errorf("set its groups: %w", err)
	}
	if err := syscall.Setgid(ids[1]); err != nil {
		return fmt.Errorf("set its group: %w", err)
	}
	if err := syscall.Setuid(ids[0]); err != nil {
		return fmt.Errorf("set its user: %w", err)
	}
	return nil
}

// rlimit is one limit, soft and hard alike.
type rlimit struct {
	resource int
	value    uint64
}

func (l rlimit) set() error {
	err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.value, Max: l.value})
	if err != nil {
		for _, r := range resources {
			if r.resource == l.resource {
				return fmt.Errorf("set rlimits.%s to %d: %w", r.name, l.value, err)
			}
		}
	}
	return err
}

func rlimits(m map[string]schema.Size) ([]rlimit, error) {
	var limits []rlimit
	known := make([]string, len(resources))
	for i, r := range resources {
		known[i] = r.name
		if v, ok := m[r.name]; ok {
			limits = append(limits, rlimit{r.resource, uint64(v)})
		}
	}
	if len(limits) < len(m) {
		for name := range m {
			if !slices.Contains(known, name) {
				return nil, fmt.Errorf("rlimits.%s is not known on this system: one of %s", name, strings.Join(known, ", "))
			}
		}
	}
	return limits, nil
}
