package modes

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestSerializingAnswersWithALength(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nfprocess: cat\ncontent_type: text/x")
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 1 << 20, 1<<20 + 1, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			want := make([]byte, size)
			rand.Read(want)
			var body io.Reader = bytes.NewReader(want)
			if chunked {
				body = io.MultiReader(body)
			}
			resp, got := s.do(t, "POST", "/", body)
			if resp.StatusCode != 200 || got != string(want) || resp.ContentLength != int64(size) || resp.Header.Get("Content-Type") != "text/x" {
				t.Errorf("%d bytes, chunked %v: %d, %d bytes, length %d", size, chunked, resp.StatusCode, len(got), resp.ContentLength)
			}
		}
	}
}

func TestLargeBodiesAreInFilesWithoutAName(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := serveRoute(t, "mode: serializing\nshell: true\nfprocess: 'ls "+tmp+" | wc -l; cat >/dev/null; head -c 5000000 /dev/zero; ls "+tmp+" | wc -l'")
	_, got := s.do(t, "POST", "/", io.LimitReader(zeros{}, 5<<20))
	if strings.ReplaceAll(got, "\x00", "") != "0\n0\n" {
		t.Errorf(`files with a name: got %.10q ... %.10q, want strings.ReplaceAll(got, "\x00", "") == "0\n0\n"`, got, got[max(len(got)-10, 0):])
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestResponseOverItsLimitIs502(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nfprocess: cat\nlimits: {response: 2MiB}")
	if resp, got := s.do(t, "POST", "/", io.LimitReader(zeros{}, 2<<20)); resp.StatusCode != 200 || len(got) != 2<<20 {
		t.Errorf("got %d, %d bytes, want 200 %d", resp.StatusCode, len(got), 2<<20)
	}
	resp, body := s.do(t, "POST", "/", io.LimitReader(zeros{}, 2<<20+1))
	wantProblem(t, resp, body, 502, "response-too-big", "limits.response")
	s = serveRoute(t, "mode: serializing\nfprocess: cat /dev/zero\nlimits: {response: 100}")
	resp, body = s.do(t, "GET", "/", nil)
	wantProblem(t, resp, body, 502, "response-too-big")
}

func TestSerializingExitAfterOutputIs500(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nshell: true\nfprocess: 'echo half; exit 3'")
	resp, body := s.do(t, "GET", "/", nil)
	wantProblem(t, resp, body, 500, "exit status 3")
}

func TestEmptyInputIsNotAPipe(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: 'readlink /proc/self/fd/0'")
		if _, got := s.do(t, "POST", "/", nil); got != "/dev/null\n" {
			t.Errorf("%s: got %q, want %q", mode, got, "/dev/null\n")
		}
	}
}

func TestOutputHoldsWhatProgramsPrintedForTheLog(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nshell: true\nfprocess: 'echo one >&2'")
	s.do(t, "GET", "/", nil)
	output := Output(s.handler)
	testkit.Eventually(t, "the line is there", func() bool {
		lines := output.Lines()
		return len(lines) == 1 && lines[0].Text == "one" && lines[0].Name == "f" && lines[0].Stream == "stderr" && lines[0].PID > 0
	})
}

func TestUserOfARouteRunsItsProgramAndOwnsItsForm(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip("there is no user nobody here")
	}
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nform: files\nuser: nobody\ndir: /\nshell: true\nfprocess: 'id -un; cat \"$$FORM_up\"; touch \"$$FORM_DIR/x\" && echo writes'")
		typ, body := testkit.Form(t, "up@a", "content\n")
		if _, got := s.do(t, "POST", "/", body, "Content-Type", typ); got != "nobody\ncontent\nwrites\n" {
			t.Errorf("%s: got %q, want %q", mode, got, "nobody\ncontent\nwrites\n")
		}
	}
}

// The rest of what the caller sends does not matter when it leaves, or what the program
// has printed: a response of any size is given up at once.
func TestAClientThatDoesNotReadASerializedResponse(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nfprocess: head -c 30000000 /dev/zero")
	s.cancels = make(chan context.CancelCauseFunc, 1)
	resp := s.begin(t, "GET", "/", nil)
	defer resp.Body.Close()
	(<-s.cancels)(timedOut())
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes and no error", n)
	}
}
