package schema

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"github.com/watchdogd/watchdogd/schema/internal/expand"
	"github.com/watchdogd/watchdogd/schema/internal/source"
)

// absolute makes paths absolute, relative to the folder of their file.
func (l *loader) absolute(f *decode.Field, v reflect.Value) {
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			l.absolute(f, v.Index(i))
		}
		return
	}
	s, base := v.String(), l.From.Dir
	if v.Type() == reflect.TypeFor[Text]() {
		base = expand.Escape(base)
	}
	switch {
	case s == "":
	case f.Path == "address":
		v.SetString(absoluteSocket(base, s))
	case filepath.IsAbs(s):
		v.SetString(filepath.Clean(s))
	case f.Path == "pattern":
		v.SetString(path.Join(pattern.Replace(filepath.ToSlash(base)), s))
	default:
		v.SetString(filepath.Join(base, s))
	}
}

// absoluteSocket is an address in which the path of a unix socket is absolute.
func absoluteSocket(base, address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" && !filepath.IsAbs(path) {
		return "unix:" + filepath.Join(base, path)
	}
	return address
}

// pattern makes a pattern of a path that means only itself.
var pattern = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)

// plain undoes it.
var plain = strings.NewReplacer(`\\`, `\`, `\*`, "*", `\?`, "?", `\[`, "[", `\]`, "]", `\{`, "{", `\}`, "}")

// validPattern reports whether s is a pattern of files, and stands for no more than
// a thousand without {a,b}.
func validPattern(s string) bool {
	if len(s) > 4096 || !doublestar.ValidatePattern(s) {
		return false
	}
	patterns := 1
	for _, part := range strings.Split(s, "{")[1:] {
		if patterns *= 1 + strings.Count(part, ","); patterns > 1000 {
			return false
		}
	}
	return true
}

const patternHint = "* matches any name, ** any folders, ? one character, [a-z] one of a range, {a,b} either"

// shown is how an included file is called in messages: as the main file is, from
// the same folder.
func shown(main *source.Source, file string) string {
	if filepath.IsAbs(main.Name) {
		return file
	}
	if rel, err := filepath.Rel(main.Dir, file); err == nil && !strings.HasPrefix(rel, "../..") {
		return filepath.Join(filepath.Dir(main.Name), rel)
	}
	return file
}

// cause is the system's error without the path, which the message has already.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
