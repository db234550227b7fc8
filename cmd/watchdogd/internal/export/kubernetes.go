package export

import (
	"fmt"
	"path"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// kubernetes writes one file of all objects: for each unit a ConfigMap, a Deployment, a
// Service, and where they are asked for a budget of disruptions and a scaler.
func kubernetes(p *plan) ([]File, error) {
	if p.scales() && p.o.Scaler == KEDA && p.front0().Metrics == 0 {
		return nil, fmt.Errorf("--scaler keda asks /_/stats on the port of the metrics, which no other container can reach: write metrics: {listen: \":8081\"}")
	}
	if err := p.noInnerTLS(); err != nil {
		return nil, err
	}
	p.kubernetesNotes()
	w := &writer{}
	p.head(w, "#", "Kubernetes manifests")
	p.configMap(w, p.name+"-config", p.app.Files)
	for i := range p.units {
		u := &p.units[i]
		config := p.name + "-config"
		if u.Gateway {
			u.Files = []Source{p.gatewayFile(func(to unit) string { return "http://" + to.Name })}
			u.Command = p.run("gateway.yaml")
			config = p.name + "-gateway-config"
			p.configMap(w, config, u.Files)
		}
		p.deployment(w, u, config)
		p.service(w, u)
		if u.Min > 1 {
			p.disruptions(w, u)
		}
		if p.scales() {
			p.scaler(w, u)
		}
	}
	return []File{{Name: p.name + ".yaml", Content: []byte(w.String())}}, nil
}

func (p *plan) scales() bool { return p.o.Max > p.o.Min }

// front0 is the unit that takes requests.
func (p *plan) front0() *unit {
	for i := range p.units {
		if p.units[i].Front {
			return &p.units[i]
		}
	}
	return &p.units[0]
}

// noInnerTLS refuses what a gateway could not reach.
func (p *plan) noInnerTLS() error {
	if p.o.Layout == Split && p.app.Config.Server.TLS.Cert != "" {
		return fmt.Errorf("server.tls: in the split layout each route's container would serve TLS, which the gateway does not speak to upstreams: leave TLS to the ingress, or use --layout bundle")
	}
	return nil
}

func (p *plan) kubernetesNotes() {
	cfg := p.app.Config
	if cfg.Server.TLS.Cert != "" {
		p.note("server.tls: the certificate and its key must be in the image or mounted at the paths of the file")
	}
	if len(p.secrets()) > 0 {
		p.note("the secret %s-env with the %s %s must exist: kubectl create secret generic %s-env --from-literal=%s=...", p.name, phrase.Of(len(p.secrets()), "key", "keys"), phrase.All(p.secrets()), p.name, p.secrets()[0])
	}
	p.note("requests.cpu 100m is an assumption, since no key of the file says what a process needs; measure it")
}

// secrets are the variables that the containers must be given.
func (p *plan) secrets() (names []string) {
	for _, v := range p.app.Variables {
		if v.Required && v.Name != "PORT" {
			names = append(names, v.Name)
		}
	}
	return names
}

func (p *plan) labels(w *writer, depth int, u *unit) {
	w.line(depth, "app.kubernetes.io/name: %s", quote(u.Name))
	w.line(depth, "app.kubernetes.io/part-of: %s", quote(p.name))
}

// configKey is the name of a file in a ConfigMap, which has no folders.
func configKey(file string) string { return strings.ReplaceAll(file, "/", "__") }

func (p *plan) configMap(w *writer, name string, files []Source) {
	w.line(0, "---")
	w.line(0, "apiVersion: v1")
	w.line(0, "kind: ConfigMap")
	w.line(0, "metadata:")
	w.line(1, "name: %s", name)
	w.line(0, "data:")
	for _, f := range files {
		w.literal(1, quote(configKey(f.Path)), f.Content)
	}
}

func (p *plan) deployment(w *writer, u *unit, config string) {
	w.line(0, "---")
	w.line(0, "apiVersion: apps/v1")
	w.line(0, "kind: Deployment")
	w.line(0, "metadata:")
	w.line(1, "name: %s", u.Name)
	w.line(1, "labels:")
	p.labels(w, 2, u)
	w.line(0, "spec:")
	if p.scales() {
		w.line(1, "# replicas is left to the scaler below")
	} else {
		w.line(1, "replicas: %d", u.Min)
	}
	w.line(1, "strategy:")
	w.line(2, "type: RollingUpdate")
	w.line(2, "rollingUpdate: {maxUnavailable: 0, maxSurge: 1}")
	w.line(1, "selector:")
	w.line(2, "matchLabels:")
	w.line(3, "app.kubernetes.io/name: %s", quote(u.Name))
	w.line(1, "template:")
	w.line(2, "metadata:")
	w.line(3, "labels:")
	p.labels(w, 4, u)
	w.line(3, "annotations:")
	w.line(4, "watchdogd/config: %s # another value, and so new pods, when the file changes", quote(checksum(u.Files)))
	w.line(2, "spec:")
	w.line(3, "terminationGracePeriodSeconds: %d # %s", u.Budget.Seconds(), u.Budget.Sum)
	w.line(3, "automountServiceAccountToken: false")
	w.line(3, "securityContext:")
	if !u.Root {
		w.line(4, "runAsNonRoot: true")
		w.line(4, "runAsUser: 65532")
		w.line(4, "runAsGroup: 65532")
	}
	w.line(4, "seccompProfile: {type: RuntimeDefault}")
	w.line(3, "containers:")
	p.container(w, 4, u, true)
	w.line(3, "volumes:")
	w.line(4, "- name: config")
	w.line(5, "configMap: {name: %s}", config)
	w.line(4, "- name: tmp")
	w.line(5, "emptyDir: {}")
}

// container is an item of containers, which Kubernetes and Knative share but for what only
// a cluster's own Deployment may say.
func (p *plan) container(w *writer, depth int, u *unit, whole bool) {
	w.line(depth, "- name: watchdogd")
	w.line(depth+1, "image: %s", quote(p.o.Image))
	w.list(depth+1, "command", u.Command)
	p.containerEnv(w, depth+1, u, whole)
	w.line(depth+1, "ports:")
	if whole {
		w.line(depth+2, "- {name: http, containerPort: %d}", u.Port)
		if u.Metrics != 0 {
			w.line(depth+2, "- {name: metrics, containerPort: %d}", u.Metrics)
		}
	} else {
		w.line(depth+2, "- {containerPort: %d}", u.Port)
	}
	p.probes(w, depth+1, u, whole)
	w.line(depth+1, "resources:")
	if u.Memory != 0 {
		w.line(depth+2, "requests: {cpu: 100m, memory: %dMi}", mebibytes(int64(u.Memory)))
		w.line(depth+2, "limits: {memory: %dMi} # %s", mebibytes(int64(u.Memory)), u.MemoryIs)
	} else {
		w.line(depth+2, "requests: {cpu: 100m} # %s", u.MemoryIs)
	}
	w.line(depth+1, "securityContext:")
	w.line(depth+2, "allowPrivilegeEscalation: false")
	w.line(depth+2, "readOnlyRootFilesystem: true # programs may write to /tmp")
	if u.Root {
		w.line(depth+2, `capabilities: {drop: ["ALL"], add: ["SETUID", "SETGID", "KILL"]} # for user:`)
	} else {
		w.line(depth+2, `capabilities: {drop: ["ALL"]}`)
	}
	w.line(depth+1, "volumeMounts:")
	for _, f := range u.Files {
		w.line(depth+2, "- {name: config, mountPath: %s, subPath: %s, readOnly: true}", quote(path.Join(p.o.Folder, f.Path)), quote(configKey(f.Path)))
	}
	w.line(depth+2, "- {name: tmp, mountPath: /tmp}")
}

func (p *plan) containerEnv(w *writer, depth int, u *unit, port bool) {
	w.line(depth, "env:")
	if port { // Knative sets it
		w.line(depth+1, "- {name: PORT, value: %s}", quote(fmt.Sprint(u.Port)))
	}
	w.line(depth+1, "- {name: TMPDIR, value: /tmp}")
	if u.Gateway {
		return
	}
	for _, name := range p.secrets() {
		w.line(depth+1, "- name: %s", name)
		w.line(depth+2, "valueFrom: {secretKeyRef: {name: %s-env, key: %s}}", p.name, name)
	}
}

func (p *plan) probes(w *writer, depth int, u *unit, whole bool) {
	port := ""
	if whole {
		port = ", port: http"
	}
	if u.TLS {
		port += ", scheme: HTTPS"
	}
	const every = 2
	w.line(depth, "startupProbe: # %s", u.StartSum)
	w.line(depth+1, "httpGet: {path: /_/health%s}", port)
	w.line(depth+1, "periodSeconds: %d", every)
	w.line(depth+1, "failureThreshold: %d", (u.Start+every-1)/every)
	w.line(depth, "readinessProbe:")
	w.line(depth+1, "httpGet: {path: /_/ready%s}", port)
	w.line(depth+1, "periodSeconds: 2")
	w.line(depth, "livenessProbe:")
	w.line(depth+1, "httpGet: {path: /_/health%s}", port)
	w.line(depth+1, "periodSeconds: 10")
}

// service makes a unit reachable, and its metrics by a Service of their own, so that who
// publishes the first does not publish the second.
func (p *plan) service(w *writer, u *unit) {
	head := func(name string) {
		w.line(0, "---")
		w.line(0, "apiVersion: v1")
		w.line(0, "kind: Service")
		w.line(0, "metadata:")
		w.line(1, "name: %s", name)
		w.line(0, "spec:")
		w.line(1, "selector: {app.kubernetes.io/name: %s}", quote(u.Name))
		w.line(1, "ports:")
	}
	head(u.Name)
	port := 80
	if u.TLS {
		port = 443
	}
	w.line(2, "- {name: http, port: %d, targetPort: http}", port)
	if u.Metrics != 0 {
		head(u.Name + "-metrics")
		w.line(2, "- {name: metrics, port: %d, targetPort: metrics}", u.Metrics)
	}
}

func (p *plan) disruptions(w *writer, u *unit) {
	w.line(0, "---")
	w.line(0, "apiVersion: policy/v1")
	w.line(0, "kind: PodDisruptionBudget")
	w.line(0, "metadata:")
	w.line(1, "name: %s", u.Name)
	w.line(0, "spec:")
	w.line(1, "maxUnavailable: 1")
	w.line(1, "selector:")
	w.line(2, "matchLabels: {app.kubernetes.io/name: %s}", quote(u.Name))
}

// scaler is either an autoscaler of Kubernetes, by CPU, or one of KEDA, by calls in flight.
func (p *plan) scaler(w *writer, u *unit) {
	w.line(0, "---")
	if p.o.Scaler == HPA || len(u.Routes) == 0 {
		w.line(0, "apiVersion: autoscaling/v2")
		w.line(0, "kind: HorizontalPodAutoscaler")
		w.line(0, "metadata:")
		w.line(1, "name: %s", u.Name)
		w.line(0, "spec:")
		w.line(1, "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}", u.Name)
		w.line(1, "minReplicas: %d", u.Min)
		w.line(1, "maxReplicas: %d", u.Max)
		w.line(1, "metrics:")
		w.line(2, "- type: Resource")
		w.line(3, "resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}")
		return
	}
	w.line(0, "apiVersion: keda.sh/v1alpha1")
	w.line(0, "kind: ScaledObject")
	w.line(0, "metadata:")
	w.line(1, "name: %s", u.Name)
	w.line(0, "spec:")
	w.line(1, "scaleTargetRef: {name: %s}", u.Name)
	w.line(1, "minReplicaCount: %d", u.Min)
	w.line(1, "maxReplicaCount: %d", u.Max)
	w.line(1, "triggers:")
	for i := range u.Routes {
		r := &u.Routes[i]
		target, why := r.Limits.Inflight, "limits.inflight"
		if target == 0 {
			target, why = r.Replicas.Target*r.Replicas.Max, "replicas.target for each process"
		}
		w.line(2, "- type: metrics-api")
		w.line(3, "metadata:")
		w.line(4, "url: %s", quote(fmt.Sprintf("http://%s-metrics.%s.svc:%d/_/stats", u.Name, p.o.Namespace, u.Metrics)))
		w.line(4, "valueLocation: %s", quote("routes."+r.Name+".inflight"))
		w.line(4, "targetValue: %s # calls in flight of a pod: %s", quote(fmt.Sprint(target)), why)
		w.line(4, `aggregateFromKubeServiceEndpoints: "true" # the sum of all pods, since KEDA 2.18`)
	}
}
