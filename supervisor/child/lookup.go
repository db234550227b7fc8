package child

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
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

// CorePattern is where the kernel puts the core dumps of programs (core(5)); empty when that
// is not known.
func CorePattern() string {
	data, _ := os.ReadFile("/proc/sys/kernel/core_pattern") // empty says it
	return strings.TrimSpace(string(data))
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

// foreign says why the kernel does not know the format of a file that is executable, and
// what to do.
func foreign(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return "not a program for this machine"
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head) // what is there is enough
	head = head[:n]
	switch magic := string(head[:min(n, 4)]); {
	case n == 0:
		return "the file is empty: build or copy it again"
	case magic == "\x7fELF":
		if machine := elfMachine(head); machine != "" && machine != runtime.GOARCH {
			return fmt.Sprintf("a program for %s, and this machine is %s: build it for this one", machine, runtime.GOARCH)
		}
		return "a program for another machine, or a damaged one: build or copy it again"
	case strings.HasPrefix(magic, "MZ"):
		return "a program for Windows: build it for " + runtime.GOOS
	case magic == "\xcf\xfa\xed\xfe" || magic == "\xca\xfe\xba\xbe":
		return "a program for macOS: build it for " + runtime.GOOS
	case bytes.IndexByte(head, 0) < 0:
		return "a script without a #! line: write #!/bin/sh, or its interpreter, as its first line"
	}
	return "not a program for this machine, and not a script: build it for this one"
}

// elfMachine is the architecture, by its name in Go, that the head of an ELF file names
// (elf(5), e_machine); empty for others.
func elfMachine(head []byte) string {
	if len(head) < 20 {
		return ""
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if head[5] == 2 {
		order = binary.BigEndian
	}
	switch order.Uint16(head[18:]) {
	case 3:
		return "386"
	case 40:
		return "arm"
	case 62:
		return "amd64"
	case 183:
		return "arm64"
	case 243:
		return "riscv64"
	case 21:
		return "ppc64"
	case 22:
		return "s390x"
	}
	return ""
}

// denied says what may not be used to start file, and what to do.
func denied(file string, attr *syscall.ProcAttr) string {
	who := "watchdogd's user"
	if attr.Sys != nil && attr.Sys.Credential != nil {
		who = fmt.Sprintf("user %d", attr.Sys.Credential.Uid)
	}
	if line, ok := interpreter(file); ok && unix.Access(line, unix.X_OK) != nil {
		return fmt.Sprintf("its interpreter %q may not be executed by %s: chmod +x it", line, who)
	}
	return fmt.Sprintf("%s may not execute it or enter a folder on the way, or its file system is mounted noexec: give access (chmod, chown), or move it", who)
}

// ProgramName is the name of a program without its folder and version: nginx of
// /usr/sbin/nginx, php-fpm of php-fpm8.2.
func ProgramName(word string) string {
	name := strings.TrimRight(path.Base(word), "0123456789.")
	return strings.TrimSuffix(name, "-")
}
