package export

import (
	"fmt"
	"path"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// nomad writes a job with a group for each unit, which runs it by the docker driver.
func nomad(p *plan) ([]File, error) {
	if err := p.noInnerTLS(); err != nil {
		return nil, err
	}
	p.note("kill_timeout is bounded by max_kill_timeout of the client, 30s unless its configuration says more")
	p.note("%s holds a fixed port of its node, so that an update stops the old task of a node before the new one starts: with count 2 on two nodes the other serves meanwhile", p.front0().Name)
	if p.scales() {
		p.note("--replicas: a scaling block needs an autoscaler of Nomad with a policy of its own; MIN is the count")
	}
	if len(p.secrets()) > 0 {
		p.note("%s %s read from the Nomad variable nomad/jobs/%s: nomad var put nomad/jobs/%s %s=...", phrase.All(p.secrets()), phrase.Of(len(p.secrets()), "is", "are"), p.name, p.name, p.secrets()[0])
	}
	w := &writer{}
	p.head(w, "#", "Job of Nomad")
	w.line(0, "job %s {", hcl(p.name))
	w.line(1, "datacenters = [\"*\"]")
	w.line(1, "type        = \"service\"")
	for i := range p.units {
		u := &p.units[i]
		if u.Gateway { // Nomad's own DNS-free way to find a service: its template
			u.Files = []Source{p.gatewayFile(func(to unit) string { return nomadAddress(to.Name) })}
			u.Command = p.run("gateway.yaml")
		}
		w.line(0, "")
		p.nomadGroup(w, u)
	}
	w.line(0, "}")
	return []File{{Name: p.name + ".nomad.hcl", Content: []byte(w.String())}}, nil
}

// nomadAddress is a placeholder that the template of the gateway's file replaces by the
// addresses of the service.
func nomadAddress(service string) string { return "nomad-service-" + service }

func (p *plan) nomadGroup(w *writer, u *unit) {
	w.line(1, "group %s {", hcl(u.Name))
	w.line(2, "count = %d", u.Min)
	w.line(2, "network {")
	if u.Front {
		w.line(3, "port \"http\" {")
		w.line(4, "static = %d", u.Port)
		w.line(4, "to     = %d", u.Port)
		w.line(3, "}")
	} else {
		w.line(3, "port \"http\" { to = %d }", u.Port)
	}
	if u.Metrics != 0 {
		w.line(3, "port \"metrics\" { to = %d }", u.Metrics)
	}
	w.line(2, "}")
	w.line(2, "update {")
	w.line(3, "max_parallel = 1")
	if !u.Front { // whose port one task of a node can hold
		w.line(3, "canary       = 1 # the new one is healthy before the old one stops")
		w.line(3, "auto_promote = true")
	}
	w.line(3, "auto_revert  = true")
	w.line(3, "healthy_deadline  = \"%ds\" # %s", u.Start+60, u.StartSum)
	w.line(3, "progress_deadline = \"%ds\"", u.Start+120)
	w.line(2, "}")
	w.line(2, "service {")
	w.line(3, "name     = %s", hcl(u.Name))
	w.line(3, "port     = \"http\"")
	w.line(3, "provider = \"nomad\"")
	for _, c := range []struct{ name, path string }{{"ready", "/_/ready"}, {"health", "/_/health"}} {
		w.line(3, "check {")
		w.line(4, "name     = %s", hcl(c.name))
		w.line(4, "type     = \"http\"")
		if u.TLS {
			w.line(4, "protocol = \"https\"")
			w.line(4, "tls_skip_verify = true")
		}
		w.line(4, "path     = %s", hcl(c.path))
		w.line(4, "interval = \"5s\"")
		w.line(4, "timeout  = \"4s\"")
		w.line(3, "}")
	}
	w.line(2, "}")
	p.nomadTask(w, u)
	w.line(1, "}")
}

func (p *plan) nomadTask(w *writer, u *unit) {
	w.line(2, "task \"watchdogd\" {")
	w.line(3, "driver       = \"docker\"")
	w.line(3, "kill_signal  = \"SIGTERM\"")
	w.line(3, "kill_timeout = \"%ds\" # %s", u.Budget.Seconds(), u.Budget.Sum)
	if !u.Root {
		w.line(3, "user         = \"65532:65532\"")
	}
	w.line(3, "config {")
	w.line(4, "image   = %s", hcl(p.o.Image))
	w.line(4, "entrypoint = %s", hclList(u.Command[:1]))
	w.line(4, "args    = %s", hclList(u.Command[1:]))
	ports := []string{"http"}
	if u.Metrics != 0 {
		ports = append(ports, "metrics")
	}
	w.line(4, "ports   = %s", hclList(ports))
	w.line(4, "readonly_rootfs = true # programs may write to /tmp")
	w.line(4, "cap_drop = [\"all\"]")
	if u.Root {
		w.line(4, "cap_add = [\"setuid\", \"setgid\", \"kill\"] # for user:")
	}
	for _, f := range u.Files {
		w.line(4, "mount {")
		w.line(5, "type     = \"bind\"")
		w.line(5, "source   = %s", hcl("local/"+f.Path))
		w.line(5, "target   = %s", hcl(path.Join(p.o.Folder, f.Path)))
		w.line(5, "readonly = true")
		w.line(4, "}")
	}
	w.line(4, "mount {")
	w.line(5, "type   = \"tmpfs\"")
	w.line(5, "target = \"/tmp\"")
	w.line(4, "}")
	w.line(3, "}")
	w.line(3, "env {")
	w.line(4, "PORT = %s", hcl(fmt.Sprint(u.Port)))
	w.line(3, "}")
	for _, f := range u.Files {
		p.nomadTemplate(w, u, f)
	}
	p.nomadSecrets(w, u)
	if u.Memory != 0 {
		w.line(3, "resources {")
		w.line(4, "memory = %d # %s", mebibytes(int64(u.Memory)), u.MemoryIs)
		w.line(3, "}")
	} else {
		w.line(3, "# %s", u.MemoryIs)
	}
	w.line(2, "}")
}

// nomadSecrets writes the variables without a default, which Nomad keeps.
func (p *plan) nomadSecrets(w *writer, u *unit) {
	if names := p.secrets(); len(names) > 0 && !u.Gateway {
		w.line(3, "template {")
		w.line(4, "destination = \"secrets/env\"")
		w.line(4, "env         = true")
		w.line(4, "data        = <<EOT")
		for _, name := range names {
			w.line(0, `%s={{ with nomadVar "nomad/jobs/%s" }}{{ .%s }}{{ end }}`, name, p.name, name)
		}
		w.line(0, "EOT")
		w.line(3, "}")
	}
}

// nomadTemplate writes a file of the configuration into the task. Nomad renders it, with
// other delimiters than a file of YAML may hold; the gateway's names the addresses of the
// others, and is written again when they change.
func (p *plan) nomadTemplate(w *writer, u *unit, f Source) {
	content := f.Content
	w.line(3, "template {")
	w.line(4, "destination     = %s", hcl("local/"+f.Path))
	w.line(4, "left_delimiter  = \"<<{\"")
	w.line(4, "right_delimiter = \"}>>\"")
	if u.Gateway {
		w.line(4, "change_mode     = \"signal\"")
		w.line(4, "change_signal   = \"SIGHUP\" # watchdogd reads the file again")
		for _, other := range p.units {
			if !other.Gateway {
				content = strings.ReplaceAll(content, `upstream: "`+nomadAddress(other.Name)+`"`,
					fmt.Sprintf(`upstream: [<<{ range $i, $s := nomadService %q }>><<{ if $i }>>, <<{ end }>>"http://<<{ $s.Address }>>:<<{ $s.Port }>>"<<{ end }>>]`, other.Name))
			}
		}
	}
	end := "EOT"
	for strings.Contains(content, end) {
		end += "T"
	}
	w.line(4, "data            = <<%s", end)
	w.WriteString(strings.NewReplacer("${", "$${", "%{", "%%{").Replace(content))
	if !strings.HasSuffix(content, "\n") {
		w.WriteByte('\n')
	}
	w.line(0, "%s", end)
	w.line(3, "}")
}

// hcl writes s as a string of HCL, in which nothing is replaced.
func hcl(s string) string { return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quote(s)) }

func hclList(items []string) string {
	var quoted []string
	for _, s := range items {
		quoted = append(quoted, hcl(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
