package forking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

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
		t.Errorf("a content of 3 MiB: got %v, want no error, and object.Size() >= 3 << 20", err)
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
	_, body := testkit.Form(f, "a", "b", "up@../x", "content")
	f.Add("name", "../../a", []byte("text"), []byte("\r\n--b--\r\n"))
	f.Add("a b", "", []byte("\xff\xfe"), []byte(""))
	f.Add(`x"; filename="y`, `\\host\share\f.txt`, body.Bytes(), []byte("--b\r\n"))
	f.Fuzz(func(t *testing.T, name, filename string, content, tail []byte) {
		text := append([]byte("--b\r\nContent-Disposition: form-data; name=\""+name+"\"; filename=\""+filename+"\"\r\n\r\n"), content...)
		text = append(append(text, "\r\n--b\r\nContent-Disposition: form-data; name=\""+name+"\"\r\n\r\nx\r\n--b--\r\n"...), tail...)
		object, err := jsonForm(bytes.NewReader(text), "b")
		if err == nil {
			if all, _ := io.ReadAll(object.Section(0, object.Size())); !json.Valid(all) {
				t.Errorf("no JSON: got %q, want JSON", all)
			}
			object.Free()
		} else if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.Malformed && e.Kind != failure.BodyTooLarge {
			t.Errorf("got %v, want ok && (e.Kind == failure.Malformed || e.Kind == failure.BodyTooLarge)", err)
		}
		vars, remove, err := filesForm(bytes.NewReader(text), "b", nil)
		if err != nil {
			if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.Malformed && e.Kind != failure.BodyTooLarge {
				t.Errorf("got %v, want ok && (e.Kind == failure.Malformed || e.Kind == failure.BodyTooLarge)", err)
			}
			return
		}
		dir := strings.TrimPrefix(vars[0], "FORM_DIR=")
		for _, v := range vars {
			if strings.IndexByte(v, 0) >= 0 || !strings.HasPrefix(v, "FORM_") {
				t.Errorf("got %q, want %q at its start and strings.IndexByte(v, 0) less than 0", v, "FORM_")
			}
		}
		files, _ := os.ReadDir(dir)
		if len(files) == 0 || len(files) > 2 {
			t.Errorf("got %v, want some and at most 2 of them", files)
		}
		remove()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("got %v, want that it does not exist", err)
		}
	})
}
