package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// init judges process 1, which in a container gets the signals.
func (d *doctor) init() {
	m := d.m
	switch {
	case m.Self:
		d.say(OK, "process 1", "", "watchdogd is process 1: it gets the signals of the engine and waits for orphans")
	case m.Container && slices.Contains([]string{"sh", "bash", "dash", "ash", "busybox"}, m.Init):
		d.say(Warn, "process 1", `write the command as a list, as in CMD ["watchdogd"], or exec watchdogd at the end of the script`, "process 1 of this container is %s, which does not pass on the signal to stop: requests will be cut", m.Init)
	case m.Container && m.Init != "":
		d.say(OK, "process 1", "", "process 1 of this container is %s; watchdogd waits for orphans below it", m.Init)
	default:
		d.say(OK, "process 1", "", "watchdogd is not process 1, and waits for the orphans of its programs itself")
	}
}

// Connections and files besides those of calls.
const (
	spareFiles   = 200
	filesPerCall = 4    // the client's connection, the upstream's, a body, a pipe
	fewFiles     = 1024 // below it, a burst of connections meets the limit
)

// limits judges the limits of this user's processes.
func (d *doctor) limits() {
	m := d.m
	if m.Files == 0 {
		return
	}
	calls, instances := d.demand()
	need := uint64(calls*filesPerCall + spareFiles)
	switch {
	case calls > 0 && m.Files < need:
		d.say(Warn, "limits", "ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker", "%d files may be open at once, and %d calls (limits.inflight) may need %d", m.Files, calls, need)
	case m.Files < fewFiles:
		d.say(Warn, "limits", "ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker", "only %d files may be open at once; each connection is one", m.Files)
	default:
		d.say(OK, "limits", "", "%d files may be open at once", m.Files)
	}
	if m.Processes > 0 && uint64(instances) > m.Processes {
		d.say(Warn, "limits", "ulimit -u, LimitNPROC= of systemd", "this user may run %d processes, and the file asks for up to %d", m.Processes, instances)
	}
	for name, p := range d.processes() {
		if want, ok := p.RLimits["nofile"]; ok && m.MostFiles > 0 && uint64(want) > m.MostFiles && !m.Root {
			d.say(Fail, "limits", "lower it, or raise the hard limit of watchdogd", "%s: rlimits: nofile: %d is above the hard limit of %d, which only root may exceed", name, int64(want), m.MostFiles)
		}
	}
}

// demand is how many calls there may be at once, as far as they are limited, and how many
// processes.
func (d *doctor) demand() (calls, instances int) {
	if d.cfg == nil {
		return 0, 0
	}
	for i := range d.cfg.Routes {
		r := &d.cfg.Routes[i]
		calls += r.Limits.Inflight
		switch {
		case r.Supervised():
			instances += r.Replicas.Max
		case r.Forks():
			instances += r.Limits.Inflight + r.Warm
		}
	}
	for i := range d.cfg.Services {
		instances += d.cfg.Services[i].Replicas.Max
	}
	return calls, instances
}

// memory judges what programs may use against what there is.
func (d *doctor) memory() {
	m := d.m
	if m.Memory == 0 {
		return
	}
	var sum int64
	bad := false
	for name, p := range d.processes() {
		most := int64(p.Recycle.Memory)
		if most == 0 {
			continue
		}
		// A successor is ready before the old instance leaves.
		sum += most * int64(p.Replicas.Max+1)
		if most >= m.Memory {
			bad = true
			d.say(Fail, "memory", "lower recycle.memory, or raise the limit", "%s: recycle: {memory: %s} is not below the %s of %s: the kernel kills an instance before it is replaced", name, p.Recycle.Memory, schema.Size(m.Memory), m.MemoryOf)
		}
		if as := int64(p.RLimits["as"]); as > 0 && as <= most {
			bad = true
			d.say(Fail, "memory", "set rlimits: {as: } well above recycle.memory", "%s: rlimits: {as: %s} ends the program before recycle: {memory: %s} replaces it", name, p.RLimits["as"], p.Recycle.Memory)
		}
	}
	switch {
	case bad:
	case sum > m.Memory:
		d.say(Warn, "memory", "fewer replicas, a lower recycle.memory, or more memory", "with one successor each, the programs may use %s before they are recycled, and %s has %s", schema.Size(sum), m.MemoryOf, schema.Size(m.Memory))
	default:
		d.say(OK, "memory", "", "%s has %s", m.MemoryOf, rounded(m.Memory))
	}
}

// rounded is a size in the unit that a person reads.
func rounded(n int64) string {
	for _, unit := range []int64{1 << 30, 1 << 20, 1 << 10} {
		if n >= 10*unit {
			return schema.Size(n / unit * unit).String()
		}
	}
	return schema.Size(n).String()
}

