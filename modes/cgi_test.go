package modes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// sayCGI serves a program that prints text, in which a shell's printf reads \n, by
// response: cgi.
func sayCGI(t *testing.T, mode, text, more string) *site {
	t.Helper()
	return serveRoute(t, "mode: "+mode+"\nresponse: cgi\nshell: true\nfprocess: |\n  printf '"+text+"'\n"+more)
}

func TestProgramSetsStatusAndHeadersAfterItRan(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		for _, end := range []string{`\n`, `\r\n`} {
			s := sayCGI(t, mode, strings.ReplaceAll(`Status: 418 I am a teapot|content-type: text/x|Set-Cookie: a=1|Set-Cookie: b=2|X-None:|Connection: X-Hop|X-Hop: h|Transfer-Encoding: chunked||body\n\nof it`, "|", end), "")
			resp, body := s.do(t, "GET", "/", nil)
			if resp.StatusCode != 418 || body != "body\n\nof it" || resp.Header.Get("Content-Type") != "text/x" || len(resp.Header["Set-Cookie"]) != 2 {
				t.Errorf("%s: got %d %v %q, want 418, Content-Type text/x, Set-Cookie 2 and %q", mode, resp.StatusCode, resp.Header, body, "body\n\nof it")
			}
			if _, there := resp.Header["X-None"]; !there || resp.Header["X-Hop"] != nil || resp.Header["Status"] != nil {
				t.Errorf("%s: got %v, want no X-Hop, no Status and there true", mode, resp.Header)
			}
		}
	}
}

// php-cgi ends with 255 when a page is not found, and servers of CGI do not look at it.
func TestAStatusThatWasPrintedWinsOverTheExitStatus(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nresponse: cgi\nenviron: openfaas\nshell: true\nfprocess: |\n"+
				"  case $$Http_Path in /signal) printf 'Status: 404\\n\\nhalf'; kill -9 $$$$;; /head) printf 'Status: 404\\n'; exit 255;;\n"+
				"  /none) printf 'Content-Type: text/plain\\n\\nhalf'; exit 255;; *) printf 'Status: 404 Not Found\\n\\nno page'; exit 255;; esac")
			if resp, body := s.do(t, "GET", "/", nil); resp.StatusCode != 404 || body != "no page" {
				t.Errorf(`got %d %q, want 404 "no page"`, resp.StatusCode, body)
			}
			resp, body := s.do(t, "GET", "/head", nil)
			wantProblem(t, resp, body, 500, "exit-failed", "exit status 255")
			for _, path := range []string{"/signal", "/none"} {
				if mode == "serializing" {
					resp, body := s.do(t, "GET", path, nil)
					wantProblem(t, resp, body, 500, "exit-failed")
					continue
				}
				resp := s.begin(t, "GET", path, nil)
				if got, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("%s: %d %q ended as if whole", path, resp.StatusCode, got)
				}
				resp.Body.Close()
			}
		})
	}
}

func TestLocationAloneIsARedirect(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		for _, c := range []struct {
			head   string
			status int
			to     string
		}{
			{`Location: /local/path?a`, 302, "/local/path?a"},
			{`Location: https://elsewhere.example/x`, 302, "https://elsewhere.example/x"},
			{`Status: 303\nLocation: next`, 303, "next"},
			{`Status: 201 Made\nLocation: /made\nContent-Type: text/plain`, 201, "/made"},
		} {
			s := sayCGI(t, mode, c.head+`\n\nsee there`, "")
			s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			resp, body := s.do(t, "GET", "/", nil)
			if resp.StatusCode != c.status || resp.Header.Get("Location") != c.to || body != "see there" {
				t.Errorf(`%s: %s: got %d %v %q, want %d, Location %v and "see there"`, mode, c.head, resp.StatusCode, resp.Header, body, c.status, c.to)
			}
		}
	}
}

