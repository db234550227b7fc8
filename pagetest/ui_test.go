package pagetest

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// stream asks for a stream, which the caller reads, or not, and closes.
func stream(address, path string) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	return c, err
}

// ui runs watchdogd ui, and returns the URL that it prints, and what ends it. It opens a browser
// if there are variables that say which.
func (d *daemon) ui(t *testing.T, environ ...string) (url string, end func() error) {
	t.Helper()
	cmd := exec.Command(binary, "ui", "--print")
	if len(environ) > 0 {
		cmd = exec.Command(binary, "ui")
		cmd.Env = append(os.Environ(), environ...)
	}
	cmd.Dir = d.dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		timer := time.AfterFunc(soonEnough, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		return cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("watchdogd ui printed %q: %v, %v", line, err, end())
	}
	return strings.TrimSpace(line), end
}

func TestUIOpensThePageOnceForOneBrowser(t *testing.T) {
	for name, token := range map[string]string{"without a token": "", "with a token": "  token: sesame-open\n"} {
		t.Run(name, func(t *testing.T) {
			d := start(t, token, two)
			url, end := d.ui(t)
			address, _, _ := strings.Cut(url, "?")
			if got := status(t, "GET", address+"?token=WRONG", nil); got != 403 {
				t.Errorf("a wrong token: got %d, want 403", got)
			}
			p := open(t, url)
			p.until(state("api") + ` === "ready"`)
			if got := value[string](p, "location.href"); got != address {
				t.Errorf("got the address %s, want %s without the token", got, address)
			}
			if got := value[string](p, "document.cookie"); got != "" {
				t.Errorf("got the cookie %q in reach of scripts, want none", got)
			}
			if got := status(t, "GET", url, nil); got != 403 {
				t.Errorf("the URL again: got %d, want 403", got)
			}
			if got := status(t, "POST", address+"stop/api", http.Header{"Sec-Fetch-Site": {"same-origin"}}); got != 403 {
				t.Errorf("without the cookie: got %d, want 403", got)
			}
			p.choose("api")
			p.until(`document.querySelector("#lines").textContent.includes("the server starts")`)
			value[bool](p, `(act("stop", "api", "Stop"), true)`)
			p.until(state("api") + ` === "stopped"`)
			d.stop() // the page finds it again
			p.until(`document.querySelector("#link").dataset.link === "lost"`)
			d.run()
			p.until(state("api") + ` === "ready" && document.querySelector("#link").dataset.link === "live"`)
			if err := end(); err != nil {
				t.Errorf("after Ctrl-C: got %v, want status 0", err)
			}
			p.until(`document.querySelector("#link").dataset.link === "lost"`)
		})
	}
}

// A page that another page leads to has no strict cookie at first.
func TestUIIsReachedByALinkOfAnotherPage(t *testing.T) {
	d := start(t, "", two)
	url, end := d.ui(t)
	defer func() {
		if err := end(); err != nil {
			t.Errorf("after Ctrl-C: got %v, want status 0", err)
		}
	}()
	p := open(t, "data:text/html,<title>another</title>")
	p.leaves(url)
	value[bool](p, `(location.href = "`+url+`", true)`)
	p.until(state("api") + ` === "ready"`)
}

// The URL is a secret, and every user of the machine can see the arguments of a program.
func TestUIGivesTheBrowserAFileAndNotTheURL(t *testing.T) {
	d := start(t, "", two)
	fake := filepath.Join(d.dir, "browser")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho \"$@\" >"+d.dir+"/told.new && mv "+d.dir+"/told.new "+d.dir+"/told\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	url, end := d.ui(t, "BROWSER="+fake)
	var told []byte
	for deadline := time.Now().Add(soonEnough); len(told) == 0; <-time.After(10 * time.Millisecond) {
		told, _ = os.ReadFile(filepath.Join(d.dir, "told")) // it is not there yet
		if time.Now().After(deadline) {
			t.Fatal("the browser: got no start, want one")
		}
	}
	file := strings.TrimSpace(string(told))
	if strings.Contains(file, "token") || strings.Contains(file, "http") {
		t.Errorf("the arguments of the browser: got %s, want no URL", file)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file: got %v, %v, want mode 0600", info, err)
	}
	p := open(t, "data:text/html,<title>another</title>")
	p.leaves(url)
	p.leaves("file:///")
	p.do(chromedp.Navigate("file://" + file))
	p.until(state("api") + ` === "ready"`)
	if err := end(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want status 0", err)
	}
	if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
		t.Errorf("the folder of the file after the end: got %v, want none", err)
	}
}
