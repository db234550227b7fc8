package modes

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// static is the mode that answers from a folder: files by their path, index.html for a
// folder, ranges and conditional requests as http.FileServer has them. It lists no
// folder, shows no dot-file but .well-known, and follows no link out of the root. A
// neighbour of a file that is compressed already (.br, .zst, .gz) is sent in its place to
// a client that accepts it. Small files are kept in memory and looked at again each second.
//
// Compat may have it list folders, take every method but HEAD as GET, and start without
// its root.
type static struct {
	route   *schema.Route
	compat  schema.Compat
	respond func(http.ResponseWriter, *http.Request, error)
	now     func() time.Time

	rootMu sync.Mutex
	root   *os.Root
	asked  time.Time // when root was last found to be the folder of that name
	same   fs.FileInfo

	mu    sync.RWMutex
	files map[fileKey]*file
	held  int // bytes of files: their cost
}

// mostRanges is how many parts of a file one request may ask for. Each costs the client
// four bytes and watchdogd a head of 150; the whole file is sent to those that ask for more,
// as RFC 9110, 14.2 has it.
const mostRanges = 100

// mostPath is the length of a path above which no file is looked for: PATH_MAX of Linux.
const mostPath = 4096

func newStatic(route *schema.Route, d Deps) (http.Handler, error) {
	s := &static{route: route, compat: d.Compat, respond: Responder(d.Errors, route), now: time.Now, files: map[fileKey]*file{}}
	if _, err := s.folder(); err != nil {
		if !s.compat.MissingAllowed {
			return nil, err
		}
		d.Log.Warn("files cannot be served now", "route", route.Name, "error", err)
	}
	return s, nil
}

// folder is the root. It is opened anew when another folder has taken its name, as a
// deployment does that switches a link.
func (s *static) folder() (*os.Root, error) {
	s.rootMu.Lock()
	defer s.rootMu.Unlock()
	now := s.now()
	if s.root != nil && now.Sub(s.asked) < cacheFor {
		return s.root, nil
	}
	info, err := os.Stat(s.route.Root)
	if err == nil && s.same != nil && os.SameFile(info, s.same) {
		s.asked = now
		return s.root, nil
	}
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("root %s: not a folder; name the folder that holds the files", s.route.Root)
	}
	if err != nil {
		return nil, fmt.Errorf("root: %w; make the folder, or name another", err)
	}
	root, err := os.OpenRoot(s.route.Root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	s.root, s.same, s.asked = root, info, now // the former one is closed when nothing reads in it any more, by the collector
	s.mu.Lock()
	clear(s.files)
	s.held = 0
	s.mu.Unlock()
	return root, nil
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
	case s.compat.AnyMethod:
		as := *r
		as.Method = http.MethodGet
		r = &as
	default:
		s.fail(w, r, &failure.Error{Kind: failure.Method, Allow: "GET, HEAD", Detail: "a file is only read"})
		return
	}
	if strings.Count(r.Header.Get("Range"), ",") >= mostRanges {
		delete(r.Header, "Range")
	}
	name := r.URL.Path
	key := fileKey{cleaned(name), accepted(r.Header["Accept-Encoding"])}
	if f := s.cached(key); f != nil {
		if to := f.redirect(w, r); to != "" {
			moved(w, to)
			return
		}
		f.serve(w, r)
		return
	}
	root, err := s.folder()
	if err != nil {
		e := &failure.Error{Kind: failure.Internal, Detail: "the folder of this route cannot be read", Cause: err}
		if s.compat.MissingAllowed {
			e.Kind = failure.NotFound
		}
		s.fail(w, r, e)
		return
	}
	f, err := open(root, name, key.accepts)
	if err != nil && failure.Of(err).Kind == failure.NotFound && s.fallsBack(r, name) {
		s.serveFallback(w, r, key.accepts)
		return
	}
	if err != nil {
		if s.route.Fallback != "" {
			w.Header().Add("Vary", "Accept")
		}
		if !s.compat.ListFolders || failure.Of(err).Kind != failure.NotFound || !listed(root, w, r) {
			s.fail(w, r, err)
		}
		return
	}
	defer f.close()
	if to := f.redirect(w, r); to != "" {
		moved(w, to)
		return
	}
	s.send(w, r, key, f)
}

// send answers with an open file, and keeps a small one for key.
func (s *static) send(w http.ResponseWriter, r *http.Request, key fileKey, f *file) {
	if f.size <= cacheFile {
		if kept, err := f.load(s.now()); err == nil {
			s.keep(key, kept)
			kept.serve(w, r)
			return
		}
		if _, err := f.open.Seek(0, io.SeekStart); err != nil {
			s.fail(w, r, &failure.Error{Kind: failure.Internal, Detail: "the file cannot be read", Cause: err})
			return
		}
	}
	f.head(w.Header())
	http.ServeContent(w, r, "", f.modified, f.open)
}

func (s *static) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := *failure.Of(err)
	f.Route = s.route.Name
	s.respond(w, r, &f)
}

