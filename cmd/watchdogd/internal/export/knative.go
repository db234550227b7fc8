package export

import "github.com/watchdogd/watchdogd/internal/phrase"

// knative writes a Service of Knative for each unit.
func knative(p *plan) ([]File, error) {
	if p.app.Config.Server.TLS.Cert != "" {
		return nil, errTLS("Knative")
	}
	if p.front0().Metrics != 0 {
		p.note("metrics.listen: Knative reaches one port of a container; scrape the pods themselves, or read Knative's own metrics")
	}
	p.note("the time to stop is Knative's own: it gives a pod timeoutSeconds, which is set to the budget where that is longer")
	p.note("maxUnavailable, disruption budgets and autoscalers are Knative's own too: --replicas MIN:MAX are its min-scale and max-scale")
	if len(p.secrets()) > 0 {
		p.note("the secret %s-env with the %s %s must exist", p.name, phrase.Of(len(p.secrets()), "key", "keys"), phrase.All(p.secrets()))
	}
	p.note("Knative must allow volumes of type emptyDir (feature kubernetes.podspec-volumes-emptydir), which it does by default")
	w := &writer{}
	p.head(w, "#", "Knative services")
	p.configMap(w, p.name+"-config", p.app.Files)
	for i := range p.units {
		u := &p.units[i]
		config := p.name + "-config"
		if u.Gateway {
			u.Files = []Source{p.gatewayFile(func(to unit) string { return "http://" + to.Name + "." + p.o.Namespace + ".svc.cluster.local" })}
			u.Command = p.run("gateway.yaml")
			config = p.name + "-gateway-config"
			p.configMap(w, config, u.Files)
		}
		p.knativeService(w, u, config)
	}
	return []File{{Name: p.name + ".yaml", Content: []byte(w.String())}}, nil
}

func (p *plan) knativeService(w *writer, u *unit, config string) {
	timeout, concurrency := u.Budget.Seconds(), 0
	for i := range u.Routes {
		if n := u.Routes[i].Limits.Inflight; n == 0 {
			concurrency = 0
			break
		} else {
			concurrency += n + u.Routes[i].Limits.Queue
		}
	}
	w.line(0, "---")
	w.line(0, "apiVersion: serving.knative.dev/v1")
	w.line(0, "kind: Service")
	w.line(0, "metadata:")
	w.line(1, "name: %s", u.Name)
	if p.o.Layout == Split && !u.Front {
		w.line(1, "labels: {networking.knative.dev/visibility: cluster-local}")
	}
	w.line(0, "spec:")
	w.line(1, "template:")
	w.line(2, "metadata:")
	w.line(3, "annotations:")
	w.line(4, `autoscaling.knative.dev/min-scale: "%d"`, u.Min)
	w.line(4, `autoscaling.knative.dev/max-scale: "%d"`, u.Max)
	w.line(4, "watchdogd/config: %s", quote(checksum(u.Files)))
	w.line(2, "spec:")
	w.line(3, "containerConcurrency: %d # limits.inflight and limits.queue of its routes; 0 is no limit", concurrency)
	w.line(3, "timeoutSeconds: %d # %s", timeout, u.Budget.Sum)
	w.line(3, "containers:")
	p.container(w, 4, u, false)
	w.line(3, "volumes:")
	w.line(4, "- name: config")
	w.line(5, "configMap: {name: %s}", config)
	w.line(4, "- name: tmp")
	w.line(5, "emptyDir: {}")
}
