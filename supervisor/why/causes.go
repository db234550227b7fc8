package why

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// cause is what a line means that programs of a language, or all, print before they fail.
type cause struct {
	expr    *regexp.Regexp
	say     func(f *Facts, line string) string
	certain bool // waiting does not help
}

// causes are in the order in which they are looked for: the first that matches any line
// counts. They are compiled when a program has failed for the first time.
var causes = sync.OnceValue(func() []cause {
	row := func(expr string, say func(f *Facts, line string) string) cause {
		return cause{expr: regexp.MustCompile(expr), say: say}
	}
	missing := func(expr string, say func(f *Facts, line string) string) cause {
		c := row(expr, say)
		c.certain = true
		return c
	}
	return []cause{
		missing(`Cannot find module '(/|[A-Za-z]:)|can't open file '|Could not open input file|Can't open perl script|Unable to access jarfile|No such file or directory -- .* \(LoadError\)|(sh|bash): (\d+: )?cannot open `, text("the file that it is to run is not there: correct fprocess or dir")),
		missing(`Cannot find module '\.`, text("one of its own files is not there: was it built, and copied whole?")),
		missing(`Cannot find (module|package) '`, inDir("a module of Node.js is missing: run npm install in ")),
		missing(`ModuleNotFoundError: |ImportError: No module named|: No module named [\w.]+$`, python),
		missing(`cannot load such file -- |Bundler::GemNotFound|Could not find gem `, inDir("a library of Ruby is missing: run bundle install in ")),
		missing(`Can't locate \S+\.pm in @INC`, text("a module of Perl is missing: install it with cpan, or the package of the system that has it")),
		missing(`vendor/autoload\.php|Failed opening required|Class "[^"]+" not found|Interface "[^"]+" not found`, inDir("a file or class of PHP is missing: run composer install in ")),
		missing(`UnsupportedClassVersionError`, text("it is built for a newer Java than this one: install that, or build it for this one")),
		missing(`Could not find or load main class|ClassNotFoundException|NoClassDefFoundError`, text("a class of Java is missing: check -jar and -cp")),
		missing(`error while loading shared libraries|Library not loaded:|cannot open shared object file`, text("a shared library is missing: install the package that has it, or write its folder into env: LD_LIBRARY_PATH")),
		missing("version [`'](GLIBC|GLIBCXX|CXXABI)_[^ ]* not found", text("it is built for a newer C library than this system's: build it here, or statically")),
		missing(`Missing script:`, inDir("package.json has no such script: npm run lists them; it is looked for in ")),
		missing(`(npm (error|ERR!) .*enoent|ENOENT).*package\.json`, inDir("there is no package.json: correct dir, which is ")),
		missing(`\\r'?: command not found|\r: not found|bad interpreter|\$'\\r'`, text(`the script has Windows line ends (CRLF): remove them (sed -i 's/\r$//' FILE)`)),
		missing(`[Ee]xec format error|cannot execute binary file`, text("not a program for this machine: build it for this architecture, or give a script a #! line")),
		missing(`^(sh|\S*/sh|bash): .*: not found$|: command not found$`, notFound),
		{expr: inUse(), say: taken},
		row(`(listen|bind).*(EACCES|[Pp]ermission denied).*:(\d{1,3})\b|bind\(\) to \S+ failed \(13|[Pp]ermission denied.*could not bind`, text("it may not listen on a port below 1024: have it listen on $PORT, or on a port from 1024 on")),
		missing(`"root" execution of the PostgreSQL server is not permitted|cannot be run as root|can ?not run \S+ as root|to run mysqld as root|[Rr]unning as root without`, text("it refuses to run as root: write user: and the name of another user")),
		row(`heap out of memory`, text(`Node.js has reached its own limit of memory: raise it by env: {NODE_OPTIONS: "--max-old-space-size=MIB"}`)),
		row(`java\.lang\.OutOfMemoryError`, text("Java has reached its own limit of memory: raise it by -Xmx")),
		row(`MemoryError|std::bad_alloc|[Cc]annot allocate memory|fatal error: runtime: out of memory`, text("it could get no more memory: raise rlimits.as, or the limit of the cgroup or machine")),
		row(`[Nn]o space left on device|ENOSPC`, text("the disk is full: make room where it writes")),
		row(`[Tt]oo many open files|EMFILE`, text("it has as many files open as it may: raise rlimits.nofile")),
		row(`[Rr]ead-only file system|EROFS`, text("it writes to a file system that is read-only: give it a folder where it may write")),
		row(`[Cc]onnection refused|ECONNREFUSED`, text("a server that it connects to does not answer: have it started first (depends_on)")),
		row(`[Pp]ermission denied|EACCES|PermissionError|[Oo]peration not permitted|EPERM`, forbidden),
	}
})

