package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/watch"
)

func TestAProgramThatChangesItsOwnFilesIsSlowedDownAndNamed(t *testing.T) {
	spec := idler(t, "api")
	spec.Process.Restart.Max = schema.Duration(time.Hour)
	s := newStack(t, spec)
	p := s.Process("api")
	for range watch.Most + 2 { // within watch.Span, whatever the restarts take
		p.fileChanged("/app/cache.py")
	}
	s.await("api", "one instance", allReady(1))
	st := p.Status()
	if !strings.Contains(st.Reason, "/app/cache.py changed: if the program changes its own watched files") {
		t.Errorf("got reason %q, want one that names the file", st.Reason)
	}
	if n := strings.Count(s.log.String(), "restarts are slowed down"); n != 1 {
		t.Errorf("got %d warnings, want 1", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.rewatch.Times); n != watch.Most {
		t.Errorf("got %d restarts, want %d", n, watch.Most)
	}
}

func TestOneBurstOfManyChangedFilesIsOneRestart(t *testing.T) {
	spec := idler(t, "api")
	spec.Process.Watch = []string{"**/*.py"}
	dir := string(spec.Process.Dir)
	s := newStack(t, spec)
	s.await("api", "one instance", allReady(1))
	p := s.Process("api")
	apart := filepath.Join(t.TempDir(), "src") // made at leisure, and moved in one burst
	if err := os.Mkdir(apart, 0o755); err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		sub := fmt.Sprint(n / 500)
		if n%500 == 0 {
			if err := os.Mkdir(filepath.Join(apart, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(apart, sub, fmt.Sprint(n, ".py")), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(apart, filepath.Join(dir, "src")); err != nil {
		t.Fatal(err)
	}
	s.log.Await(t, "watch: ")
	s.await("api", "one instance", allReady(1))
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.rewatch.Times); n != 1 {
		t.Errorf("got %d restarts, want 1", n)
	}
}
