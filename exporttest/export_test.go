// Package exporttest holds what "watchdogd export" writes against the engines' own types,
// strictly, and against their own programs. It is a module of its own, so that those types
// are no dependency of watchdogd; make test runs it.
package exporttest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	knative "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/yaml"
)

// secret is the value of a variable that no manifest may contain.
const secret = "postgres://shop:hunter2@db/shop"

// budget is drain.delay 3s + timeouts.exec 45s + the grace of api and then redis, 10s and
// 15s, + 2s.
const budget = 75

var binary string // watchdogd

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "exporttest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "watchdogd")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/watchdogd")
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build watchdogd: %v: %s\n", err, out)
			return 1
		}
		return m.Run()
	}())
}

// export runs the command on testdata and returns its files by name.
func export(t *testing.T, args ...string) map[string]string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(binary, append([]string{"export", "-c", "testdata/watchdog.yaml", "--out", out}, args...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+secret)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("watchdogd export %s: got %v\n%s\nwant no error", strings.Join(args, " "), err, said)
	}
	files := map[string]string{}
	err := filepath.WalkDir(out, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(out, path)
		files[name] = string(content)
		if strings.Contains(string(content), "hunter2") {
			t.Errorf("%s contains the value of ${DATABASE_URL}", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// objects are the documents of a file of manifests, each decoded strictly into its type.
func objects(t *testing.T, file string) (all []any) {
	t.Helper()
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(file, -1) {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("got %v in\n%s\nwant no error", err, document)
		}
		var into any
		switch kind.APIVersion + " " + kind.Kind {
		case " ":
			continue
		case "v1 ConfigMap":
			into = new(core.ConfigMap)
		case "v1 Service":
			into = new(core.Service)
		case "apps/v1 Deployment":
			into = new(apps.Deployment)
		case "policy/v1 PodDisruptionBudget":
			into = new(policy.PodDisruptionBudget)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			into = new(autoscaling.HorizontalPodAutoscaler)
		case "keda.sh/v1alpha1 ScaledObject":
			into = new(keda.ScaledObject)
		case "serving.knative.dev/v1 Service":
			into = new(knative.Service)
		default:
			t.Fatalf("unexpected kind %+v in\n%s", kind, document)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%s is not strictly valid: got %v\n%s\nwant no error", kind.Kind, err, document)
		}
		all = append(all, into)
	}
	return all
}

func TestKubernetesManifestsAreValidAndSafe(t *testing.T) {
	for _, layout := range []string{"bundle", "split"} {
		t.Run(layout, func(t *testing.T) {
			var deployments, budgets, public, metrics int
			for _, o := range objects(t, export(t, "kubernetes", "--layout", layout, "--image", "registry.example/shop:1", "--replicas", "2")["shop.yaml"]) {
				switch o := o.(type) {
				case *core.ConfigMap:
					if layout == "bundle" {
						want, _ := os.ReadFile("testdata/functions/upper.yaml")
						if got := o.Data["functions__upper.yaml"]; got != string(want) {
							t.Errorf("the ConfigMap's functions/upper.yaml: got %q, want %q", got, want)
						}
					}
				case *apps.Deployment:
					deployments++
					checkDeployment(t, o, layout)
				case *policy.PodDisruptionBudget:
					budgets++
				case *core.Service:
					for _, port := range o.Spec.Ports {
						if strings.HasSuffix(o.Name, "-metrics") {
							metrics++
						} else if public++; port.TargetPort.StrVal != "http" {
							t.Errorf("Service %s publishes port %q, want only http", o.Name, port.TargetPort.StrVal)
						}
					}
				}
			}
			want := map[string]int{"bundle": 1, "split": 5}[layout] // api, files, upper, beat, gateway
			if deployments != want || budgets != want || public != want || metrics != want {
				t.Errorf("got %d deployments, %d disruption budgets, %d services and %d of metrics, want %d of each", deployments, budgets, public, metrics, want)
			}
		})
	}
}

func checkDeployment(t *testing.T, d *apps.Deployment, layout string) {
	t.Helper()
	pod := d.Spec.Template.Spec
	if layout == "bundle" && *pod.TerminationGracePeriodSeconds != budget {
		t.Errorf("terminationGracePeriodSeconds: got %d, want %d", *pod.TerminationGracePeriodSeconds, budget)
	}
	if got := d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(); got != 0 {
		t.Errorf("maxUnavailable: got %d, want 0", got)
	}
	if d.Spec.Template.Annotations["watchdogd/config"] == "" {
		t.Errorf("%s: no checksum of the configuration in the annotations of its pods", d.Name)
	}
	c := pod.Containers[0]
	if c.StartupProbe.HTTPGet.Path != "/_/health" || c.ReadinessProbe.HTTPGet.Path != "/_/ready" || c.LivenessProbe.HTTPGet.Path != "/_/health" {
		t.Errorf("%s: the probes ask %s, %s and %s", d.Name, c.StartupProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path)
	}
	if layout == "bundle" { // redis 30s, then api 40s
		if got := c.StartupProbe.PeriodSeconds * c.StartupProbe.FailureThreshold; got < 70 {
			t.Errorf("the startup probe waits %d s, want at least 70", got)
		}
		if got := c.Resources.Limits.Memory().Value() >> 20; got != 64+400+640+200+16 {
			t.Errorf("memory: got %d MiB, want 64 + 2 x 200 + 10 x 64 + 2 x 100 + 16", got)
		}
	}
	if !*pod.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("%s: runs as root or on a writable root", d.Name)
	}
	var fromSecret bool
	for _, e := range c.Env {
		fromSecret = fromSecret || e.Name == "DATABASE_URL" && e.ValueFrom.SecretKeyRef.Name == "shop-env"
	}
	if !fromSecret && d.Name != "shop-gateway" {
		t.Errorf("%s: DATABASE_URL does not come from a secret", d.Name)
	}
}

func TestKubernetesHasOneScalerForEachDeployment(t *testing.T) {
	for _, scaler := range []string{"hpa", "keda"} {
		for _, layout := range []string{"bundle", "split"} {
			scaled := map[string]int{}
			names := map[string]bool{}
			for _, o := range objects(t, export(t, "kubernetes", "--layout", layout, "--replicas", "2:8", "--scaler", scaler)["shop.yaml"]) {
				switch o := o.(type) {
				case *apps.Deployment:
					names[o.Name] = true
					if o.Spec.Replicas != nil {
						t.Errorf("%s: replicas are given beside a scaler", o.Name)
					}
				case *autoscaling.HorizontalPodAutoscaler:
					scaled[o.Spec.ScaleTargetRef.Name]++
				case *keda.ScaledObject:
					scaled[o.Spec.ScaleTargetRef.Name]++
					if got := o.Spec.Triggers[0].Metadata["valueLocation"]; !regexp.MustCompile(`^routes\.[a-z]+\.inflight$`).MatchString(got) {
						t.Errorf("valueLocation: got %q, want regexp.MustCompile(`^routes\\.[a-z]+\\.inflight$`).MatchString(got)", got)
					}
				}
			}
			for name := range names {
				if scaled[name] != 1 {
					t.Errorf("%s, %s: %s has %d scalers, want 1", scaler, layout, name, scaled[name])
				}
			}
		}
	}
}

func TestKnativeServicesAreValid(t *testing.T) {
	for _, layout := range []string{"bundle", "split"} {
		services := map[string]*knative.Service{}
		for _, o := range objects(t, export(t, "knative", "--layout", layout)["shop.yaml"]) {
			if s, is := o.(*knative.Service); is {
				services[s.Name] = s
				s.SetDefaults(context.Background())
				if err := s.Spec.Template.Spec.PodSpec.Containers[0]; len(err.Env) == 0 {
					t.Errorf("%s: no variables", s.Name)
				}
				for _, e := range s.Spec.Template.Spec.PodSpec.Containers[0].Env {
					if e.Name == "PORT" {
						t.Errorf("%s sets PORT, which is Knative's", s.Name)
					}
				}
			}
		}
		if layout == "split" {
			if got := *services["shop-api"].Spec.Template.Spec.ContainerConcurrency; got != 25 {
				t.Errorf("containerConcurrency of api: got %d, want 20 in flight and 5 queued", got)
			}
			continue
		}
		if got := *services["shop"].Spec.Template.Spec.TimeoutSeconds; got != budget {
			t.Errorf("timeoutSeconds: got %d, want %d", got, budget)
		}
	}
}

func TestComposeFilesAreValid(t *testing.T) {
	for _, layout := range []string{"bundle", "split"} {
		files := export(t, "compose", "--layout", layout)
		project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
			WorkingDir:  t.TempDir(),
			ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(files["compose.yaml"])}},
			Environment: types.Mapping{"DATABASE_URL": "x"},
		})
		if err != nil {
			t.Fatalf("%s: got %v\n%s\nwant no error", layout, err, files["compose.yaml"])
		}
		for name, s := range project.Services {
			if layout == "bundle" && s.StopGracePeriod.String() != "1m15s" {
				t.Errorf("%s: stop_grace_period: got %s, want 1m15s", name, s.StopGracePeriod)
			}
			if got := len(s.Ports) > 0; got != (layout == "bundle" || name == "gateway") {
				t.Errorf(`%s, %s: publishes ports: got %v, want true for a bundle and the gateway only`, layout, name, got)
			}
		}
		if layout == "split" {
			checkGateway(t, files["gateway.yaml"])
		}
	}
}