// busy is how many instances for each CPU are many: most wait for something else.
const busy = 8

// cpus is the noun for n of them.
func cpus(n float64) string {
	if n == 1 {
		return "CPU"
	}
	return "CPUs"
}

// cpu judges the number of instances against that of CPUs.
func (d *doctor) cpu() {
	if d.m.CPUs == 0 {
		return
	}
	_, instances := d.demand()
	if float64(instances) > busy*max(1, d.m.CPUs) {
		d.say(Warn, "cpu", "lower replicas.max or limits.inflight, or give it more CPUs", "up to %d processes may run at once on %.3g %s", instances, d.m.CPUs, cpus(d.m.CPUs))
		return
	}
	d.say(OK, "cpu", "", "%.3g CPUs", d.m.CPUs)
}

// started is a day before which this program did not exist.
var started = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// clock judges the time, which tokens and certificates depend on.
func (d *doctor) clock() {
	m := d.m
	timed := false
	if d.cfg != nil {
		timed = d.cfg.Server.TLS.Cert != ""
		for i := range d.cfg.Routes {
			a := d.cfg.Routes[i].Auth
			timed = timed || a.JWT != nil || a.HMAC != nil || a.OpenFaaS != nil
		}
	}
	const do = "run an NTP client, such as systemd-timesyncd or chrony; a container has the clock of its machine"
	switch {
	case m.Now.Before(started) && timed:
		d.say(Fail, "clock", do, "it is %s: tokens and certificates will not be valid", m.Now.UTC().Format(time.DateTime))
	case m.Now.Before(started):
		d.say(Warn, "clock", do, "it is %s, which cannot be", m.Now.UTC().Format(time.DateTime))
	case m.FileTime.Sub(m.Now) > time.Minute:
		d.say(Warn, "clock", do, "the configuration was changed %s in the future: the clock is behind", m.FileTime.Sub(m.Now).Round(time.Second))
	case m.Unsynced && timed:
		d.say(Note, "clock", do, "the kernel says that the clock is not synchronized; tokens and signatures depend on it")
	default:
		d.say(OK, "clock", "", "it is %s", m.Now.UTC().Format(time.DateTime+" MST"))
	}
}

// leastFree is what should be left for bodies that do not fit into memory.
const leastFree = 256 << 20

// disk judges the folder of temporary files.
func (d *doctor) disk() {
	m := d.m
	var spilling []string
	var need int64
	if d.cfg != nil && m.Spill != nil {
		for i := range d.cfg.Routes {
			if r := &d.cfg.Routes[i]; m.Spill(r) {
				spilling = append(spilling, r.Name)
				need += int64(r.Limits.Body) * int64(max(1, r.Limits.Inflight))
			}
		}
	}
	const do = "set TMPDIR to a folder with room, or lower limits.body"
	level := Warn
	switch {
	case m.Unwritable != nil && len(spilling) > 0:
		d.say(Fail, "disk", "set TMPDIR to a folder that can be written to", "bodies above 1 MiB of %s will be answered with 507: %v", some(spilling), m.Unwritable)
	case m.Unwritable != nil:
		d.say(Note, "disk", "", "there can be no temporary files, and no route needs any: %v", m.Unwritable)
	case m.Temporary == "" || m.Free == 0:
	case len(spilling) > 0 && need > m.Free:
		d.say(level, "disk", do, "%s has %s, and the bodies of all calls of %s at once (limits.body times limits.inflight) may need %s", m.Temporary, rounded(m.Free), some(spilling), schema.Size(need))
	case len(spilling) > 0 && m.Free < leastFree:
		d.say(level, "disk", do, "%s has only %s for bodies above 1 MiB of %s", m.Temporary, rounded(m.Free), some(spilling))
	case len(spilling) > 0 && m.InMemory:
		d.say(Note, "disk", "set TMPDIR to a folder on a disk if bodies are large", "%s is in memory, and so are bodies above 1 MiB of %s", m.Temporary, some(spilling))
	default:
		d.say(OK, "disk", "", "%s has %s", m.Temporary, rounded(m.Free))
	}
}

// Summary is the end of the list in a sentence.
func Summary(findings []Finding) string {
	n := map[Level]int{}
	for _, f := range findings {
		n[f.Level]++
	}
	var parts []string
	for _, level := range []struct {
		Level
		noun string
	}{{Fail, "failure"}, {Warn, "warning"}, {Note, "note"}} {
		if n[level.Level] > 0 {
			parts = append(parts, phrase.Count(n[level.Level], level.noun))
		}
	}
	if len(parts) == 0 {
		return "Everything is fine."
	}
	return strings.Join(parts, ", ") + "."
}
