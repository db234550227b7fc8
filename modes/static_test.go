package modes

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// folder is a static mode over files given as name and content, with a clock that
// stands still.
type folder struct {
	t    *testing.T
	dir  string
	mode *static
	now  time.Time
}

func newFolder(t *testing.T, files map[string]string) *folder {
	t.Helper()
	f := &folder{t: t, dir: t.TempDir(), now: time.Unix(1_700_000_000, 0)}
	for name, content := range files {
		f.write(name, content)
	}
	f.open(f.dir)
	return f
}

func (f *folder) open(root string) {
	f.t.Helper()
	handler, err := newStatic(&schema.Route{Name: "files", Mode: schema.Static, Root: root}, Deps{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.mode = handler.(*static)
	f.mode.now = func() time.Time { return f.now }
	f.mode.asked = f.now
}

func (f *folder) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) ask(method, target string, header ...string) *http.Response {
	f.t.Helper()
	r := httptest.NewRequest(method, "http://localhost/", nil)
	u, err := r.URL.Parse("http://localhost" + target)
	if err != nil {
		f.t.Fatal(err)
	}
	r.URL, r.RequestURI = u, target
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.mode.ServeHTTP(w, r)
	return w.Result()
}

// want checks an answer; an empty body is any.
func (f *folder) want(r *http.Response, status int, body string) {
	f.t.Helper()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || body != "" && string(got) != body {
		f.t.Errorf("%d %.100q (%v), want %d %.100q", r.StatusCode, got, err, status, body)
	}
}

func TestStaticServesFilesAndIndexes(t *testing.T) {
	f := newFolder(t, map[string]string{"a.txt": "a", "sub/index.html": "<p>index", "big.bin": strings.Repeat("x", cacheFile+1), "none": "<html>"})
	for range 2 { // from the file, then from memory
		r := f.ask("GET", "/a.txt")
		f.want(r, 200, "a")
		if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.Header.Get("Content-Length") != "1" || r.Header.Get("Etag") == "" || r.Header.Get("Last-Modified") == "" {
			t.Errorf("got %v, want Content-Type %q, Content-Length 1, Etag set and Last-Modified set", r.Header, "text/plain; charset=utf-8")
		}
		f.want(f.ask("GET", "/sub/"), 200, "<p>index")
		f.want(f.ask("HEAD", "/a.txt"), 200, "")
		f.want(f.ask("GET", "/big.bin"), 200, strings.Repeat("x", cacheFile+1))
		if r := f.ask("GET", "/none"); r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("sniffed: got %v, want Content-Type %q", r.Header, "text/html; charset=utf-8")
		}
	}
	for target, to := range map[string]string{"/sub": "./sub/", "/sub?x=1": "./sub/?x=1", "/sub/index.html": "./"} {
		if r := f.ask("GET", target); r.StatusCode != 301 || r.Header.Get("Location") != to {
			t.Errorf("%s: got %d %q, want %q", target, r.StatusCode, r.Header.Get("Location"), to)
		}
	}
	f.want(f.ask("GET", "/"), 404, "") // no index, and no listing
	f.want(f.ask("GET", "/a.txt/"), 404, "")
	f.want(f.ask("GET", "/missing"), 404, "")
}

func TestStaticTakesGetAndHeadOnly(t *testing.T) {
	f := newFolder(t, map[string]string{"a.txt": "a"})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if r := f.ask(method, "/a.txt"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d %v, want 405 and Allow %q", method, r.StatusCode, r.Header, "GET, HEAD")
		}
	}
}

