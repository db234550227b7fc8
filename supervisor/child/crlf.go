package child

import (
	"fmt"
	"os"
	"path"
	"strings"
)

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