func TestMalformedHeaderBlockIs502WithItsFirstLineInTheLog(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		for name, text := range map[string]string{
			"no block":        `Traceback: none\nsecret line\n`,
			"no colon":        `secret line\n\nbody`,
			"nothing":         ``,
			"no empty line":   `Content-Type: secret line`,
			"folded":          `Content-Type: text/plain\n secret line\n\n`,
			"status":          `Status: secret line\n\n`,
			"status range":    `Status: 100\n\n`,
			"two types":       `Content-Type: a/b\nContent-Type: secret line\n\n`,
			"a space":         `X Secret: line\n\n`,
			"length":          `Content-Type: a/b\nContent-Length: -1\n\n`,
			"none of the 3":   `X-Any: secret line\n\n`,
			"split by a CR":   `X-Any: a\rSet-Cookie: secret line\n\n`,
			"a NUL":           `Content-Type: a\000b\n\n`,
			"short of length": `Content-Type: a/b\nContent-Length: 100\n\nx`,
		} {
			if name == "short of length" && mode == "streaming" {
				continue // is cut
			}
			t.Run(mode+" "+name, func(t *testing.T) {
				s := sayCGI(t, mode, text, "")
				resp, body := s.do(t, "GET", "/", nil)
				wantProblem(t, resp, body, 502, "bad-upstream")
				if strings.Contains(body, "secret") {
					t.Errorf("the caller sees what was printed: got %s, want no %q in it", body, "secret")
				}
				if strings.Contains(text, "secret line") && !strings.Contains(s.log.String(), "program's output refused") {
					t.Errorf(`the log does not say it: got %s, want !strings.Contains(text, "secret line") || strings.Contains(s.log.String(), "program's output refused")`, s.log)
				}
			})
		}
	}
	s := sayCGI(t, "serializing", `first line\nsecond\n\n`, "")
	s.do(t, "GET", "/", nil)
	if log := s.log.String(); !strings.Contains(log, "first line") {
		t.Errorf("the log lacks the first line: got %s, want %q in it", log, "first line")
	}
}

func TestShorterThanItsContentLengthIsCut(t *testing.T) {
	s := sayCGI(t, "streaming", `Content-Type: a/b\nContent-Length: 100\n\nhalf`, "")
	resp := s.begin(t, "GET", "/", nil)
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "half" || err == nil {
		t.Errorf(`got %q %v, want "half" and an error`, body, err)
	}
}

func TestCGIBodiesAreStreamed(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nresponse: cgi\nshell: true\nfprocess: |\n"+
		"  printf 'Content-Type: text/event-stream\\n\\n'; echo one; read line; echo two")
	r, w := io.Pipe()
	resp := s.begin(t, "POST", "/", r)
	defer resp.Body.Close()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, buf); string(buf) != "one\n" {
		t.Fatalf("got %q %v, want %q", buf, err, "one\n")
	}
	fmt.Fprintln(w, "go on")
	w.Close()
	if rest, err := io.ReadAll(resp.Body); string(rest) != "two\n" || err != nil {
		t.Errorf("got %q %v, want %q and no error", rest, err, "two\n")
	}
}

func TestHeaderBlockIsNeverTakenFromStderr(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nresponse: cgi\nstderr: body\nshell: true\nfprocess: |\n"+
			"  printf 'Status: 500\\n\\n' >&2; printf 'Content-Type: a/b\\n\\n'; echo body")
		resp, body := s.do(t, "GET", "/", nil)
		if resp.StatusCode != 200 || !strings.Contains(body, "Status: 500\n\n") || !strings.Contains(body, "body\n") {
			t.Errorf("%s: got %d %q, want 200, %q in it and %q in it", mode, resp.StatusCode, body, "Status: 500\n\n", "body\n")
		}
	}
}

func TestNoBodyIsSentWhereNoneIsAllowed(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := sayCGI(t, mode, `Status: 204\nContent-Type: a/b\nContent-Length: 4\n\nbody`, "")
		if resp, body := s.do(t, "GET", "/", nil); resp.StatusCode != 204 || body != "" {
			t.Errorf(`%s: got %d %q, want 204 ""`, mode, resp.StatusCode, body)
		}
		s = sayCGI(t, mode, `Content-Type: a/b\nContent-Length: 4\n\nbody`, "")
		if resp, body := s.do(t, "HEAD", "/", nil); resp.StatusCode != 200 || body != "" || resp.ContentLength != 4 {
			t.Errorf(`%s: got %d %q %d, want 200 "" 4`, mode, resp.StatusCode, body, resp.ContentLength)
		}
	}
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must install %s", program)
		}
		t.Skipf("needs %s, which is not installed", program)
	}
}

