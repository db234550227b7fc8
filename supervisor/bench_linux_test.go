package supervisor

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

func BenchmarkAcquireRelease(b *testing.B) {
	spec := server(b, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 4, Max: 4}
	s := newStack(b, spec)
	s.await("api", "ready", allReady(4))
	p, ctx := s.Process("api"), context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i, err := p.Acquire(ctx, time.Second)
			if err != nil {
				b.Error(err)
				return
			}
			i.Release()
		}
	})
}

// From the kill of the only instance to the answer of the next; the program itself
// needs a few milliseconds of it, and the pause after the first end is random up to
// restart.min.
func BenchmarkKillToFirstAnswer(b *testing.B) {
	spec := server(b, "api", "serve")
	spec.Process.Restart.Min = schema.Duration(time.Nanosecond)
	spec.Process.Restart.Max = schema.Duration(time.Nanosecond)
	spec.Process.Restart.GiveUp.Exits = 0
	s := newStack(b, spec)
	i := s.acquire("api")
	for b.Loop() {
		_ = syscall.Kill(i.PID(), syscall.SIGKILL)
		<-i.Done()
		i.Release()
		if _, err := s.get("api", "/"); err != nil {
			b.Fatal(err)
		}
		i = s.acquire("api")
	}
	i.Release()
}

// The start of 1000 processes until all are ready, and what they cost then.
func BenchmarkThousandProcesses(b *testing.B) {
	specs := make([]Spec, 1000)
	for n := range specs {
		specs[n] = service(b, "s"+strconv.Itoa(n), "")
		specs[n].Process.FProcess.Words = []schema.Text{"/bin/sleep", "100000"}
	}
	for b.Loop() {
		s := newStack(b, specs...)
		for _, spec := range specs {
			s.awaitStateOf(spec.Name, Ready)
		}
		b.StopTimer()
		var was, is syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &was)
		idle := time.Now()
		time.Sleep(2 * time.Second) // what is measured is what goes on meanwhile
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &is)
		cpu := time.Duration(is.Utime.Nano() + is.Stime.Nano() - was.Utime.Nano() - was.Stime.Nano())
		threads, _ := os.ReadDir("/proc/self/task")
		b.ReportMetric(100*cpu.Seconds()/time.Since(idle).Seconds(), "%CPU-idle")
		b.ReportMetric(float64(len(threads)), "threads")
		s.stop()
		b.StartTimer()
	}
}

// awaitStateOf is awaitState without a reading of the process table each time.
func (s *stack) awaitStateOf(name string, state State) {
	p := s.Process(name)
	for {
		p.mu.Lock()
		is, changed := p.state(), p.nextChange()
		p.mu.Unlock()
		if is == state {
			return
		}
		<-changed
	}
}
