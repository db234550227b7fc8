package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// benchFork measures a process for each call.
func benchFork(l *lab) error {
	spawn, err := l.compile("spawn.c")
	if err != nil {
		return err
	}
	address, err := free()
	if err != nil {
		return err
	}
	w, err := l.start(l.watchdogd, "-c", l.file("fork.yaml", fmt.Sprintf(
		"server: {listen: %q}\nroutes: [{name: cat, path: /, mode: streaming, fprocess: /bin/cat}]\n", address)))
	if err != nil {
		return err
	}
	if err := await(address); err != nil {
		return err
	}
	script := l.file("hello.lua", "wrk.method = 'POST'\nwrk.body = 'hello'\n")
	return compare("/bin/cat, c=8", map[string]string{"rps": "/s"},
		candidate{"watchdogd", func() (figures, error) {
			f, err := wrk("http://"+address+"/", script, 8, w.Process.Pid)
			if err != nil {
				return nil, err
			}
			return figures{"rps": f["rps"]}, nil
		}},
		candidate{"posix_spawn, 4 threads", func() (figures, error) {
			out, err := exec.Command(spawn, "4", strconv.FormatFloat(duration.Seconds(), 'f', 1, 64)).Output()
			if err != nil {
				return nil, err
			}
			rps, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			return figures{"rps": rps}, err
		}},
	)
}

// benchLookup runs the Go benchmark of the table, which prints its own figures.
func benchLookup(*lab) error { return goBench("./routes", "Lookup") }

// benchSupervise runs those of the supervisor.
func benchSupervise(*lab) error { return goBench("./supervisor", "KillToFirstAnswer|Thousand") }

func goBench(folder, names string) error {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", names, "-count", strconv.Itoa(*rounds), folder).CombinedOutput()
	fmt.Printf("%s", out)
	return err
}