func TestStaticOfAnImageIsTheFileServerOfOfWatchdog(t *testing.T) {
	f := newFolder(t, map[string]string{"a.txt": "a", "sub/<b>&: c?.txt": "b", "sub/.hidden": "h", "sub/deep/x": "x", "index/index.html": "i", ".env": "secret"})
	if err := os.Symlink("/etc", filepath.Join(f.dir, "sub", "out")); err != nil {
		t.Fatal(err)
	}
	f.mode.compat = schema.CompatOf("openfaas")
	const begin, end = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n", "</pre>\n"
	page := begin + "<a href=\"%3Cb%3E&amp;:%20c%3F.txt\">&lt;b&gt;&amp;: c?.txt</a>\n<a href=\"deep/\">deep/</a>\n" + end
	page = strings.Replace(page, `href="%3Cb`, `href="./%3Cb`, 1) // for the colon
	for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
		f.want(f.ask(method, "/a.txt"), 200, "a")
		r := f.ask(method, "/sub/")
		f.want(r, 200, page)
		if r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("got %v, want Content-Type %q", r.Header, "text/html; charset=utf-8")
		}
	}
	f.want(f.ask("GET", "/"), 200, begin+"<a href=\"a.txt\">a.txt</a>\n<a href=\"index/\">index/</a>\n<a href=\"sub/\">sub/</a>\n"+end)
	if r := f.ask("HEAD", "/sub/"); r.StatusCode != 200 || r.ContentLength != int64(len(page)) {
		t.Errorf("got %d %v %v, want 200 %v", r.StatusCode, r.Header, r.ContentLength, int64(len(page)))
	}
	f.want(f.ask("GET", "/index/"), 200, "i")
	for target, to := range map[string]string{"/sub": "./sub/", "/index": "./index/", "/index/index.html": "./"} {
		if r := f.ask("POST", target); r.StatusCode != 301 || r.Header.Get("Location") != to {
			t.Errorf("%s: got %d %q, want %q", target, r.StatusCode, r.Header.Get("Location"), to)
		}
	}
	for _, target := range []string{"/missing", "/.env", "/sub/.hidden", "/sub/out/", "/a.txt/", "/..%2f"} {
		if r := f.ask("GET", target); r.StatusCode != 404 && target != "/..%2f" {
			t.Errorf(`%s: got %d, want r.StatusCode == 404 || target == "/..%%2f"`, target, r.StatusCode)
		}
	}
}

func TestStaticOfAnImageMayBeMissingAtFirst(t *testing.T) {
	f := newFolder(t, nil)
	root := filepath.Join(f.dir, "later")
	route := &schema.Route{Name: "files", Mode: schema.Static, Root: root}
	handler, err := New(route, Deps{Errors: "openfaas", Compat: schema.CompatOf("openfaas")})
	if err != nil {
		t.Fatal(err)
	}
	f.mode = handler.(*static)
	f.want(f.ask("GET", "/a.txt"), 404, "")
	f.write("later/a.txt", "a")
	f.want(f.ask("GET", "/a.txt"), 200, "a")
}

func TestStaticNeverLeavesItsRoot(t *testing.T) {
	f := newFolder(t, map[string]string{"pub/a.txt": "a", "secret": "s"})
	for name, to := range map[string]string{"out": f.dir + "/secret", "up": "../secret", "in": "a.txt", "dir": f.dir} {
		if err := os.Symlink(to, filepath.Join(f.dir, "pub", name)); err != nil {
			t.Fatal(err)
		}
	}
	f.open(filepath.Join(f.dir, "pub"))
	for _, target := range []string{"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/x/..%2f..%2fsecret", "/out", "/up", "/dir/secret", "/..\\secret", "/a.txt%00", "//../secret"} {
		f.want(f.ask("GET", target), 404, "")
	}
	f.want(f.ask("GET", "/in"), 200, "a") // a link inside
}

func TestStaticHidesDotFiles(t *testing.T) {
	f := newFolder(t, map[string]string{".env": "SECRET", ".git/config": "c", "a/.htpasswd": "h", ".well-known/security.txt": "w", ".well-known/.x": "x"})
	for _, target := range []string{"/.env", "/%2eenv", "/.git/config", "/a/.htpasswd", "/.well-known/.x"} {
		f.want(f.ask("GET", target), 404, "")
	}
	f.want(f.ask("GET", "/.well-known/security.txt"), 200, "w")
}

