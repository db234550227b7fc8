package modes

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

// application is a folder of a single-page application.
func application(t *testing.T) *folder {
	f := newFolder(t, map[string]string{"index.html": "the page", "index.html.gz": "compressed", "app.js": "script", "empty/x.txt": "x", ".git/config": "secret"})
	f.mode.route = &schema.Route{Name: "files", Mode: schema.Static, Root: f.dir, Fallback: "index.html"}
	return f
}

func TestAPathOfAnApplicationIsAnsweredByItsPage(t *testing.T) {
	f := application(t)
	for _, c := range []struct {
		target, accept string
		want           int
		body           string
	}{
		{"/users/7", browser, 200, "the page"},
		{"/users/7", "*/*", 200, "the page"},
		{"/users/7", "", 200, "the page"},
		{"/users/john.doe", browser, 200, "the page"},
		{"/empty/", browser, 200, "the page"}, // a folder without an index
		{"/empty", browser, 200, "the page"},
		{"/app.js", "*/*", 200, "script"},
		{"/", browser, 200, "the page"},
		{"/missing.js", "*/*", 404, ""},
		{"/missing.png", "image/avif,image/webp,*/*;q=0.8", 404, ""},
		{"/missing.css", "text/css,*/*;q=0.1", 404, ""},
		{"/api/users", "application/json", 404, ""},
		{"/.git/config", browser, 404, ""},
		{"/a/.hidden/b", "*/*", 404, ""},
		{"/a%00b", browser, 404, ""},
		{"/" + strings.Repeat("x", mostPath+1), browser, 404, ""},
	} {
		for range 2 { // the second comes from memory
			header := []string{}
			if c.accept != "" {
				header = []string{"Accept", c.accept}
			}
			r := f.ask("GET", c.target, header...)
			body, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != c.want || c.want == 200 && string(body) != c.body {
				t.Errorf("%.40s, Accept %q: got %d %.60q, %v, want %d %q", c.target, c.accept, r.StatusCode, body, err, c.want, c.body)
			}
			if varies := strings.Contains(strings.Join(r.Header["Vary"], ","), "Accept,") || r.Header.Get("Vary") == "Accept"; varies != (c.body == "the page" && c.target != "/" || c.want == 404) {
				t.Errorf(`%.40s, Accept %q: got Vary %q, want varies == (c.body == "the page" && c.target != "/" || c.want == 404)`, c.target, c.accept, r.Header["Vary"])
			}
		}
	}
	if r := f.ask("POST", "/users/7", "Accept", browser); r.StatusCode != 405 {
		t.Errorf("POST: got %d, want 405", r.StatusCode)
	}
	if r := f.ask("HEAD", "/users/7", "Accept", browser); r.StatusCode != 200 || r.Header.Get("Content-Length") != "8" {
		t.Errorf("HEAD: got %d with length %q, want 200 with 8", r.StatusCode, r.Header.Get("Content-Length"))
	}
}

func TestTheFallbackIsServedAsTheFileItself(t *testing.T) {
	f := application(t)
	r := f.ask("GET", "/users/7", "Accept", browser, "Accept-Encoding", "gzip")
	body, _ := io.ReadAll(r.Body) // the body says it
	if string(body) != "compressed" || r.Header.Get("Content-Encoding") != "gzip" || strings.Join(r.Header["Vary"], ", ") != "Accept, Accept-Encoding" {
		t.Errorf("got %q, %v, want the compressed neighbour", body, r.Header)
	}
	if again := f.ask("GET", "/users/8", "Accept", browser, "Accept-Encoding", "gzip", "If-None-Match", r.Header.Get("Etag")); again.StatusCode != 304 {
		t.Errorf("If-None-Match: got %d, want 304", again.StatusCode)
	}
	if part := f.ask("GET", "/users/8", "Accept", browser, "Range", "bytes=0-2"); part.StatusCode != 206 || part.Header.Get("Content-Length") != "3" {
		t.Errorf("Range: got %d with %q bytes, want 206 with 3", part.StatusCode, part.Header.Get("Content-Length"))
	}
}

func TestAFallbackThatIsGoneOrALinkOutOfTheRootIs404(t *testing.T) {
	f := application(t)
	page := filepath.Join(f.dir, "index.html")
	for _, name := range []string{page, page + ".gz"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if r := f.ask("GET", "/users/7", "Accept", browser); r.StatusCode != 404 {
		t.Errorf("without it: got %d, want 404", r.StatusCode)
	}
	outside := filepath.Join(t.TempDir(), "secret.html")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, page); err != nil {
		t.Fatal(err)
	}
	r := f.ask("GET", "/users/7", "Accept", browser)
	if body, _ := io.ReadAll(r.Body); r.StatusCode != 404 || strings.Contains(string(body), "secret") {
		t.Errorf("a link out of the root: got %d %q, want 404", r.StatusCode, body)
	}
}
