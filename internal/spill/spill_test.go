package spill

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
)

func TestABodyIsTheSameInMemoryAndInAFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, size := range []int{0, 1, InMemory, InMemory + 1, 3 * InMemory} {
		text := strings.Repeat("0123456789", size/10+1)[:size]
		body := New(0)
		if err := body.Fill(strings.NewReader(text)); err != nil {
			t.Fatalf("%d bytes: got %v, want no error", size, err)
		}
		if _, held := body.Memory(); held != (size <= InMemory) {
			t.Errorf("%d bytes: got in memory %v, want %v", size, held, size <= InMemory)
		}
		var whole bytes.Buffer
		if err := body.CopyTo(&whole, body.Size()); err != nil || whole.String() != text {
			t.Errorf("%d bytes: got %d copied (%v), want all", size, whole.Len(), err)
		}
		if got := string(body.First(5)); got != text[:min(5, size)] {
			t.Errorf("%d bytes: got %q as the first 5, want %q", size, got, text[:min(5, size)])
		}
		if got, err := io.ReadAll(body.Section(3, 4)); err != nil || size > 10 && string(got) != text[3:7] {
			t.Errorf("%d bytes: got %q (%v) from 3 on, want %q", size, got, err, text[3:7])
		}
		if file, err := body.File(); err != nil || (file == nil) != (size <= InMemory) {
			t.Errorf("%d bytes: got file %v (%v), want no error, and (file == nil) == (size <= InMemory)", size, file, err)
		} else if file != nil {
			if got, err := io.ReadAll(file); err != nil || string(got) != text {
				t.Errorf("%d bytes: got %d from the file (%v), want all", size, len(got), err)
			}
		}
		body.Free()
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("the temporary directory: got %v (%v), want nothing left", left, err)
	}
}

func TestABodyKeepsItsLimit(t *testing.T) {
	body := New(3)
	defer body.Free()
	if n, err := body.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("3 of 3 bytes: got %d, %v, want n == 3 && err == nil", n, err)
	}
	if n, err := body.Write([]byte("d")); n != 0 || !errors.Is(err, ErrTooLong) || body.Size() != 3 {
		t.Errorf("a 4th byte: got %d, %v and size %d, want ErrTooLong and 3", n, err, body.Size())
	}
}

func TestNoTemporaryFolderIsNoRoom(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	body := New(0)
	defer body.Free()
	err := body.Fill(strings.NewReader(strings.Repeat("x", InMemory+1)))
	if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.NoRoom || !strings.Contains(e.Detail, "TMPDIR") {
		t.Errorf("got %v, want a failure.NoRoom that names TMPDIR", err)
	}
	if err := Check(); err == nil {
		t.Error("Check: got no error, want one")
	}
}