func TestGitHTTPBackendServesCloneAndPush(t *testing.T) {
	need(t, "git")
	root := t.TempDir()
	git := func(dir string, args ...string) string {
		t.Helper()
		c := exec.Command("git", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "HOME="+root,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: got %v: %s, want no error", args, err, out)
		}
		return string(out)
	}
	if err := exec.Command("git", "http-backend", "--help").Run(); err != nil {
		t.Log("git http-backend may be missing:", err)
	}
	git(root, "init", "--quiet", "--bare", "repo.git")
	git(filepath.Join(root, "repo.git"), "config", "http.receivepack", "true")
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nfprocess: git http-backend\nenviron: cgi\nresponse: cgi\n"+
				"env: {GIT_PROJECT_ROOT: "+root+", GIT_HTTP_EXPORT_ALL: '1'}")
			url := s.URL + "/repo.git"
			work := filepath.Join(root, mode)
			git(root, "clone", "--quiet", url, work)
			big := make([]byte, 3<<20) // more than http.postBuffer: a chunked push, after a probe
			for i := range big {
				big[i] = byte(i * i >> 7)
			}
			if err := os.WriteFile(filepath.Join(work, mode), append(big, mode...), 0o644); err != nil {
				t.Fatal(err)
			}
			git(work, "add", "-A")
			git(work, "-c", "core.compression=0", "commit", "--quiet", "-m", "one")
			git(work, "-c", "core.compression=0", "-c", "pack.compression=0", "push", "--quiet", "origin", "HEAD")
			again := filepath.Join(root, mode+"-again")
			git(root, "clone", "--quiet", url, again)
			if got, err := os.ReadFile(filepath.Join(again, mode)); err != nil || !bytes.Equal(got, append(big, mode...)) {
				t.Errorf("got %d bytes, %v, want no error, and bytes.Equal(got, append(big, mode...))", len(got), err)
			}
			if log := git(again, "log", "--oneline"); !strings.Contains(log, "one") {
				t.Errorf("got %v, want %q in it", log, "one")
			}
		})
	}
}

func TestPHPServesAPageWithAForm(t *testing.T) {
	need(t, "php-cgi")
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nfprocess: php-cgi -d cgi.force_redirect=0\nenviron: cgi\nresponse: cgi")
			page := `<?php http_response_code(isset($_POST["name"]) ? 201 : 200); setcookie("a", "1"); setcookie("b", "2");
				if (isset($_GET["go"])) { header("Location: /there"); exit; }
				echo ($_POST["name"] ?? "form"), "|", $_FILES["file"]["size"] ?? "none", "|", $_SERVER["REQUEST_METHOD"], "|", $_SERVER["QUERY_STRING"];`
			if err := os.WriteFile(filepath.Join(s.dir, "form.php"), []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
			resp, body := s.do(t, "GET", "/form.php?x=1", nil)
			if resp.StatusCode != 200 || body != "form|none|GET|x=1" || len(resp.Header["Set-Cookie"]) != 2 {
				t.Errorf("got %d %v %q, want 200, Set-Cookie 2 and %q", resp.StatusCode, resp.Header, body, "form|none|GET|x=1")
			}
			if resp, body = s.do(t, "GET", "/nowhere.php", nil); resp.StatusCode != 404 || !strings.Contains(body, "No input file") {
				t.Errorf("got %d %q, want 404 and %q in it", resp.StatusCode, body, "No input file")
			}
			resp, body = s.do(t, "POST", "/form.php", strings.NewReader("name=Ann"), "Content-Type", "application/x-www-form-urlencoded")
			if resp.StatusCode != 201 || body != "Ann|none|POST|" {
				t.Errorf("got %d %q, want 201 %q", resp.StatusCode, body, "Ann|none|POST|")
			}
			typ, form := testkit.Form(t, "name", "Bob", "file@a.txt", strings.Repeat("x", 100_000))
			if resp, body = s.do(t, "POST", "/form.php", form, "Content-Type", typ); resp.StatusCode != 201 || body != "Bob|100000|POST|" {
				t.Errorf("got %d %q, want 201 %q", resp.StatusCode, body, "Bob|100000|POST|")
			}
			s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if resp, _ = s.do(t, "GET", "/form.php?go", nil); resp.StatusCode != 302 || resp.Header.Get("Location") != "/there" {
				t.Errorf("got %d %v, want 302 and Location %q", resp.StatusCode, resp.Header, "/there")
			}
		})
	}
}
