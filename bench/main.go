// Bench holds watchdogd against its peers: each benchmark runs its candidates in
// turn, round after round on the same machine, and quotes the medians of the ratios
// of a round. It needs Linux, cc, wrk, nginx, haproxy and curl; bench/README.md says more.
//
//	go run ./bench [-rounds 5] [-d 2s] [NAME...]
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var (
	rounds   = flag.Int("rounds", 5, "how often each candidate runs")
	duration = flag.Duration("d", 2*time.Second, "how long one load runs")
	binary   = flag.String("watchdogd", "bin/watchdogd", "the watchdogd under test")
)

// benchmarks is all there is to run, by name.
var benchmarks = []struct {
	name, what string
	run        func(*lab) error
}{
	{"hop", "http mode: small requests, c=64, pinned, against nginx and no proxy at all", benchHop},
	{"tls", "http mode for clients of TLS and of HTTP/2 over it, pinned, against nginx with the same cipher", benchTLS},
	{"idle", "http mode: the memory of connections that wait, against nginx", benchIdle},
	{"bulk", "http mode: 1 GiB each way, against nginx", benchBulk},
	{"static", "static mode: 1 KiB file, c=64, pinned, against nginx", benchStatic},
	{"fork", "streaming /bin/cat, c=8, against a C posix_spawn loop", benchFork},
	{"warm", "streaming cat, python3 and node, paced: processes started ahead against none", benchWarm},
	{"afterburn", "workers with 5 ms of sleep, c=32: 16 against one", benchAfterburn},
	{"memory", "peak memory: serializing 256 MiB, streaming 1 GiB", benchMemory},
	{"crowd", "200 calls of streaming at once: threads and peak memory", benchCrowd},
	{"start", "the environment mode: from exec to the first 200, against a Go program of the same libraries", benchStart},
	{"lookup", "route lookup among 1, 100 and 10000 routes", benchLookup},
	{"scale", "what one node carries: 100 to 10000 functions, 10 to 1000 processes", benchScale},
	{"watch", "the daemon's CPU with a page and a top open: 50 routes, 1000 calls a second", benchWatch},
	{"swarm", "the gateway of a simulated swarm: 100 to 10000 services of ten tasks", benchSwarm},
	{"supervise", "from kill -9 to the next answer; 1000 supervised processes: threads, start, idle CPU", benchSupervise},
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		log.Fatalf("bench: %v", err)
	}
}

func run(names []string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w; \"make build\" makes it", err)
	}
	l := &lab{dir: dir, watchdogd: path}
	for _, b := range benchmarks {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		fmt.Printf("\n%s: %s\n", b.name, b.what)
		if err := b.run(l); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		l.stopAll()
	}
	return nil
}

// lab is where the candidates live.
type lab struct {
	dir       string
	watchdogd string
	running   []*exec.Cmd
}

// file writes a file of the lab and gives its path.
func (l *lab) file(name, text string) string {
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
	return path
}

// start starts a program on the first core, where one is to be pinned.
func (l *lab) start(words ...string) (*exec.Cmd, error) {
	cmd := exec.Command(words[0], words[1:]...)
	out, err := os.Create(filepath.Join(l.dir, fmt.Sprintf("log-%d", len(l.running))))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	l.running = append(l.running, cmd)
	return cmd, nil
}

// stopAll ends what start started.
func (l *lab) stopAll() {
	for len(l.running) > 0 {
		l.stopLast()
	}
}

// stopLast ends what start started last.
func (l *lab) stopLast() {
	last := len(l.running) - 1
	cmd := l.running[last]
	l.running = l.running[:last]
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	timer := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // ended by our own signal
	timer.Stop()
}

// compile compiles a C program of this folder.
func (l *lab) compile(source string) (string, error) {
	program := filepath.Join(l.dir, strings.TrimSuffix(source, ".c"))
	out, err := exec.Command("cc", "-O2", "-pthread", "-o", program, filepath.Join("bench", "c", source)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cc %s: %w\n%s", source, err, out)
	}
	return program, nil
}

// candidate is one of those that a benchmark holds against each other.
type candidate struct {
	name    string
	measure func() (figures, error)
}

// figures are one round's results by name.
type figures map[string]float64

// compare runs the candidates in turn and prints, for each figure, the medians and
// the medians of the ratios of a round to the last candidate, which is the peer.
func compare(title string, unit map[string]string, candidates ...candidate) error {
	return compareIn(*rounds, title, unit, candidates...)
}

func compareIn(rounds int, title string, unit map[string]string, candidates ...candidate) error {
	results := make([][]figures, len(candidates))
	for range rounds {
		for i, c := range candidates {
			f, err := c.measure()
			if err != nil {
				return fmt.Errorf("%s, %s: %w", title, c.name, err)
			}
			results[i] = append(results[i], f)
		}
	}
	peer := len(candidates) - 1
	var keys []string
	for key := range results[0][0] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		fmt.Printf("  %-24s %-10s", title, key)
		for i, c := range candidates {
			var values, ratios []float64
			for round := range results[i] {
				values = append(values, results[i][round][key])
				ratios = append(ratios, results[i][round][key]/results[peer][round][key])
			}
			fmt.Printf("  %s %s", c.name, human(median(values), unit[key]))
			if i != peer {
				fmt.Printf(" (%.2fx)", median(ratios))
			}
		}
		fmt.Println()
	}
	return nil
}

func human(v float64, unit string) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 1:
		return fmt.Sprintf("%.2f%s", v, unit)
	}
	return fmt.Sprintf("%.4f%s", v, unit)
}

func median(values []float64) float64 {
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}
