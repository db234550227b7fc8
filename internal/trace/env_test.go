package trace

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func fromEnv(env map[string]string) (*Tracer, error) {
	return FromEnv(func(name string) string { return env[name] }, Resource{Service: "shop", Version: "1.2"}, slog.New(slog.DiscardHandler))
}

func with(pairs ...string) map[string]string {
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

func TestWithoutACollectorThereIsNoTracer(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing":         {},
		"other variables": {"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "nonsense"},
		"switched off":    with("OTEL_SDK_DISABLED", "TRUE"),
		"no exporter":     with("OTEL_TRACES_EXPORTER", "none"),
	} {
		if tracer, err := fromEnv(env); tracer != nil || err != nil {
			t.Errorf("%s: got %v, %v, want nothing", name, tracer, err)
		}
	}
	var none *Tracer
	if spans := none.Begin(Parent{Trace: aTrace, Sampled: true}, false, nil); spans != nil || none.Dropped() != 0 {
		t.Errorf("of no tracer: got %v, want no spans", spans)
	}
	var nothing *Spans
	nothing.Add("queue", time.Time{}, time.Now())
	nothing.Answering()
	nothing.End(Call{})
}

func TestTheStandardVariablesAreUsed(t *testing.T) {
	tracer, err := fromEnv(with("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, X-Scope=a", "OTEL_EXPORTER_OTLP_TIMEOUT", "1500", "OTEL_BSP_SCHEDULE_DELAY", "250",
		"OTEL_BSP_MAX_QUEUE_SIZE", "7", "OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=a%2Cb", "OTEL_SERVICE_NAME", "mine"))
	if err != nil {
		t.Fatal(err)
	}
	if tracer.endpoint != "http://collector:4318/v1/traces" || tracer.timeout != 1500*time.Millisecond || tracer.delay != 250*time.Millisecond || cap(tracer.queue) != 7 {
		t.Errorf("got %s, %s, %s and a queue of %d, want what the variables say", tracer.endpoint, tracer.timeout, tracer.delay, cap(tracer.queue))
	}
	if tracer.header.Get("Authorization") != "Bearer x" || tracer.header.Get("X-Scope") != "a" {
		t.Errorf("headers: got %v, want both", tracer.header)
	}
	got := map[string]string{}
	for _, a := range tracer.resource {
		got[a.key] = a.text
	}
	for key, want := range map[string]string{"service.name": "mine", "service.version": "1.2", "deployment.environment": "a,b"} {
		if got[key] != want {
			t.Errorf("resource %s: got %q, want %q", key, got[key], want)
		}
	}
	tracer, err = fromEnv(with("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://user:word@traces/x", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1", "OTEL_EXPORTER_OTLP_HEADERS", "a=2", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"))
	if err != nil || tracer.endpoint != "https://user:word@traces/x" || strings.Contains(tracer.Endpoint(), "word") || tracer.header.Get("A") != "1" || tracer.timeout != time.Millisecond {
		t.Errorf("those for traces: got %+v, %v, want them first, and no password in the log", tracer, err)
	}
}

func TestAVariableThatCannotBeUsedIsNamed(t *testing.T) {
	for variable, values := range map[string][]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {"collector:4318", "unix:/x", "http://", "://"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"x"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {"grpc"},
		"OTEL_EXPORTER_OTLP_HEADERS":         {"a", "=b", "a=%zz"},
		"OTEL_RESOURCE_ATTRIBUTES":           {"a"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":         {"10s", "0", "-1", "99999999999"},
		"OTEL_BSP_SCHEDULE_DELAY":            {"x"},
		"OTEL_BSP_MAX_QUEUE_SIZE":            {"0", "1e9"},
		"OTEL_TRACES_SAMPLER":                {"sometimes", "parentbased_"},
	} {
		for _, value := range values {
			tracer, err := fromEnv(with(variable, value))
			if err == nil || tracer != nil || !strings.HasPrefix(err.Error(), variable) {
				t.Errorf("%s=%s: got %v, %v, want an error that begins with the variable", variable, value, tracer, err)
			}
		}
	}
	for _, arg := range []string{"2", "-1", "NaN", "x"} {
		if _, err := fromEnv(with("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", arg)); err == nil {
			t.Errorf("a ratio of %s: got none, want an error", arg)
		}
	}
	if _, err := fromEnv(with("OTEL_EXPORTER_OTLP_HEADERS", "authorization=%zzsecret")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the value", err)
	}
}

func TestTheSamplerDecides(t *testing.T) {
	low, high := Parent{Trace: strings.Repeat("0", 31) + "1"}, Parent{Trace: strings.Repeat("f", 32)}
	sampled := func(p Parent) Parent { p.Sampled = true; return p }
	for _, c := range []struct {
		sampler, arg string
		parent       Parent
		own, want    bool
	}{
		{"", "", high, true, true},
		{"", "", high, false, false},
		{"", "", sampled(high), false, true},
		{"always_on", "", high, false, true},
		{"always_off", "", sampled(low), false, false},
		{"parentbased_always_off", "", low, true, false},
		{"parentbased_always_off", "", sampled(low), false, true},
		{"traceidratio", "0.5", low, true, true},
		{"traceidratio", "0.5", high, true, false},
		{"traceidratio", "0.5", sampled(high), false, false},
		{"traceidratio", "", high, true, true},
		{"traceidratio", "1", high, true, true},
		{"traceidratio", "0", low, true, false},
		{"parentbased_traceidratio", "0.5", high, true, false},
		{"parentbased_traceidratio", "0.5", sampled(high), false, true},
	} {
		tracer, err := fromEnv(with("OTEL_TRACES_SAMPLER", c.sampler, "OTEL_TRACES_SAMPLER_ARG", c.arg))
		if err != nil {
			t.Fatal(err)
		}
		if got := tracer.Begin(c.parent, c.own, nil) != nil; got != c.want {
			t.Errorf("%q with %q, a trace %.4s of our own %t, sampled %t: got %t, want %t", c.sampler, c.arg, c.parent.Trace, c.own, c.parent.Sampled, got, c.want)
		}
	}
}