func TestStaticRangesAndConditions(t *testing.T) {
	f := newFolder(t, map[string]string{"a.txt": "0123456789", "big": strings.Repeat("0123456789", 10000)})
	for range 2 {
		for _, name := range []string{"/a.txt", "/big"} {
			r := f.ask("GET", name, "Range", "bytes=2-4")
			f.want(r, 206, "234")
			f.want(f.ask("GET", name, "Range", "bytes=1000000-"), 416, "")
			etag, date := r.Header.Get("Etag"), r.Header.Get("Last-Modified")
			f.want(f.ask("GET", name, "If-None-Match", etag), 304, "")
			f.want(f.ask("GET", name, "If-Modified-Since", date), 304, "")
			f.want(f.ask("GET", name, "If-Match", `"other"`), 412, "")
			f.want(f.ask("GET", name, "Range", "bytes=2-4", "If-Range", etag), 206, "234")
		}
	}
}

func TestStaticSendsTheWholeFileForTooManyRanges(t *testing.T) {
	big := strings.Repeat("0123456789", 10000)
	f := newFolder(t, map[string]string{"a.txt": "0123456789", "big": big})
	for name, whole := range map[string]string{"/a.txt": "0123456789", "/big": big} {
		for range 2 {
			f.want(f.ask("GET", name, "Range", "bytes=0-0"+strings.Repeat(",", mostRanges)), 200, whole)
			f.want(f.ask("GET", name, "Range", "bytes=0-0"+strings.Repeat(",1-1", mostRanges)), 200, whole)
		}
	}
	f.want(f.ask("GET", "/big", "Range", "bytes=0-0"+strings.Repeat(",1-1", mostRanges-1)), 206, "")
}

// Segments of a path that no file can have are not taken apart.
func TestStaticLooksForNoFileWithALongPath(t *testing.T) {
	f := newFolder(t, map[string]string{"a/b": "x"})
	f.want(f.ask("GET", "/a/"+strings.Repeat("../a/", 10_000)+"b"), 200, "x")
	target := strings.Repeat("/a", 400_000)
	f.mode.respond = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(404) }
	r := httptest.NewRequest("GET", target, nil)
	w := httptest.NewRecorder()
	if got := testkit.Allocated(func() { f.mode.ServeHTTP(w, r) })["bytes"]; w.Code != 404 || got > uint64(4*len(target)) {
		t.Errorf("got %d with %d bytes allocated for a path of %d, want 404 with at most %d", w.Code, got, len(target), 4*len(target))
	}
}

func TestStaticSendsCompressedNeighbours(t *testing.T) {
	f := newFolder(t, map[string]string{"a.js": "plain", "a.js.gz": "GZ", "a.js.br": "BR"})
	for range 2 {
		for accept, want := range map[string]string{
			"": "plain", "gzip": "GZ", "br": "BR", "gzip, br": "BR", "br;q=0, gzip": "GZ", "*": "BR",
			"gzip;q=0": "plain", "identity": "plain", "zstd": "plain", "*;q=0": "plain", "GZIP": "GZ", "gzip;q=0.5": "GZ",
		} {
			var header []string
			if accept != "" {
				header = []string{"Accept-Encoding", accept}
			}
			r := f.ask("GET", "/a.js", header...)
			f.want(r, 200, want)
			if r.Header.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") {
				t.Errorf("%q: got %v, want Vary Accept-Encoding and Content-Type %q at its start", accept, r.Header, "text/javascript")
			}
			coding := map[string]string{"GZ": "gzip", "BR": "br"}[want]
			if r.Header.Get("Content-Encoding") != coding {
				t.Errorf("%q: got coding %q, want %q", accept, r.Header.Get("Content-Encoding"), coding)
			}
		}
	}
}

