package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// What a requests.txt cannot show of an example: two clients at once, one that leaves, and time.

// servedExample starts a copy of the example.
func servedExample(t *testing.T, name string, env ...string) *daemonUnderTest {
	t.Helper()
	x := examples[name]
	x.need(t)
	dir, all := x.copied(t, name)
	return x.serve(t, dir, append(all, env...))
}

func TestTheChatReachesAllAndClosesOneThatSendsTooMuch(t *testing.T) {
	d := servedExample(t, "10-websocket-chat")
	join := func(name string) *websocket.Conn {
		c, err := websocket.Dial("ws"+strings.TrimPrefix(d.base, "http")+"/chat?name="+name, "", d.base)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	hears := func(c *websocket.Conn, want string) {
		t.Helper()
		var got string
		if err := websocket.Message.Receive(c, &got); err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	say := func(c *websocket.Conn, text string) {
		t.Helper()
		if err := websocket.Message.Send(c, text); err != nil {
			t.Fatal(err)
		}
	}
	ann, bob, eve := join("Ann"), join("Bob"), join("Eve")
	hello := `{"name":"Ann","text":"<b>hello</b>"}`
	say(ann, "<b>hello</b>")
	hears(ann, hello)
	hears(bob, hello)
	hears(eve, hello)

	_ = websocket.Message.Send(eve, strings.Repeat("x", 10<<20)) // it may be closed before all is sent
	var last string
	if err := websocket.Message.Receive(eve, &last); err == nil {
		t.Errorf("after a message of 10 MB: got %q, want the connection to be closed", last)
	}
	say(bob, "still here")
	hears(ann, `{"name":"Bob","text":"still here"}`)
	hears(bob, `{"name":"Bob","text":"still here"}`)
	late := join("Late")
	hears(late, hello)
	hears(late, `{"name":"Bob","text":"still here"}`)
	if status := processes(t, d)["chat"]; status.Restarts != 0 {
		t.Errorf("got %d restarts of the chat, want none", status.Restarts)
	}
}

func TestAJobWithProgressEndsWithItsClient(t *testing.T) {
	d := servedExample(t, "11-sse-progress")
	c := testkit.Dial(t, strings.TrimPrefix(d.base, "http://"))
	c.Send("GET /job?steps=99 HTTP/1.1\r\nHost: x\r\n\r\n")
	r, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(r.Body)
	for want := range strings.Lines("id: 1\nevent: progress\ndata: {\"step\": 1, \"of\": 99}\n\nid: 2\n") {
		if got, err := in.ReadString('\n'); err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	if got := processes(t, d)["job"].Inflight; got != 1 {
		t.Errorf("got %d calls in flight, want the one that is being read", got)
	}
	_ = c.Close()
	poll(t, "the end of the job", func() bool { return processes(t, d)["job"].Inflight == 0 })
	d.waitLog(`"cut":true`)
}

func TestOfTwentyFunctionsOnlyTheOneThatIsCalledRuns(t *testing.T) {
	d := servedExample(t, "14-scale-to-zero", "IDLE=1h")
	running := func() (names []string) {
		for name, p := range processes(t, d) {
			if len(p.Instances) > 0 {
				names = append(names, name)
			}
		}
		return names
	}
	if all := processes(t, d); len(all) != 20 {
		t.Errorf("got %d functions, want 20", len(all))
	}
	if got := running(); len(got) != 0 {
		t.Errorf("before any call: got %v running, want none", got)
	}
	if status, _, body := d.request("POST", "/reverse", nil, "abc"); status != 200 || body != "cba\n" {
		t.Errorf("got %d %q, want 200 and cba", status, body)
	}
	if got := running(); len(got) != 1 || got[0] != "reverse" {
		t.Errorf("after a call: got %v running, want reverse", got)
	}
	text := strings.Replace(readFile(t, d.file), "${IDLE:-1m}", "100ms", 1)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, status := d.command("reload"); status != 0 {
		t.Fatalf("reload: got status %d, %s%s, want 0", status, out, errOut)
	}
	poll(t, "the function to be stopped when it is not called", func() bool { return len(running()) == 0 })
	if status, _, body := d.request("POST", "/reverse", nil, "abc"); status != 200 || body != "cba\n" {
		t.Errorf("called again: got %d %q, want 200 and cba", status, body)
	}
}

// Examples that keep files, or have processes of another user, also run for an ordinary user.
func TestExamplesRunForAnOrdinaryUser(t *testing.T) {
	onlyRoot(t) // for any other user, all tests of the examples are this one
	const nobody = 65534
	for _, name := range []string{"03-git-http-backend", "07-redis-postgres", "09-thumbnails", "15-keys-and-jwt"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := examples[name]
			x.need(t)
			dir, env := x.copied(t, name)
			home := dirForAll(t)
			for _, folder := range []string{dir, home} {
				err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
					return errors.Join(err, os.Chown(path, nobody, nobody))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			watchdogd := selfForAll(t)
			for i, v := range env {
				if path, ok := strings.CutPrefix(v, "PATH="); ok {
					env[i] = "PATH=" + filepath.Dir(watchdogd) + ":" + path
				}
			}
			env = append(env, "TMPDIR="+home, "HOME="+home, "DB_USER=")
			out, status := as(t, nobody, watchdogd, env, "-c", filepath.Join(dir, "watchdog.yaml"), "test")
			if status != 0 || !strings.HasSuffix(out, "all as the file says\n") {
				t.Errorf("got exit status %d and\n%s, want 0 and all as the file says", status, out)
			}
		})
	}
}

// listed is what the tests read of "ps --json".
type listed struct {
	Name      string
	State     string
	Restarts  int
	Inflight  int
	Instances []struct{ PID int }
}

func processes(t *testing.T, d *daemonUnderTest) map[string]listed {
	t.Helper()
	out, errOut, status := d.command("ps", "--json")
	var rows []listed
	if err := json.Unmarshal([]byte(out), &rows); err != nil || status != 0 {
		t.Fatalf("ps --json: got status %d, %v, %s, want a list", status, err, errOut)
	}
	all := map[string]listed{}
	for _, r := range rows {
		all[r.Name] = r
	}
	return all
}

// A Dockerfile of an example copies files that exist, all that the stack needs, and starts watchdogd.
func TestDockerfilesOfExamplesCopyWhatTheyNeed(t *testing.T) {
	for name, want := range map[string]struct {
		needs   []string
		command string
	}{
		"08-of-watchdog": {[]string{"index.js", "handler.js"}, `CMD ["fwatchdog"]`},
		"18-container":   {[]string{"hello.py", "watchdog.yaml", "pages"}, `CMD ["watchdogd"]`},
	} {
		dir := filepath.Join("../../examples", name)
		text := strings.ReplaceAll(readFile(t, filepath.Join(dir, "Dockerfile")), "\\\n", " ")
		var copied []string
		for _, line := range regexp.MustCompile(`(?m)^COPY (.*)$`).FindAllStringSubmatch(text, -1) {
			words := strings.Fields(line[1])
			if strings.HasPrefix(words[0], "--from=watchdogd") {
				continue
			}
			copied = append(copied, words[:len(words)-1]...)
		}
		if got, want := strings.Join(copied, " "), strings.Join(want.needs, " "); got != want {
			t.Errorf("%s: got COPY of %q, want %q", name, got, want)
		}
		for _, file := range copied {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Errorf("%s: the Dockerfile copies what is not there: %v", name, err)
			}
		}
		if !strings.HasSuffix(strings.TrimSpace(text), want.command) {
			t.Errorf("%s: the Dockerfile does not end with %s", name, want.command)
		}
	}
	// the variables of the image are those that function.env has for a shell
	image := readFile(t, "../../examples/08-of-watchdog/Dockerfile")
	for line := range strings.Lines(readFile(t, "../../examples/08-of-watchdog/function.env")) {
		key, _, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") && !strings.Contains(image, " "+key+`="`) {
			t.Errorf("08-of-watchdog: the Dockerfile does not set %s, which function.env has", key)
		}
	}
}
