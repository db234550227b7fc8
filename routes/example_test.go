package routes_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

func Example() {
	log := slog.New(slog.DiscardHandler)
	respond := func(w http.ResponseWriter, _ *http.Request, err error) { // in watchdogd: modes.Responder
		http.Error(w, failure.Of(err).Detail, http.StatusNotFound)
	}
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from ", r.URL.Path) }

	table := routes.NewTable([]routes.Entry{{
		Route:   &schema.Route{Name: "api", Path: "/api", StripPrefix: true},
		Handler: http.HandlerFunc(hello),
	}}, routes.Options{Log: log, Metrics: metrics.New(metrics.Options{}), Respond: respond})
	live := &routes.Live{Respond: respond}
	live.Swap(table) // a reload swaps in another
	server := routes.NewServer(schema.Server{MaxHeader: 1 << 20}, live, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // until Shutdown

	for _, path := range []string{"/api/users", "/other"} {
		response, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Println(response.StatusCode, strings.TrimSpace(string(body)))
	}

	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println("cut off:", live.Drain(ctx))
	_ = server.Shutdown(ctx)
	<-served
	// Output:
	// 200 hello from /users
	// 404 no route takes this path
	// cut off: 0
}
