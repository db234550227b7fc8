// Command fn is the function of the tests: it returns the body of a request, and says in
// headers which task it is, and when the request arrived. It ends on SIGTERM, when the requests in flight are answered.
//
//	POST /?wait=2s     answers after 2 s
//	VERSION=2 fn       sends X-Version: 2
//	START=1s fn        listens after 1 s
//	cat                under this name it copies its input to its output
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if filepath.Base(os.Args[0]) == "cat" {
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if start, err := time.ParseDuration(os.Getenv("START")); err == nil {
		pause(ctx, start)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: http.HandlerFunc(answer)}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		log.Fatal(err)
	case <-ctx.Done():
		if err := server.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Arrived", time.Now().UTC().Format(time.RFC3339Nano))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		pause(r.Context(), wait)
	}
	host, _ := os.Hostname() // the container; empty where it has none
	w.Header().Set("X-Task", host)
	w.Header().Set("X-Version", os.Getenv("VERSION"))
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(body) // a client that has left
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
