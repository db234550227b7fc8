package modes

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listed answers with the names in a folder that has no index.html, as the file server
// of net/http does and the images of of-watchdog expect: HTML, a link a line. What would
// not be served is not listed. It reports whether the path is such a folder's.
func listed(root *os.Root, w http.ResponseWriter, r *http.Request) bool {
	name := path.Clean("/" + r.URL.Path)[1:]
	if strings.ContainsRune(name, 0) || hidden(name) {
		return false
	}
	if name == "" {
		name = "."
	}
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return false
	}
	if to := (&file{index: true}).redirect(w, r); to != "" {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
		return true
	}
	var names []string
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		info, err := root.Stat(filepath.FromSlash(path.Join(name, e.Name()))) // of what a link leads to
		switch {
		case err != nil:
		case info.IsDir():
			names = append(names, e.Name()+"/")
		case info.Mode().IsRegular():
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	var page bytes.Buffer
	page.WriteString("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n")
	for _, n := range names {
		to := url.URL{Path: n} // a name may hold a colon or a question mark
		fmt.Fprintf(&page, "<a href=\"%s\">%s</a>\n", html.EscapeString(to.String()), html.EscapeString(n))
	}
	page.WriteString("</pre>\n")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page.Bytes()) // a client that does not take it has gone
	}
	return true
}