// checkGateway has watchdogd itself read the file of the gateway.
func checkGateway(t *testing.T, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "validate", "-c", path).CombinedOutput(); err != nil {
		t.Errorf("validate the gateway's file: got %v\n%s\n%s\nwant no error", err, out, content)
	}
}

func TestSwarmStacksAreReadByDocker(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("docker is not installed: docker stack config reads the stack")
	}
	for _, layout := range []string{"bundle", "split"} {
		dir := t.TempDir()
		for name, content := range export(t, "swarm", "--layout", layout) {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("docker", "stack", "config", "-c", filepath.Join(dir, "stack.yaml"))
		cmd.Env = append(os.Environ(), "DATABASE_URL=x")
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || strings.Contains(said.String(), "unsupported") {
			t.Fatalf("%s: docker stack config: %v: %s", layout, err, &said)
		}
		for _, want := range []string{"order: start-first", "failure_action: rollback", "--ready", "start_period"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %q is not in\n%s", layout, want, out)
			}
		}
		if got := strings.Contains(string(out), "endpoint_mode: dnsrr"); got != (layout == "split") {
			t.Errorf(`%s: endpoint_mode dnsrr: got %v, want true for split only`, layout, got)
		}
	}
}

func TestNomadJobsAreValidHCL(t *testing.T) {
	for _, layout := range []string{"bundle", "split"} {
		job := export(t, "nomad", "--layout", layout)["shop.nomad.hcl"]
		file, problems := hclparse.NewParser().ParseHCL([]byte(job), "shop.nomad.hcl")
		if problems.HasErrors() {
			t.Fatalf("%s: got %v\n%s\nwant !problems.HasErrors()", layout, problems, job)
		}
		groups := 0
		for _, b := range file.Body.(*hclsyntax.Body).Blocks[0].Body.Blocks {
			if b.Type == "group" {
				groups++
			}
		}
		if want := map[string]int{"bundle": 1, "split": 5}[layout]; groups != want {
			t.Errorf("%s: got %d groups, want %d", layout, groups, want)
		}
		if layout == "bundle" && !strings.Contains(job, `kill_timeout = "75s"`) {
			t.Errorf("kill_timeout is not the budget: got\n%s\nwant layout != \"bundle\" || strings.Contains(job, `kill_timeout = \"75s\"`)", job)
		}
	}
}