// What is kept is looked at again after a second.
func TestStaticNoticesChanges(t *testing.T) {
	f := newFolder(t, map[string]string{"a.txt": "one", "gone": "x"})
	f.want(f.ask("GET", "/a.txt"), 200, "one")
	f.want(f.ask("GET", "/gone"), 200, "x")
	f.write("a.txt", "second")
	if err := os.Remove(filepath.Join(f.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	f.want(f.ask("GET", "/a.txt"), 200, "one")
	f.now = f.now.Add(cacheFor)
	f.want(f.ask("GET", "/a.txt"), 200, "second")
	f.want(f.ask("GET", "/gone"), 404, "")
	f.write("a.txt.gz", "GZ")
	f.now = f.now.Add(cacheFor)
	f.want(f.ask("GET", "/a.txt", "Accept-Encoding", "gzip"), 200, "GZ")
	if r := f.ask("GET", "/a.txt"); r.Header.Get("Vary") == "" {
		t.Error("a neighbour came, and the answer does not say that it varies")
	}
}

// A deployment that switches a link is seen.
func TestStaticFollowsItsRootsName(t *testing.T) {
	f := newFolder(t, map[string]string{"1/v": "1", "2/v": "2"})
	link := filepath.Join(f.dir, "current")
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	f.open(link)
	f.want(f.ask("GET", "/v"), 200, "1")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("2", link); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(cacheFor)
	f.want(f.ask("GET", "/v"), 200, "2")
}

func TestStaticKeepsABoundedAmount(t *testing.T) {
	for _, kept := range []struct{ content, path int }{{cacheFile, 10}, {0, 10}, {0, 4000}} {
		f := newFolder(t, nil)
		for n := range 2 * cacheAll / (kept.content + kept.path + cacheEach) {
			key := fileKey{path: fmt.Sprintf("/%0*d", kept.path, n)}
			f.mode.keep(key, &file{content: make([]byte, kept.content)})
		}
		sum := 0
		for key, file := range f.mode.files {
			sum += file.cost(key)
		}
		if f.mode.held != sum || sum > cacheAll || sum < cacheAll/2 {
			t.Errorf("contents of %d bytes, paths of %d: got %d bytes kept, counted as %d, want up to %d", kept.content, kept.path, sum, f.mode.held, cacheAll)
		}
	}
}

func TestStaticKeepsAFileOnceHoweverItIsAskedFor(t *testing.T) {
	f := newFolder(t, map[string]string{"empty.txt": "", "sub/index.html": "<p>index"})
	long := strings.Repeat("x", 200<<10)
	for n := range 50 {
		f.want(f.ask("GET", fmt.Sprintf("/%d%s/../empty.txt", n, long)), 200, "")
		f.want(f.ask("GET", fmt.Sprintf("/%s%%2e", strings.Repeat("./", n))+"/empty.txt"), 200, "")
		f.want(f.ask("GET", "/sub"+strings.Repeat("/", n+1)), 200, "<p>index")
		f.want(f.ask("GET", "/missing/../sub/%69ndex.html"), 200, "<p>index")
	}
	if got := len(f.mode.files); got != 3 {
		t.Errorf("got %d files kept, want /empty.txt, /sub/ and /sub/index.html", got)
	}
	if f.mode.held > 4*cacheEach {
		t.Errorf("got %d bytes kept for three small files", f.mode.held)
	}
	// What is kept does not answer for a path that is redirected.
	if r := f.ask("GET", "/sub/index.html"); r.StatusCode != 301 {
		t.Errorf("/sub/index.html: got %d, want 301", r.StatusCode)
	}
	f.want(f.ask("GET", "/empty.txt/"), 404, "")
}

func TestStaticWithoutItsFolderIsRefused(t *testing.T) {
	for _, root := range []string{"/nowhere/at/all", os.Args[0]} {
		if _, err := newStatic(&schema.Route{Name: "files", Root: root}, Deps{}); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("%s: got %v, want err != nil && strings.Contains(err.Error(), root)", root, err)
		}
	}
}
