package child

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hereOnly reports whether dir is where we are and could not go, as an image that runs in
// /root as another user: a program can stay there too.
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

// interpreter returns what a script's #! line names.
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

// CRLF returns what to do about file when it is a script whose first line ends with CRLF,
// and otherwise an empty string. The kernel takes the CR for a part of the interpreter's
// name.
func CRLF(file string) string {
	f, err := os.Open(file)
	if file == "" || err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head) // what is there is enough
	line, _, whole := strings.Cut(string(head[:n]), "\n")
	if whole && strings.HasPrefix(line, "#!") && strings.HasSuffix(line, "\r") {
		return fmt.Sprintf(`the first line of %s ends with CRLF, as Windows writes lines: remove it (sed -i 's/\r$//' %s)`, file, file)
	}
	return ""
}

// ProgramName is the name of a program without its folder and version: nginx of
// /usr/sbin/nginx, php-fpm of php-fpm8.2.
func ProgramName(word string) string {
	name := strings.TrimRight(path.Base(word), "0123456789.")
	return strings.TrimSuffix(name, "-")
}