// cause is the first of causes that a line says, and the line.
func (f *Facts) cause() (*cause, string) {
	lines := f.Errors
	if !f.Served {
		lines = append(lines[:len(lines):len(lines)], f.Prints...)
	}
	lines = lines[max(len(lines)-mostLines, 0):]
	all := causes()
	for n := range all {
		for _, line := range lines {
			if len(line) <= longest && all[n].expr.MatchString(line) {
				return &all[n], line
			}
		}
	}
	return nil, ""
}

const (
	mostLines = 100  // of the end of the output are looked at
	longest   = 4096 // a longer line is no message
)

func text(what string) func(*Facts, string) string {
	return func(*Facts, string) string { return what }
}

func inDir(what string) func(*Facts, string) string {
	return func(f *Facts, _ string) string {
		if f.Dir == "" {
			return what + "the folder of the program"
		}
		return what + f.Dir
	}
}

// python is how a module of Python is installed for the one that is used.
func python(f *Facts, _ string) string {
	for _, w := range f.words() {
		if strings.Contains(w, "python") {
			return "a module of Python is missing: install it (" + w + " -m pip install)"
		}
	}
	return "a module of Python is missing: install it with pip where the program runs"
}

// notFound is about a program that a shell did not find.
func notFound(f *Facts, _ string) string {
	for _, w := range f.words() {
		switch w {
		case "npm", "npx", "yarn", "pnpm":
			return inDir("a program of the package is missing: run npm install in ")(f, "")
		}
	}
	return "the shell did not find the program: install it, or write its path"
}

// taken is about a port that another process has.
func taken(f *Facts, line string) string {
	who := "another process"
	if f.Taken != "" {
		who = f.Taken
	}
	port := "the port"
	if n := takenPort(line); n != 0 {
		port = fmt.Sprintf("port %d", n)
	}
	what := fmt.Sprintf("%s is taken by %s: end it, or use another port", port, who)
	if f.Port != 0 {
		what += fmt.Sprintf(" ($PORT, %d, is free for it)", f.Port)
	}
	return what
}

// forbidden is about a file that the program may not use.
func forbidden(f *Facts, _ string) string {
	if f.User != "" {
		return "it may not use a file or do what it tried as user " + f.User + ": give that user access"
	}
	return "it may not use a file or do what it tried: give the user that runs it access"
}

// AskedPort is the port that the program says is taken; 0 when it says none.
func (f *Facts) AskedPort() int {
	for _, lines := range [][]string{f.Errors, f.Prints} {
		for _, line := range lines[max(len(lines)-mostLines, 0):] {
			if n := takenPort(line); n != 0 {
				return n
			}
		}
	}
	return 0
}

// takenPort is the port that a line says is taken; 0 when it says none.
func takenPort(line string) int {
	if len(line) > longest || !inUse().MatchString(line) {
		return 0
	}
	for _, m := range portInLine().FindAllStringSubmatch(line, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 && n < 1<<16 {
			return n
		}
	}
	return 0
}

var (
	inUse = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`[Aa]ddress already in use|EADDRINUSE|port \d+ is (already )?(in use|allocated)|bind\(\) to \S+ failed \(98`)
	})
	portInLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:[:\]]|[Pp]ort[ =:]+|, )(\d{1,5})\b`) })
)