func TestUnitsOfSystemdAreVerified(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: it verifies units")
	}
	files := export(t, "systemd")
	unit := files["shop.service"]
	for _, want := range []string{"Type=notify", "KillMode=mixed", "RestartPreventExitStatus=2", "TimeoutStopSec=75"} {
		if !strings.Contains(unit, want+"\n") {
			t.Errorf("%s is not in\n%s", want, unit)
		}
	}
	if len(files) != 1 {
		t.Errorf("got %v, want the unit alone: the file is used where it is", slices.Collect(maps.Keys(files)))
	}
	verifyUnits(t, files)
}

func TestSystemdRunsEachRouteInAUnitBehindAGateway(t *testing.T) {
	files, folder := exportFile(t, `name: shop
server: {listen: "127.0.0.1:${PORT:-8080}"}
routes:
  - {name: files, path: /, mode: static, root: .}
  - {name: shout, mode: streaming, fprocess: tr a-z A-Z}
services:
  - {name: beat, fprocess: sleep 1000}
`, "systemd", "--layout", "split")
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"gateway.yaml", "shop-beat.service", "shop-files.service", "shop-gateway.service", "shop-shout.service"}; !slices.Equal(names, want) {
		t.Fatalf("got %v, want %v", names, want)
	}
	for name, want := range map[string]string{
		"shop-shout.service":   binary + " run -c " + filepath.Join(folder, "watchdog.yaml") + " --only shout",
		"shop-gateway.service": binary + " run -c " + filepath.Join(folder, "out", "gateway.yaml"),
	} {
		if !strings.Contains(files[name], "\nExecStart="+want+"\n") {
			t.Errorf("%s does not start %s:\n%s", name, want, files[name])
		}
	}
	port := regexp.MustCompile(`(?m)^Environment=PORT=(\d+)$`).FindStringSubmatch(files["shop-shout.service"])
	if port == nil || !strings.Contains(files["gateway.yaml"], `upstream: "http://127.0.0.1:`+port[1]+`"`) {
		t.Errorf("the gateway does not forward to the port of shout, %v:\n%s", port, files["gateway.yaml"])
	}
	for _, file := range []string{filepath.Join(folder, "watchdog.yaml"), filepath.Join(folder, "out", "gateway.yaml")} {
		if said, err := exec.Command(binary, "validate", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("validate %s: got %v: %s, want no error", file, err, said)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: it verifies units")
	}
	verifyUnits(t, files)
}

