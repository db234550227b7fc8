package export

import "fmt"

// openfaas writes a stack.yaml for faas-cli.
func openfaas(p *plan) ([]File, error) {
	if p.app.Config.Server.TLS.Cert != "" {
		return nil, errTLS("OpenFaaS")
	}
	if p.front0().Port != 8080 {
		return nil, fmt.Errorf("OpenFaaS sends requests to port 8080 of a function, and server.listen is %d: write server: {listen: \":${PORT:-8080}\"}", p.front0().Port)
	}
	p.note("%s must be in the image at %s, with the programs: OpenFaaS mounts no configuration", p.fileNames(), p.o.Folder)
	p.note("OpenFaaS routes by name: a request reaches a function at /function/NAME, and the routes' host: is not its own")
	p.note("OpenFaaS stops a pod after write_timeout and two seconds, so that write_timeout is the budget; watchdogd itself does not read it beside a file")
	p.note("metrics.listen: annotate the function for Prometheus where its port is not 8081")
	for _, name := range p.secrets() {
		p.note("%s is a variable of the environment here: OpenFaaS gives secrets as files in /var/openfaas/secrets, which env_file can read", name)
	}
	w := &writer{}
	p.head(w, "#", "OpenFaaS functions")
	w.line(0, "version: 1.0")
	w.line(0, "provider:")
	w.line(1, "name: openfaas")
	w.line(1, "gateway: http://127.0.0.1:8080")
	w.line(0, "functions:")
	for i := range p.units {
		if u := &p.units[i]; !u.Gateway { // OpenFaaS has its own
			p.function(w, u)
		}
	}
	return []File{{Name: "stack.yaml", Content: []byte(w.String())}}, nil
}

func (p *plan) function(w *writer, u *unit) {
	w.line(1, "%s:", u.Name)
	w.line(2, "lang: dockerfile")
	w.line(2, "handler: .")
	w.line(2, "image: %s", quote(p.o.Image))
	w.line(2, "readonly_root_filesystem: true")
	w.line(2, "environment:")
	w.line(3, "WATCHDOG_CONFIG: %s", quote(u.Command[3]))
	if u.Short != "" {
		w.line(3, "WATCHDOG_ONLY: %s", quote(u.Short))
	}
	w.line(3, "write_timeout: %ds # %s", u.Budget.Seconds(), u.Budget.Sum)
	for _, name := range p.secrets() {
		w.line(3, "%s: %s", name, quote("${"+name+"}"))
	}
	w.line(2, "annotations:")
	w.line(3, "com.openfaas.health.http.path: /_/health")
	w.line(3, "com.openfaas.health.http.initialDelay: 2s")
	w.line(3, "com.openfaas.ready.http.path: /_/ready")
	w.line(2, "labels:")
	w.line(3, `com.openfaas.scale.min: "%d"`, u.Min)
	w.line(3, `com.openfaas.scale.max: "%d"`, u.Max)
	if u.Memory != 0 {
		w.line(2, "limits: {memory: %dMi} # %s", mebibytes(int64(u.Memory)), u.MemoryIs)
	}
}
