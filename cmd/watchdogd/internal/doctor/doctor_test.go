package doctor_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/doctor"
	"github.com/watchdogd/watchdogd/schema"
)

// healthy is a machine on which everything works.
func healthy() *doctor.Machine {
	return &doctor.Machine{
		Files: 20000, MostFiles: 20000, Memory: 8 << 30, MemoryOf: "this machine", CPUs: 4,
		Now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Temporary: "/tmp", Free: 10 << 30,
		Busy: func(string) error { return nil }, Taken: func(string, int) error { return nil },
		Spill: func(r *schema.Route) bool { return r.Mode == schema.Serializing }, Inside: func(folder, _ string) bool { return folder == "/srv" },
	}
}

func parse(t *testing.T, text string) *schema.Config {
	t.Helper()
	cfg, err := schema.Parse("/srv/watchdog.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestEachDoubtHasItsSentence(t *testing.T) {
	const plain = "server: {listen: '127.0.0.1:8080'}\nroutes:\n- name: a\n  fprocess: run\n  path: /\n"
	for _, c := range []struct {
		name, file string
		machine    func(*doctor.Machine)
		want       string // level check: what; empty is that nothing is above ok
	}{
		{"all is well", plain, func(*doctor.Machine) {}, ""},
		{"a port is taken", plain, func(m *doctor.Machine) {
			m.Busy = func(a string) error { return fmt.Errorf("%s is in use by nginx", a) }
		},
			"fail ports: server.listen 127.0.0.1:8080: 127.0.0.1:8080 is in use by nginx"},
		{"it runs already", plain, func(m *doctor.Machine) {
			m.Stack, m.Busy = "it", func(string) error { return errors.New("in use") }
		}, ""},
		{"an optional port is taken", plain + "metrics: {listen: '127.0.0.1:81', optional: true}\n", func(m *doctor.Machine) {
			m.Busy = func(a string) error {
				if strings.HasSuffix(a, ":81") {
					return errors.New("in use")
				}
				return nil
			}
		}, "warn ports: metrics.listen 127.0.0.1:81: in use"},
		{"a program on our port", plain + "- {name: b, fprocess: run, upstream: 'http://127.0.0.1:8080'}\n", func(*doctor.Machine) {},
			"fail ports: route b: its program listens on port 8080, which is that of server.listen 127.0.0.1:8080"},
		{"two programs on a port", plain + "- {name: b, fprocess: run, upstream: '127.0.0.1:9'}\n- {name: c, fprocess: run, upstream: '127.0.0.1:9'}\n", func(*doctor.Machine) {},
			"fail ports: routes b and c: both programs listen on port 9"},
		{"a program's port is taken", plain + "- {name: b, fprocess: run, upstream: '127.0.0.1:9'}\n", func(m *doctor.Machine) {
			m.Taken = func(string, int) error { return errors.New("port 9 is taken by discard") }
		}, "fail ports: route b: upstream: port 9 is taken by discard"},
		{"a program is missing", plain, func(m *doctor.Machine) { m.Missing = []string{"route a: there is no run"} }, "fail programs: route a: there is no run"},
		{"another user", plain + "  user: app\n", func(*doctor.Machine) {}, "fail permissions: a: user: app: only root can start a program as another user"},
		{"another user, by root", plain + "  user: app\n", func(m *doctor.Machine) { m.Root = true }, ""},
		{"paths within paths", plain + "- {name: b, path: /b, fprocess: run}\n- {name: c, path: /b/c, fprocess: run}\n", func(*doctor.Machine) {},
			"note routes: /b/c of c lies within /b of b: the longer path wins (1 such pair in all)"},
		{"open to the network", "routes:\n- {name: a, fprocess: run}\n", func(*doctor.Machine) {},
			"note exposure: everyone on the network reaches :8080 and may call 1 route without auth: a"},
		{"open to pages", plain + "  cross_origin: allow\n", func(*doctor.Machine) {}, "warn exposure: cross_origin: allow without auth"},
		{"the file is served", "server: {listen: '127.0.0.1:1'}\nroutes:\n- {name: a, mode: static, root: /srv}\n", func(*doctor.Machine) {},
			"warn exposure: route a serves watchdog.yaml itself"},
		{"metrics on the network", plain + "metrics: {listen: ':81'}\n", func(*doctor.Machine) {}, "note exposure: everyone on the network reads the metrics at :81"},
		{"admin on the network", plain + "admin: {listen: ':81', token: sesame}\n", func(*doctor.Machine) {}, "warn exposure: whoever has the token steers this stack"},
		{"a shell is process 1", plain, func(m *doctor.Machine) { m.Container, m.Init = true, "sh" }, "warn process 1: process 1 of this container is sh, which does not pass on the signal"},
		{"few files", plain, func(m *doctor.Machine) { m.Files = 256 }, "warn limits: only 256 files may be open at once"},
		{"fewer files than calls", plain + "  limits: {inflight: 9000}\n", func(*doctor.Machine) {}, "warn limits: 20000 files may be open at once, and 9000 calls (limits.inflight) may need 36200"},
		{"few processes", plain + "  replicas: 30\n", func(m *doctor.Machine) { m.Processes = 20 }, "warn limits: this user may run 20 processes, and the file asks for up to 30"},
		{"above the hard limit", plain + "  rlimits: {nofile: 30000}\n", func(*doctor.Machine) {}, "fail limits: a: rlimits: nofile: 30000 is above the hard limit of 20000"},
		{"recycled too late", plain + "  recycle: {memory: 2GiB}\n", func(m *doctor.Machine) { m.Memory, m.MemoryOf = 1<<30, "the cgroup" },
			"fail memory: a: recycle: {memory: 2GiB} is not below the 1GiB of the cgroup"},
		{"limited below recycling", plain + "  recycle: {memory: 2GiB}\n  rlimits: {as: 1GiB}\n", func(*doctor.Machine) {}, "fail memory: a: rlimits: {as: 1GiB} ends the program before"},
		{"too much in all", plain + "  recycle: {memory: 3GiB}\n  replicas: 2\n", func(*doctor.Machine) {}, "warn memory: with one successor each, the programs may use 9GiB before they are recycled, and this machine has 8GiB"},
		{"many processes", plain + "  replicas: 33\n", func(*doctor.Machine) {}, "warn cpu: up to 33 processes may run at once on 4 CPUs"},
		{"a wrong clock", plain, func(m *doctor.Machine) { m.Now = time.Unix(0, 0) }, "warn clock: it is 1970-01-01 00:00:00, which cannot be"},
		{"a file of the future", plain, func(m *doctor.Machine) { m.FileTime = m.Now.Add(time.Hour) }, "warn clock: the configuration was changed 1h0m0s in the future"},
		{"no temporary files", "server: {listen: '127.0.0.1:1'}\nroutes:\n- {name: a, mode: serializing, fprocess: run}\n", func(m *doctor.Machine) { m.Unwritable = errors.New("read-only") },
			"fail disk: bodies above 1 MiB of a will be answered with 507: read-only"},
		{"no temporary files needed", plain, func(m *doctor.Machine) { m.Unwritable = errors.New("read-only") }, "note disk: there can be no temporary files, and no route needs any: read-only"},
		{"little room", "server: {listen: '127.0.0.1:1'}\nroutes:\n- {name: a, mode: serializing, fprocess: run}\n", func(m *doctor.Machine) { m.Free = 100 << 20 },
			"warn disk: /tmp has only 100MiB for bodies above 1 MiB of a"},
		{"less room than bodies", "server: {listen: '127.0.0.1:1'}\nroutes:\n- {name: a, mode: serializing, fprocess: run, limits: {body: 1GiB, inflight: 20}}\n", func(*doctor.Machine) {},
			"warn disk: /tmp has 10GiB, and the bodies of all calls of a at once"},
		{"room in memory", "server: {listen: '127.0.0.1:1'}\nroutes:\n- {name: a, mode: serializing, fprocess: run}\n", func(m *doctor.Machine) { m.InMemory = true }, "note disk: /tmp is in memory"},
	} {
		m := healthy()
		c.machine(m)
		var said []string
		for _, f := range doctor.Examine(parse(t, c.file), m) {
			if f.Level != doctor.OK {
				said = append(said, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.What))
			}
		}
		if got := strings.Join(said, "\n"); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAMachineIsJudgedWithoutAConfiguration(t *testing.T) {
	m := healthy()
	m.Files = 10
	findings := doctor.Examine(nil, m)
	if got := doctor.Worst(findings); got != doctor.Warn {
		t.Errorf("got %s, want %s", got, doctor.Warn)
	}
	if got := doctor.Summary(findings); got != "1 warning." {
		t.Errorf("got %q, want 1 warning.", got)
	}
}

func TestThisMachineIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	m := doctor.Look(nil)
	if m.CPUs <= 0 || m.Files == 0 || m.Free <= 0 || m.Temporary != dir || m.Unwritable != nil || m.Root != (os.Geteuid() == 0) {
		t.Errorf("got %+v, want CPUs, files, room and the temporary folder", m)
	}
	if err := m.Busy("127.0.0.1:0"); err != nil {
		t.Errorf("got %v, want a free port", err)
	}
	if err := m.Busy("unix:" + dir + "/none/x.sock"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v, want that the folder of the socket is missing", err)
	}
	if !m.Inside("/a", "/a/b/c") || m.Inside("/a", "/ab") {
		t.Error("got the wrong folder of a file, want /a for /a/b/c only")
	}
}
