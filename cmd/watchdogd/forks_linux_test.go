package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The files of a form have names, and a body of more than 1 MiB is in a file that has
// none: neither is there when watchdogd had no chance to take it away.
func TestNoFileOfACallIsLeftOfAKilledWatchdogd(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	d := serveFile(t, `
server: {listen: LISTEN}
routes:
- {name: form, mode: streaming, form: files, shell: true, fprocess: 'echo $$$$ $$FORM_DIR; exec sleep 1000'}
- {name: body, mode: serializing, shell: true, fprocess: 'echo $$$$ >pid; exec sleep 1000'}
`).waitListening()
	form := "--b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"a.txt\"\r\n\r\n" + strings.Repeat("x", 2<<20) + "\r\n--b--\r\n"
	first := d.open("POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: " + strconv.Itoa(len(form)) + "\r\n\r\n" + form)
	second := d.open("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 2097152\r\n\r\n" + strings.Repeat("x", 2<<20))
	defer second.Close()

	var pids [2]int
	var dir string
	for in := bufio.NewReader(first); dir == ""; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		_, _ = fmt.Sscanf(line, "%d %s", &pids[0], &dir) // the line of the body, after the head's
	}
	if info, err := os.Stat(filepath.Join(dir, "a.txt")); err != nil || info.Size() != 2<<20 || filepath.Dir(dir) != tmp {
		t.Fatalf("%s: got %v, want no error, and info.Size() == 2 << 20 && filepath.Dir(dir) == tmp", dir, err)
	}
	poll(t, "the second program runs", func() bool {
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(d.file), "pid"))
		pids[1], _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pids[1] > 0 && strings.HasSuffix(string(text), "\n")
	})
	poll(t, "the guard is there, which the first program called for", d.guarded)
	d.signal(syscall.SIGKILL)
	<-d.ended
	for _, pid := range pids {
		waitGone(t, pid)
	}
	poll(t, "nothing is left in the temporary directory", func() bool {
		left, _ := filepath.Glob(filepath.Join(tmp, "watchdogd-*"))
		return len(left) == 0
	})
}

// The program reads nothing, and more of the body has come than the pipe holds. Where
// even the connection is full the end of it cannot come after it: only a reset can.
func TestACallerWhoLeavesAStuckUploadEndsHisProgram(t *testing.T) {
	for _, how := range []string{"closed", "reset"} {
		t.Run(how, func(t *testing.T) {
			d := serveFile(t, "server: {listen: LISTEN}\nroutes:\n"+
				"- {name: stuck, mode: streaming, shell: true, timeouts: {exec: 0}, fprocess: 'echo $$$$ >pid; exec sleep 1000'}\n").waitListening()
			conn := d.open("POST /stuck HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n").(*net.TCPConn)
			size := int64(120 << 10)
			if how == "reset" {
				size = 64 << 20
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.CopyN(conn, zeros{}, size) // until we leave
			}()
			pid := 0
			poll(t, "the program runs", func() bool {
				text, _ := os.ReadFile(filepath.Join(filepath.Dir(d.file), "pid"))
				pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				return pid > 0 && strings.HasSuffix(string(text), "\n")
			})
			if how == "reset" {
				_ = conn.SetLinger(0)
			} else {
				<-sent
			}
			_ = conn.Close()
			<-sent
			waitGone(t, pid)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// guarded reports whether the guard is at its post.
func (d *daemonUnderTest) guarded() bool {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.cmd.Process.Pid))
	for _, list := range lists {
		pids, _ := os.ReadFile(list)
		for pid := range strings.FieldsSeq(string(pids)) {
			if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); string(comm) == "watchdogd-guard\n" {
				return true
			}
		}
	}
	return false
}

// open sends the beginning of a request on a connection of its own.
func (d *daemonUnderTest) open(text string) net.Conn {
	d.t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(d.base, "http://"), patience)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		d.t.Fatal(err)
	}
	return conn
}
