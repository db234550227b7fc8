package trace

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Resource is the program whose spans are exported.
type Resource struct {
	Service string // used where the environment names none
	Version string
}

// FromEnv returns the tracer that the variables of OpenTelemetry describe, and nil if they name no
// collector or switch tracing off. The error says which variable cannot be used.
func FromEnv(getenv func(string) string, of Resource, log *slog.Logger) (*Tracer, error) {
	env := variables(getenv)
	base := env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == ""
	endpoint := env.of("ENDPOINT")
	if endpoint == "" || strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") || env("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	to, err := url.Parse(endpoint)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, errors.New(env.either("ENDPOINT") + " must be a URL such as http://collector:4318")
	}
	if base {
		to = to.JoinPath("v1", "traces")
	}
	if protocol := env.of("PROTOCOL"); protocol == "grpc" {
		return nil, errors.New(env.either("PROTOCOL") + " is grpc, and watchdogd exports OTLP over HTTP: set it to http/json, and the endpoint to the port for HTTP, which is 4318 by default")
	}
	t := &Tracer{log: log, endpoint: to.String(), shown: to.Redacted(), header: http.Header{}, timeout: 10 * time.Second, delay: 5 * time.Second}
	size := 2048
	for _, err := range []error{
		env.headers(t.header),
		milliseconds(&t.timeout, env.either("TIMEOUT"), env.of("TIMEOUT")),
		milliseconds(&t.delay, "OTEL_BSP_SCHEDULE_DELAY", env("OTEL_BSP_SCHEDULE_DELAY")),
		count(&size, "OTEL_BSP_MAX_QUEUE_SIZE", env("OTEL_BSP_MAX_QUEUE_SIZE")),
		env.sampler(&t.sampler),
		env.resource(&t.resource, of),
	} {
		if err != nil {
			return nil, err
		}
	}
	t.queue = make(chan *Spans, size)
	return t, nil
}

// variables looks up a variable. An empty one is as one that is not set.
type variables func(string) string

// either is the name of an exporter's variable that is set: that for traces comes first.
func (env variables) either(what string) string {
	if name := "OTEL_EXPORTER_OTLP_TRACES_" + what; env(name) != "" {
		return name
	}
	return "OTEL_EXPORTER_OTLP_" + what
}

func (env variables) of(what string) string { return env(env.either(what)) }

// headers reads name=value pairs with commas between them, the values percent-encoded.
func (env variables) headers(h http.Header) error {
	name := env.either("HEADERS")
	pairs, err := pairs(name, env(name))
	for _, p := range pairs {
		h.Set(p[0], p[1])
	}
	return err
}

// pairs reads the list of a variable, whose values are secrets for all that is known.
func pairs(variable, list string) (all [][2]string, err error) {
	for item := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil {
			return nil, fmt.Errorf("%s must be a list such as name=value,other=value, with percent-encoded values", variable)
		}
		all = append(all, [2]string{name, value})
	}
	return all, nil
}

func milliseconds(to *time.Duration, name, value string) error {
	n := int(to.Milliseconds())
	if err := count(&n, name, value); err != nil {
		return fmt.Errorf("%w milliseconds", err)
	}
	*to = time.Duration(n) * time.Millisecond
	return nil
}

func count(to *int, name, value string) error {
	if value == "" {
		return nil
	}
	const most = 1 << 20
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%s is %q, and must be a number from 1 to %d of", name, value, most)
	}
	*to = n
	return nil
}

// sampler decides which calls have spans.
type sampler struct {
	parentBased bool
	bound       uint64 // of 63 bits of the trace's id: calls of traces below it
}

func (env variables) sampler(s *sampler) error {
	const name = "OTEL_TRACES_SAMPLER"
	kind := env(name)
	if kind == "" {
		kind = "parentbased_always_on"
	}
	kind, s.parentBased = strings.CutPrefix(kind, "parentbased_")
	switch kind {
	case "always_on":
		s.bound = math.MaxUint64
	case "always_off":
		s.bound = 0
	case "traceidratio":
		ratio := 1.0
		if arg := env("OTEL_TRACES_SAMPLER_ARG"); arg != "" {
			var err error
			if ratio, err = strconv.ParseFloat(arg, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
				return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q, and must be a number from 0 to 1", arg)
			}
		}
		s.bound = uint64(ratio * (1 << 63))
	default:
		return fmt.Errorf("%s is %q, and must be always_on, always_off, traceidratio, or parentbased_ before one of these", name, env(name))
	}
	return nil
}

// samples decides on a call: by the trace that it is part of, if it is part of one, and else by
// its id, in the way of every SDK.
func (s *sampler) samples(p Parent, own bool) bool {
	if s.parentBased && !own {
		return p.Sampled
	}
	last, err := strconv.ParseUint(p.Trace[traceDigits/2:], 16, 64)
	return err == nil && last>>1 < s.bound
}

func (env variables) resource(all *[]attribute, of Resource) error {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	given, err := pairs(name, env(name))
	if err != nil {
		return err
	}
	set := func(key, value string) {
		for i := range *all {
			if (*all)[i].key == key {
				(*all)[i].text = value
				return
			}
		}
		*all = append(*all, attribute{key: key, text: value})
	}
	set("service.name", of.Service)
	set("service.version", of.Version)
	set("telemetry.sdk.name", "watchdogd")
	set("telemetry.sdk.language", "go")
	set("telemetry.sdk.version", of.Version)
	for _, p := range given {
		set(p[0], p[1])
	}
	if service := env("OTEL_SERVICE_NAME"); service != "" {
		set("service.name", service)
	}
	return nil
}
