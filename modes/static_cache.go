package modes

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// cacheFile is the size up to which a file is kept in memory. cacheAll bounds all that
	// is kept: contents, names, and cacheEach for the rest of each file.
	cacheFile = 64 << 10
	cacheAll  = 32 << 20
	cacheEach = 1 << 10
	// cacheFor is how long a file is served without looking whether it has changed.
	cacheFor = time.Second
)

// fileKey is what decides which file answers. Its path is cleaned: what a client may write
// for one file in any number of ways is kept once.
type fileKey struct {
	path    string
	accepts encodings
}

// load returns the file with its content in memory.
func (f *file) load(now time.Time) (*file, error) {
	content := make([]byte, f.size)
	if _, err := io.ReadFull(f.open, content); err != nil {
		return nil, err
	}
	kept := *f
	kept.open, kept.content, kept.checked = nil, content, now
	kept.name, kept.sent = strings.Clone(f.name), strings.Clone(f.sent) // parts of the path as it was sent
	if kept.mime == "" && kept.encoding == "" {
		kept.mime = http.DetectContentType(content)
	}
	h := http.Header{}
	kept.head(h)
	kept.types, kept.etags = h["Content-Type"], h["Etag"]
	kept.length = []string{strconv.Itoa(len(content))}
	kept.dates = []string{kept.modified.UTC().Format(http.TimeFormat)}
	return &kept, nil
}

// conditions are the fields that make an answer something else than the whole file.
var conditions = [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range"}

// serve answers from memory.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, name := range conditions {
		if r.Header[name] != nil {
			f.head(h)
			http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.content))
			return
		}
	}
	h["Content-Type"], h["Etag"] = f.types, f.etags
	h["Content-Length"], h["Last-Modified"] = f.length, f.dates
	h["Accept-Ranges"] = bytesUnit
	if f.encoding != "" {
		h["Content-Encoding"] = []string{f.encoding}
	}
	if f.varies {
		varyByEncoding(h)
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.content) // a client that does not take it has gone
	}
}

var bytesUnit = []string{"bytes"}

// cached returns what is kept for key, if it is still what the folder holds.
func (s *static) cached(key fileKey) *file {
	s.mu.RLock()
	f := s.files[key]
	fresh := f != nil && s.now().Sub(f.checked) < cacheFor
	s.mu.RUnlock()
	if f == nil || fresh {
		return f
	}
	root, err := s.folder()
	if err == nil && root == f.root {
		info, err := root.Stat(filepath.FromSlash(f.sent))
		if err == nil && os.SameFile(info, f.info) && info.Size() == f.size && info.ModTime().Equal(f.modified) && f.alone(root, key.accepts) {
			s.mu.Lock()
			f.checked = s.now()
			s.mu.Unlock()
			return f
		}
	}
	s.mu.Lock()
	if s.files[key] == f {
		delete(s.files, key)
		s.held -= f.cost(key)
	}
	s.mu.Unlock()
	return nil
}

// alone reports whether no neighbour came that would be sent in the file's place, and
// none that makes the answer vary.
func (f *file) alone(root *os.Root, accepts encodings) bool {
	varies := false
	for _, n := range neighbours {
		if beside, err := root.Stat(filepath.FromSlash(f.name + n.suffix)); err == nil && beside.Mode().IsRegular() {
			varies = true
			if accepts&n.bit != 0 {
				return f.encoding == n.encoding
			}
		}
	}
	return varies == f.varies && f.encoding == ""
}

// cost is what a file that is kept for key counts for in cacheAll.
func (f *file) cost(key fileKey) int {
	return len(f.content) + len(key.path) + len(f.name) + len(f.sent) + cacheEach
}

func (s *static) keep(key fileKey, f *file) {
	key.path = strings.Clone(key.path) // it may be part of a far longer one
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.files[key]; old != nil {
		s.held -= old.cost(key)
		delete(s.files, key)
	}
	cost := f.cost(key)
	for other, o := range s.files { // a map's order is as good as any for what leaves
		if s.held+cost <= cacheAll {
			break
		}
		s.held -= o.cost(other)
		delete(s.files, other)
	}
	s.files[key] = f
	s.held += cost
}
