// Baseline is the least that a server of watchdogd's libraries is: it decodes a small
// configuration, validates it, counts calls and answers them. The benchmark "start" holds
// watchdogd's start against its.
package main

import (
	"log"
	"net"
	"net/http"
	"os"

	"github.com/VictoriaMetrics/metrics"
	"github.com/go-playground/validator/v10"
	"gopkg.in/yaml.v3"
)

// config is what a small program would have.
type config struct {
	Listen string  `yaml:"listen" validate:"required,hostname_port"`
	Routes []route `yaml:"routes" validate:"min=1,dive"`
}

type route struct {
	Name     string `yaml:"name" validate:"required,max=63"`
	Path     string `yaml:"path" validate:"startswith=/"`
	Mode     string `yaml:"mode" validate:"oneof=http streaming serializing afterburn static"`
	FProcess string `yaml:"fprocess"`
}

func main() {
	var cfg config
	text := "listen: " + os.Getenv("LISTEN") + "\nroutes:\n  - {name: function, path: /, mode: streaming, fprocess: cat}\n"
	if err := yaml.Unmarshal([]byte(text), &cfg); err != nil {
		log.Fatal(err)
	}
	if err := validator.New().Struct(cfg); err != nil {
		log.Fatal(err)
	}
	calls := metrics.NewCounter(`http_requests_total{code="200",method="get"}`)
	duration := metrics.NewHistogram(`http_request_duration_seconds{code="200",method="get"}`)
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Inc()
		duration.Update(0)
		if r.URL.Path == "/metrics" {
			metrics.WritePrometheus(w, true)
		}
	})))
}