// verifyUnits has systemd verify the units among the files.
func verifyUnits(t *testing.T, files map[string]string) {
	t.Helper()
	folder := t.TempDir()
	args := []string{"verify", "--recursive-errors=no"}
	for name, unit := range files {
		if !strings.HasSuffix(name, ".service") {
			continue
		}
		path := filepath.Join(folder, name)
		args = append(args, path)
		if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	verify := exec.Command("systemd-analyze", args...)
	verify.Stderr = &said
	if err := verify.Run(); err != nil || said.Len() > 0 {
		t.Errorf("systemd-analyze verify: got %v: %s, want no error, and nothing on stderr", err, &said)
	}
}

// exportFile runs the command on a file of its own, and returns what it wrote and where the
// file is.
func exportFile(t *testing.T, yaml string, args ...string) (files map[string]string, folder string) {
	t.Helper()
	folder = t.TempDir()
	file, out := filepath.Join(folder, "watchdog.yaml"), filepath.Join(folder, "out")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(binary, append([]string{"export", "-c", file, "--out", out}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("watchdogd export %s: got %v\n%s\nwant no error", strings.Join(args, " "), err, said)
	}
	files = map[string]string{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files, folder
}

// TestTheFileIsCopiedWhereAManifestReadsItAndStaysAsPrivate: a file may hold secrets.
func TestTheFileIsCopiedWhereAManifestReadsItAndStaysAsPrivate(t *testing.T) {
	const file = "name: shop\nroutes: [{name: files, path: /, mode: static, root: .}]\n"
	for engine, want := range map[string]bool{"swarm": true, "compose": true, "kubernetes": false, "knative": false, "openfaas": false, "systemd": false, "nomad": false} {
		files, folder := exportFile(t, file, engine)
		if _, got := files["watchdog.yaml"]; got != want {
			t.Errorf("%s: got %v, want a copy of the file: %v", engine, slices.Collect(maps.Keys(files)), want)
		}
		if info, err := os.Stat(filepath.Join(folder, "out", "watchdog.yaml")); want && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s: got %v, %v, want a copy with the permissions of the file, -rw-------", engine, info, err)
		}
	}
}

func TestOpenFaaSFunctionsAreWritten(t *testing.T) {
	var stack struct {
		Functions map[string]struct {
			Image       string
			Environment map[string]string
			Annotations map[string]string
		}
	}
	file := export(t, "openfaas", "--layout", "split", "--image", "registry.example/shop:1")["stack.yaml"]
	if err := yaml.Unmarshal([]byte(file), &stack); err != nil {
		t.Fatalf("got %v\n%s\nwant no error", err, file)
	}
	api := stack.Functions["shop-api"]
	if api.Image != "registry.example/shop:1" || api.Environment["WATCHDOG_ONLY"] != "api" || api.Annotations["com.openfaas.ready.http.path"] != "/_/ready" {
		t.Errorf("shop-api: got %+v, want its image, WATCHDOG_ONLY=api and a probe of /_/ready", api)
	}
	if _, has := stack.Functions["shop-gateway"]; has {
		t.Errorf("OpenFaaS has a gateway of its own, but got one more")
	}
}

func TestWhatAnEngineCannotDoIsASentence(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"swarm", "--publish", "host"}, "a port of the host is held by one task", 1},
		{[]string{"systemd", "--layout", "split"}, "in the split layout on one machine each route needs its own", 1},
		{[]string{"kubernetes", "--layout", "both"}, `--layout "both" is not known: write bundle or split`, 2},
		{[]string{"kubernetes", "--replicas", "4:2"}, `--replicas "4:2"`, 2},
	} {
		cmd := exec.Command(binary, append([]string{"export", "-c", "testdata/watchdog.yaml"}, c.args...)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+secret)
		out, err := cmd.CombinedOutput()
		if exit, is := err.(*exec.ExitError); !is || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("export %s: got %v, %s, want status %d and %q", strings.Join(c.args, " "), err, out, c.code, c.want)
		}
	}
}
