package modes

import (
	"net/http"
	"path"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// fallsBack reports whether a request for a path that names no file is answered by the
// route's fallback: a page of a single-page application, whose paths are its own. What a
// page loads is not: a script, a style, an image, or data that is asked for as JSON is 404
// as ever, and so is a path that is hidden.
func (s *static) fallsBack(r *http.Request, urlPath string) bool {
	if s.route.Fallback == "" {
		return false
	}
	clean := path.Clean("/" + urlPath)[1:]
	if len(clean) > mostPath || strings.ContainsRune(clean, 0) || hidden(clean) {
		return false
	}
	if names(r.Header, "text/html") {
		return true // a browser that goes there, whatever the path looks like
	}
	asset := strings.Contains(path.Base(clean), ".")
	return !asset && (len(r.Header["Accept"]) == 0 || names(r.Header, "*/*"))
}

// names reports whether Accept lists a type as one that is taken.
func names(h http.Header, kind string) bool {
	for _, value := range h["Accept"] {
		for item := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), kind) && quality(parameters) > 0 {
				return true
			}
		}
	}
	return false
}

// serveFallback answers with the fallback as a request for that file itself would be, but
// for the redirect of an index to its folder.
func (s *static) serveFallback(w http.ResponseWriter, r *http.Request, accepts encodings) {
	w.Header().Add("Vary", "Accept")
	key := fileKey{"/" + s.route.Fallback, accepts}
	if f := s.cached(key); f != nil {
		f.serve(w, r)
		return
	}
	root, err := s.folder()
	var f *file
	if err == nil {
		f, err = open(root, s.route.Fallback, accepts)
	}
	if err != nil {
		s.fail(w, r, &failure.Error{Kind: failure.NotFound, Detail: "file not found, and neither is the fallback of this route", Cause: err})
		return
	}
	defer f.close()
	s.send(w, r, key, f)
}