func moved(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

// cleaned is a URL's path without empty, "." and ".." segments; a slash at its end, which
// asks for a folder, stays.
func cleaned(urlPath string) string {
	if !strings.HasPrefix(urlPath, "/") {
		urlPath = "/" + urlPath
	}
	clean := path.Clean(urlPath)
	if strings.HasSuffix(urlPath, "/") && clean != "/" {
		if len(clean)+1 == len(urlPath) {
			return urlPath // which is clean
		}
		clean += "/"
	}
	return clean
}

// file is one file, or what is kept of it.
type file struct {
	root     *os.Root
	name     string // in the root, of the file that was asked for
	sent     string // of the file that is sent: name, or its compressed neighbour
	encoding string // of that neighbour
	varies   bool   // there are neighbours
	index    bool   // the folder was asked for
	size     int64
	modified time.Time
	info     fs.FileInfo
	mime     string
	etag     string

	open    *os.File // nil when it is kept
	content []byte
	checked time.Time // guarded by static.mu
	length  []string
	types   []string
	etags   []string
	dates   []string
}

// open finds what answers a path. The error is a *failure.Error.
func open(root *os.Root, urlPath string, accepts encodings) (*file, error) {
	missing := &failure.Error{Kind: failure.NotFound, Detail: "file not found"}
	if strings.ContainsRune(urlPath, 0) {
		return nil, missing
	}
	clean := path.Clean("/" + urlPath)[1:]
	if len(clean) > mostPath || hidden(clean) {
		return nil, missing
	}
	if clean == "" {
		clean = "."
	}
	f := &file{root: root, name: clean, sent: clean}
	info, err := root.Stat(filepath.FromSlash(clean))
	if err == nil && info.IsDir() {
		f.index, f.name = true, path.Join(clean, "index.html")
		f.sent = f.name
		info, err = root.Stat(filepath.FromSlash(f.name))
	} else if err == nil && strings.HasSuffix(urlPath, "/") {
		return nil, missing // a file is not a folder
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, &failure.Error{Kind: failure.Forbidden, Detail: "the file may not be read", Cause: err}
	case err != nil:
		missing.Cause = err
		return nil, missing
	case !info.Mode().IsRegular():
		return nil, missing
	}
	for _, n := range neighbours {
		if beside, err := root.Stat(filepath.FromSlash(f.name + n.suffix)); err == nil && beside.Mode().IsRegular() {
			f.varies = true
			if accepts&n.bit != 0 && f.encoding == "" {
				f.sent, f.encoding, info = f.name+n.suffix, n.encoding, beside
			}
		}
	}
	// A pipe that took the file's place since would wait for a writer.
	f.open, err = root.OpenFile(filepath.FromSlash(f.sent), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &failure.Error{Kind: failure.Forbidden, Detail: "the file may not be read", Cause: err}
	}
	if err == nil {
		info, err = f.open.Stat()
	}
	if err != nil || !info.Mode().IsRegular() {
		f.close()
		missing.Cause = err
		return nil, missing
	}
	f.info, f.size, f.modified = info, info.Size(), info.ModTime()
	f.etag = `"` + strconv.FormatInt(f.modified.UnixNano(), 36) + "-" + strconv.FormatInt(f.size, 36) + `"`
	f.mime = mime.TypeByExtension(path.Ext(f.name))
	return f, nil
}

// hidden reports whether a part of the path is a dot-file's. .well-known is
// public (RFC 8615).
func hidden(clean string) bool {
	for part := range strings.SplitSeq(clean, "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return true
		}
	}
	return false
}

// redirect is where a client is sent that asked for a folder without its slash, or for
// its index by name; empty for any other request. It is relative, so that it holds
// wherever the folder stands.
func (f *file) redirect(w http.ResponseWriter, r *http.Request) string {
	sent := cmp.Or(call.From(r.Context()).SentPath, r.URL.EscapedPath())
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	last := sent[strings.LastIndexByte(sent, '/')+1:]
	switch {
	case f.index && last != "":
		return "./" + last + "/" + query // ./ because a name may hold a colon
	case !f.index && last == "index.html":
		return "./" + query
	}
	return ""
}

// head sets the fields that do not depend on the request.
func (f *file) head(h http.Header) {
	if f.mime != "" {
		h["Content-Type"] = []string{f.mime}
	} else if f.encoding != "" {
		h["Content-Type"] = []string{"application/octet-stream"} // what is compressed cannot be sniffed
	}
	h["Etag"] = []string{f.etag}
	if f.encoding != "" {
		h["Content-Encoding"] = []string{f.encoding}
	}
	if f.varies {
		varyByEncoding(h)
	}
}

// varyByEncoding adds to Vary what decides which neighbour is sent.
func varyByEncoding(h http.Header) {
	if h["Vary"] == nil {
		h["Vary"] = acceptEncoding
	} else {
		h.Add("Vary", "Accept-Encoding")
	}
}

var acceptEncoding = []string{"Accept-Encoding"}

func (f *file) close() {
	if f.open != nil {
		_ = f.open.Close() // it was only read
	}
}

// encodings is a set of content codings.
type encodings uint8

const (
	brotli encodings = 1 << iota
	zstandard
	gzipped
)

// neighbours are the compressed forms of a file, the one that is sent first before the
// others.
var neighbours = [...]struct {
	bit              encodings
	suffix, encoding string
}{
	{brotli, ".br", "br"},
	{zstandard, ".zst", "zstd"},
	{gzipped, ".gz", "gzip"},
}

// accepted returns the codings that Accept-Encoding names with a quality above 0
// (RFC 9110, 12.5.3).
func accepted(values []string) (set encodings) {
	var any, refused encodings
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			name, parameter, _ := strings.Cut(item, ";")
			var bit encodings
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "br":
				bit = brotli
			case "zstd":
				bit = zstandard
			case "gzip", "x-gzip":
				bit = gzipped
			case "*":
				any = brotli | zstandard | gzipped
				if refuses(parameter) {
					any = 0
				}
				continue
			}
			if refuses(parameter) {
				refused |= bit
			} else {
				set |= bit
			}
		}
	}
	return (set | any) &^ refused
}

// refuses reports whether a parameter is a quality of 0.
func refuses(parameter string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	quality, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && quality == 0
}
