package modes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestJSONFormIsOneObject(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nform: json\nshell: true\nfprocess: 'echo $$Http_Content_Type $$Http_Content_Length; cat'")
		binary := "\xff\x00\x80" + strings.Repeat("\xfe", 70<<10)
		typ, body := testkit.Form(t, "b", "one", "file@a \"b\".txt", "text \"quoted\"\n\x01ä", "b", "two\r\n", "file@b.bin", binary, "a", "", "empty@", "")
		_, got := s.do(t, "POST", "/", body, "Content-Type", typ)
		head, object, _ := strings.Cut(got, "\n")
		if want := fmt.Sprintf("application/json %d", len(object)); head != want {
			t.Errorf("got variables %q, want %q", head, want)
		}
		want := `{"b":[{"value":"one"},{"value":"two\r\n"}],` +
			`"file":[{"filename":"a \"b\".txt","type":"application/octet-stream","size":17,"text":"text \"quoted\"\n\u0001ä"},` +
			`{"filename":"b.bin","type":"application/octet-stream","size":71683,"base64":"` + base64.StdEncoding.EncodeToString([]byte(binary)) + `"}],` +
			`"a":[{"value":""}],"empty":[{"filename":"","type":"application/octet-stream","size":0,"text":""}]}` + "\n"
		if object != want {
			t.Errorf("got %.400s\nwant %.400s", object, want)
		}
		if !json.Valid([]byte(object)) {
			t.Error("it is no JSON")
		}
	}
}

func TestFilesFormIsADirectoryAndVariables(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nform: files\nshell: true\nfprocess: |\n"+
			`  stat -c '%a' "$$FORM_DIR"; ls "$$FORM_DIR"; echo "$$FORM_name $$FORM_name_2 $$FORM_a_b [$$FORM_blank]"; cat "$$FORM_up" "$$FORM_up_2"; echo "$$FORM_DIR" >dir; wc -c`)
		typ, body := testkit.Form(t, "name", "Ann", "name", "Bob", "a-b", "c d", "up@../../etc/passwd", "first\n", "up@passwd", "second\n", "blank@", "")
		_, got := s.do(t, "POST", "/", body, "Content-Type", typ)
		want := "700\na-b\nname\nname-2\npasswd\npasswd-2\nAnn Bob c d []\nfirst\nsecond\n0\n"
		if got != want {
			t.Errorf("%s: got %q, want %q", mode, got, want)
		}
		s.close(t)
		dir, _ := os.ReadFile(filepath.Join(s.dir, "dir"))
		if _, err := os.Stat(strings.TrimSpace(string(dir))); len(dir) < 2 || !os.IsNotExist(err) {
			t.Errorf("%s: %q is still there: %v", mode, dir, err)
		}
	}
}

func TestNothingOfAFormIsLeft(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, mode := range []string{"streaming", "serializing"} {
		for _, form := range []string{"json", "files"} {
			for name, program := range map[string]string{
				"ends":            `true`,
				"fails":           `exit 3`,
				"is killed":       `kill -9 $$$$`,
				"closes its door": `[ -z "$$FORM_DIR" ] || { mkdir "$$FORM_DIR/d"; touch "$$FORM_DIR/d/f"; chmod 0 "$$FORM_DIR/d" "$$FORM_DIR"; }`,
			} {
				s := serveRoute(t, "mode: "+mode+"\nform: "+form+"\nshell: true\nfprocess: |\n  "+program)
				typ, body := testkit.Form(t, "up@a", strings.Repeat("x", 2<<20))
				whole := body.String()
				s.do(t, "POST", "/", strings.NewReader(whole), "Content-Type", typ)

				resp, text := s.do(t, "POST", "/", strings.NewReader(whole[:1<<20]), "Content-Type", typ)
				wantProblem(t, resp, text, 400, "malformed")
				s.limit = int64(len(whole)) - 1000 // net/http, which serves here, resets a caller who goes on sending much
				resp, text = s.do(t, "POST", "/", strings.NewReader(whole), "Content-Type", typ)
				wantProblem(t, resp, text, 413)
				s.close(t)
				if left, _ := os.ReadDir(tmp); len(left) > 0 {
					t.Fatalf("%s %s, the program %s: %v is left", mode, form, name, left)
				}
			}
		}
	}
}

func TestMalformedFormIs400AndItsProgramNeverStarted(t *testing.T) {
	for _, form := range []string{"json", "files"} {
		s := serveRoute(t, "mode: streaming\nform: "+form+"\nshell: true\nfprocess: 'echo x >started'")
		head := "Content-Type"
		for name, c := range map[string][2]string{
			"no boundary":    {"multipart/form-data", "x"},
			"long boundary":  {"multipart/form-data; boundary=" + strings.Repeat("b", 71), "x"},
			"no part":        {"multipart/form-data; boundary=b", "nothing"},
			"no name":        {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"},
			"no disposition": {"multipart/form-data; boundary=b", "--b\r\nX: y\r\n\r\nx\r\n--b--\r\n"},
			"no end":         {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"},
			"empty":          {"multipart/form-data; boundary=b", " "},
		} {
			resp, body := s.do(t, "POST", "/", strings.NewReader(c[1]), head, c[0])
			if resp.StatusCode != 400 {
				t.Errorf("%s, %s: got %d %s, want 400", form, name, resp.StatusCode, body)
			}
		}
		s.close(t)
		if _, err := os.Stat(filepath.Join(s.dir, "started")); err == nil {
			t.Errorf("%s: the program was started", form)
		}
	}
}

func TestFormThatVariablesCannotCarryIs413(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nform: files\nfprocess: 'true'")
	typ, body := testkit.Form(t, "a", strings.Repeat("x", 200<<10))
	resp, text := s.do(t, "POST", "/", body, "Content-Type", typ)
	wantProblem(t, resp, text, 413)
	var many []string
	for range 1001 {
		many = append(many, "a", "")
	}
	typ, body = testkit.Form(t, many...)
	resp, text = s.do(t, "POST", "/", body, "Content-Type", typ)
	wantProblem(t, resp, text, 413)
}

func TestABodyThatIsNotAFormIsPassedUnchanged(t *testing.T) {
	for _, form := range []string{"json", "files"} {
		s := serveRoute(t, "mode: streaming\nform: "+form+"\nshell: true\nfprocess: 'echo $$Http_Content_Type $$FORM_DIR; cat'")
		if _, got := s.do(t, "POST", "/", strings.NewReader("a=b"), "Content-Type", "text/plain"); got != "text/plain\na=b" {
			t.Errorf("%s: got %q, want %q", form, got, "text/plain\na=b")
		}
	}
}
