package modes

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// formOf gives a form of pairs: a name and a value, or name@filename and a content.
func formOf(t testing.TB, pairs ...string) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for i := 0; i < len(pairs); i += 2 {
		var part io.Writer
		var err error
		if name, file, ok := strings.Cut(pairs[i], "@"); ok {
			part, err = w.CreateFormFile(name, file)
		} else {
			part, err = w.CreateFormField(name)
		}
		if err == nil {
			_, err = io.WriteString(part, pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}

func TestJSONFormIsOneObject(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nform: json\nshell: true\nfprocess: 'echo $$Http_Content_Type $$Http_Content_Length; cat'")
		binary := "\xff\x00\x80" + strings.Repeat("\xfe", 70<<10)
		typ, body := formOf(t, "b", "one", "file@a \"b\".txt", "text \"quoted\"\n\x01ä", "b", "two\r\n", "file@b.bin", binary, "a", "", "empty@", "")
		_, got := s.do(t, "POST", "/", body, "Content-Type", typ)
		head, object, _ := strings.Cut(got, "\n")
		if want := fmt.Sprintf("application/json %d", len(object)); head != want {
			t.Errorf("variables %q, want %q", head, want)
		}
		want := `{"b":[{"value":"one"},{"value":"two\r\n"}],` +
			`"file":[{"filename":"a \"b\".txt","type":"application/octet-stream","size":17,"text":"text \"quoted\"\n\u0001ä"},` +
			`{"filename":"b.bin","type":"application/octet-stream","size":71683,"base64":"` + base64.StdEncoding.EncodeToString([]byte(binary)) + `"}],` +
			`"a":[{"value":""}],"empty":[{"filename":"","type":"application/octet-stream","size":0,"text":""}]}` + "\n"
		if object != want {
			t.Errorf("%.400s\nwant %.400s", object, want)
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
		typ, body := formOf(t, "name", "Ann", "name", "Bob", "a-b", "c d", "up@../../etc/passwd", "first\n", "up@passwd", "second\n", "blank@", "")
		_, got := s.do(t, "POST", "/", body, "Content-Type", typ)
		want := "700\na-b\nname\nname-2\npasswd\npasswd-2\nAnn Bob c d []\nfirst\nsecond\n0\n"
		if got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
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
				typ, body := formOf(t, "up@a", strings.Repeat("x", 2<<20))
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
				t.Errorf("%s, %s: %d %s", form, name, resp.StatusCode, body)
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
	typ, body := formOf(t, "a", strings.Repeat("x", 200<<10))
	resp, text := s.do(t, "POST", "/", body, "Content-Type", typ)
	wantProblem(t, resp, text, 413)
	var many []string
	for range maxParts + 1 {
		many = append(many, "a", "")
	}
	typ, body = formOf(t, many...)
	resp, text = s.do(t, "POST", "/", body, "Content-Type", typ)
	wantProblem(t, resp, text, 413)
}

func TestWhatIsNoFormIsPassedAsItCame(t *testing.T) {
	for _, form := range []string{"json", "files"} {
		s := serveRoute(t, "mode: streaming\nform: "+form+"\nshell: true\nfprocess: 'echo $$Http_Content_Type $$FORM_DIR; cat'")
		if _, got := s.do(t, "POST", "/", strings.NewReader("a=b"), "Content-Type", "text/plain"); got != "text/plain\na=b" {
			t.Errorf("%s: %q", form, got)
		}
	}
}

// formHead is a form of n parts whose heads are written by head.
func formHead(n int, head func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("--b\r\n" + head(i) + "\r\n\r\nx\r\n")
	}
	return b.String() + "--b--\r\n"
}

func TestWhatIsKeptOfAFormsHeadsHasABound(t *testing.T) {
	disposition := func(name string) string { return "Content-Disposition: form-data; name=" + name }
	long := strings.Repeat("n", 60<<10)
	for what, text := range map[string]string{
		"one long name":          formHead(1, func(int) string { return disposition(long + long) }),
		"many names":             formHead(20, func(i int) string { return disposition(fmt.Sprint(long, i)) }),
		"one name again":         formHead(20, func(int) string { return disposition(long) }),
		"types":                  formHead(20, func(int) string { return disposition("a") + "\r\nContent-Type: " + long }),
		"many fields":            formHead(1, func(int) string { return disposition("a") + strings.Repeat("\r\nX: y", 20<<10) }),
		"what precedes the form": strings.Repeat("x\r\n", maxPartHead) + "--b--\r\n",
	} {
		for name, read := range map[string]func(io.Reader) error{
			"json": func(r io.Reader) error {
				object, err := jsonForm(r, "b")
				if err == nil {
					object.Free()
				}
				return err
			},
			"files": func(r io.Reader) error {
				_, remove, err := filesForm(r, "b", nil)
				if err == nil {
					remove()
				}
				return err
			},
		} {
			source := &counting{r: strings.NewReader(text)}
			if err := read(source); err == nil || failure.Of(err).Kind != failure.BodyTooLarge {
				t.Errorf("%s, %s: got %v, want a body that is too large", name, what, err)
			}
			if most := maxHeads + maxPartHead + 32<<10; source.n > most {
				t.Errorf("%s, %s: got %d bytes read before it was refused, want at most %d", name, what, source.n, most)
			}
		}
	}
	// The content of a part is not its head.
	object, err := jsonForm(strings.NewReader(strings.Replace(formHead(2, func(int) string { return disposition("a") }), "x\r\n", strings.Repeat("x", 3<<20)+"\r\n", 1)), "b")
	if err != nil || object.Size() < 3<<20 {
		t.Errorf("a content of 3 MiB: got %v", err)
	}
	object.Free()
}

// counting counts what is read through it.
type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// Whatever the bytes: no panic, valid JSON, files within their directory, nothing left.
func FuzzForm(f *testing.F) {
	_, body := formOf(f, "a", "b", "up@../x", "content")
	f.Add("name", "../../a", []byte("text"), []byte("\r\n--b--\r\n"))
	f.Add("a b", "", []byte("\xff\xfe"), []byte(""))
	f.Add(`x"; filename="y`, `\\host\share\f.txt`, body.Bytes(), []byte("--b\r\n"))
	f.Fuzz(func(t *testing.T, name, filename string, content, tail []byte) {
		text := append([]byte("--b\r\nContent-Disposition: form-data; name=\""+name+"\"; filename=\""+filename+"\"\r\n\r\n"), content...)
		text = append(append(text, "\r\n--b\r\nContent-Disposition: form-data; name=\""+name+"\"\r\n\r\nx\r\n--b--\r\n"...), tail...)
		object, err := jsonForm(bytes.NewReader(text), "b")
		if err == nil {
			if all, _ := io.ReadAll(object.Section(0, object.Size())); !json.Valid(all) {
				t.Errorf("no JSON: %q", all)
			}
			object.Free()
		} else if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.Malformed && e.Kind != failure.BodyTooLarge {
			t.Error(err)
		}
		vars, remove, err := filesForm(bytes.NewReader(text), "b", nil)
		if err != nil {
			if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.Malformed && e.Kind != failure.BodyTooLarge {
				t.Error(err)
			}
			return
		}
		dir := strings.TrimPrefix(vars[0], "FORM_DIR=")
		for _, v := range vars {
			if strings.IndexByte(v, 0) >= 0 || !strings.HasPrefix(v, "FORM_") {
				t.Errorf("%q", v)
			}
		}
		files, _ := os.ReadDir(dir)
		if len(files) == 0 || len(files) > 2 {
			t.Errorf("%v", files)
		}
		remove()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Error(err)
		}
	})
}
