package export

import (
	"fmt"
	"path"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// compose writes a compose.yaml for docker compose, and the gateway's file beside it.
func compose(p *plan) ([]File, error) {
	if err := p.noInnerTLS(); err != nil {
		return nil, err
	}
	p.note("compose replaces a container by stopping it first: requests wait or fail meanwhile; Swarm starts the new one first")
	if p.scales() {
		p.note("--replicas: compose does not scale by load; MIN is the number of containers")
	}
	return p.composeFiles("compose.yaml", "Compose file", p.composeService)
}

// swarm writes a stack file for docker stack deploy, and the gateway's file beside it.
func swarm(p *plan) ([]File, error) {
	if err := p.noInnerTLS(); err != nil {
		return nil, err
	}
	if p.o.Publish == Host && p.o.Update == StartFirst {
		return nil, fmt.Errorf("--publish host with --update start-first: a port of the host is held by one task, so that the new task could never start before the old one stops; write --update stop-first, or --publish ingress")
	}
	if p.scales() {
		p.note("--replicas: Swarm does not scale by load, and MIN is the number of replicas; a gateway with gateway.swarm scales services by their labels")
	}
	return p.composeFiles("stack.yaml", "Stack of Docker Swarm", p.swarmService)
}

// composeFiles is what both have in common.
func (p *plan) composeFiles(name, what string, service func(*writer, *unit)) ([]File, error) {
	var more []File
	for i := range p.units {
		if u := &p.units[i]; u.Gateway {
			u.Files = []Source{p.gatewayFile(func(to unit) string { return fmt.Sprintf("http://%s:%d", to.Short, to.Port) })}
			u.Command = p.run("gateway.yaml")
			more = append(more, File{Name: "gateway.yaml", Content: []byte(u.Files[0].Content)})
		}
	}
	p.note("%s %s read from beside this file", p.fileNames(), phrase.Of(len(p.app.Files), "is", "are"))
	w := &writer{}
	p.head(w, "#", what)
	if name == "stack.yaml" {
		w.line(0, `version: "3.8"`)
	} else {
		w.line(0, "name: %s", p.name)
	}
	w.line(0, "services:")
	for i := range p.units {
		service(w, &p.units[i])
	}
	w.line(0, "configs:")
	written := map[string]bool{}
	for _, u := range p.units {
		for _, f := range u.Files {
			if key := configID(f); !written[key] {
				written[key] = true
				w.line(1, "%s:", key)
				w.line(2, "file: %s", quote("./"+f.Path))
				if name == "stack.yaml" { // a config of Swarm cannot be changed, only replaced
					w.line(2, "name: %s", quote(p.name+"-"+key+"-"+checksum([]Source{f})))
				}
			}
		}
	}
	return append([]File{{Name: name, Content: []byte(w.String())}}, more...), nil
}

// fileNames lists the files that the manifests refer to.
func (p *plan) fileNames() string {
	var names []string
	for _, f := range p.app.Files {
		names = append(names, f.Path)
	}
	return phrase.All(names)
}

func configID(f Source) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, f.Path)
}

// serviceKey is the name of a unit inside the file, which is its name on the network too.
func (u *unit) serviceKey(p *plan) string {
	if u.Short == "" {
		return p.name
	}
	return u.Short
}

// common are the keys of a service that compose and Swarm read alike.
func (p *plan) common(w *writer, u *unit) {
	w.line(1, "%s:", u.serviceKey(p))
	w.line(2, "image: %s", quote(p.o.Image))
	w.list(2, "entrypoint", u.Command[:1])
	w.list(2, "command", u.Command[1:])
	w.line(2, "environment:")
	w.line(3, "PORT: %s", quote(fmt.Sprint(u.Port)))
	if !u.Gateway {
		for _, name := range p.secrets() {
			w.line(3, "%s: %s", name, quote("${"+name+":?}"))
		}
	}
	w.line(2, "configs:")
	for _, f := range u.Files {
		w.line(3, "- {source: %s, target: %s}", configID(f), quote(path.Join(p.o.Folder, f.Path)))
	}
	if !u.Root {
		w.line(2, `user: "65532:65532"`)
	}
	w.line(2, "read_only: true # programs may write to /tmp")
	w.line(2, "volumes:")
	w.line(3, "- {type: tmpfs, target: /tmp}")
	w.line(2, "cap_drop: [ALL]")
	if u.Root {
		w.line(2, "cap_add: [SETUID, SETGID, KILL] # for user:")
	}
	w.line(2, "stop_grace_period: %ds # %s", u.Budget.Seconds(), u.Budget.Sum)
	w.line(2, "healthcheck:")
	w.list(3, "test", []string{"CMD", p.o.Program, "healthcheck", "--ready", "-c", u.Command[3]})
	w.line(3, "interval: 5s")
	w.line(3, "timeout: 4s")
	w.line(3, "start_period: %ds # %s", u.Start, u.StartSum)
}

func (p *plan) composeService(w *writer, u *unit) {
	p.common(w, u)
	w.line(2, "init: false # watchdogd reaps what its processes leave")
	w.line(2, "restart: unless-stopped")
	w.line(2, "security_opt: [no-new-privileges:true]")
	if u.Front {
		w.line(2, "ports: [%s]", quote(fmt.Sprintf("%d:%d", u.Port, u.Port)))
	}
	w.line(2, "deploy:")
	w.line(3, "replicas: %d", u.Min)
	p.composeMemory(w, u)
}

func (p *plan) composeMemory(w *writer, u *unit) {
	if u.Memory == 0 {
		w.line(3, "# %s", u.MemoryIs)
		return
	}
	w.line(3, "resources:")
	w.line(4, "limits: {memory: %dM} # %s", mebibytes(int64(u.Memory)), u.MemoryIs)
}

func (p *plan) swarmService(w *writer, u *unit) {
	p.common(w, u)
	if u.Front {
		w.line(2, "ports:")
		w.line(3, "- {target: %d, published: %d, mode: %s}", u.Port, u.Port, p.o.Publish)
	}
	w.line(2, "deploy:")
	w.line(3, "replicas: %d", u.Min)
	if !u.Front || u.Gateway && p.o.Publish == Host {
		w.line(3, "endpoint_mode: dnsrr # the gateway spreads the calls over the tasks itself")
	}
	for _, key := range []string{"update_config", "rollback_config"} {
		action := "rollback"
		if key == "rollback_config" {
			action = "pause"
		}
		w.line(3, "%s: {order: %s, failure_action: %s, parallelism: 1, monitor: %ds}", key, p.o.Update, action, u.Start)
	}
	w.line(3, "restart_policy: {condition: any}")
	p.composeMemory(w, u)
}
