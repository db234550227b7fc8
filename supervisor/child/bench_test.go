package child

import (
	"context"
	"runtime"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func forked(b *testing.B) *Program {
	p := program(b, "")
	p.FProcess.Words = []schema.Text{"/bin/true"}
	prog, err := NewProgram("true", p)
	if err != nil {
		b.Fatal(err)
	}
	return prog
}

func forkOnce(b *testing.B, prog *Program) {
	c, err := prog.Start(StartOptions{})
	if err != nil {
		b.Error(err)
		return
	}
	if e, err := c.Wait(context.Background()); err != nil || !e.OK() {
		b.Errorf("got %v %v, want exit status 0 and no error", e, err)
	}
	c.Kill()
}

// cpuOf has a benchmark report the CPU time of this process, not of its children.
func cpuOf(b *testing.B) func() {
	var was, is syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &was)
	return func() {
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &is)
		cpu := is.Utime.Nano() + is.Stime.Nano() - was.Utime.Nano() - was.Stime.Nano()
		b.ReportMetric(float64(cpu)/float64(b.N)/1000, "us-CPU/op")
	}
}

// One fork, exec, wait and sweep of the smallest program, one after another.
func BenchmarkFork(b *testing.B) {
	prog := forked(b)
	b.ReportAllocs()
	defer cpuOf(b)()
	for b.Loop() {
		forkOnce(b, prog)
	}
}

func BenchmarkForkByEight(b *testing.B) {
	prog := forked(b)
	b.SetParallelism(8 / runtime.GOMAXPROCS(0))
	defer cpuOf(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			forkOnce(b, prog)
		}
	})
}
