package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	watchedRoutes = 50
	watchedCalls  = 1000 // a second, of all routes together
	watchedFor    = 10 * time.Second
)

// benchWatch measures what it costs the daemon that a page and a top are open, at a steady load:
// the difference of rounds with and without them, one after the other.
func benchWatch(l *lab) error {
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	admin, err := free()
	if err != nil {
		return err
	}
	var routes strings.Builder
	for i := range watchedRoutes {
		fmt.Fprintf(&routes, "- {name: r%d, path: /r%d, upstream: %q}\n", i, i, "http://"+upstream)
	}
	fmt.Fprintf(&routes, "services:\n")
	for i := range watchedRoutes { // processes whose memory and CPU are looked at
		fmt.Fprintf(&routes, "- {name: s%d, fprocess: sleep 100000}\n", i)
	}
	fmt.Fprintf(&routes, "admin: {listen: %q}\nlog: {access: false}\n", admin)
	address, pid, err := l.watchdogdWith("watch", routes.String())
	if err != nil {
		return err
	}
	var alone, watched, differences []float64
	for range *rounds {
		off, err := loaded(address, pid, nil)
		if err != nil {
			return err
		}
		on, err := loaded(address, pid, func(ctx context.Context) { watch(ctx, admin) })
		if err != nil {
			return err
		}
		alone, watched, differences = append(alone, off), append(watched, on), append(differences, on-off)
	}
	fmt.Printf("  %d routes, %d calls/s       CPU of the daemon: %.2f %% of a core unwatched, %.2f %% with a page and a top open; the difference of a round is %.2f %%\n",
		watchedRoutes, watchedCalls, median(alone), median(watched), median(differences))
	return nil
}

// loaded is the CPU that the daemon uses under load, in percent of a core, while beside runs.
func loaded(address string, pid int, beside func(context.Context)) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), watchedFor+time.Second)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	if beside != nil {
		all.Go(func() { beside(ctx) })
	}
	const callers = 10
	failed := make(chan error, callers)
	for c := range callers {
		all.Go(func() { callSteadily(ctx, address, c, callers, failed) })
	}
	time.Sleep(time.Second) // the connections are made, and the followers have got everything
	before, began := cpuSeconds(pid), time.Now()
	select {
	case err := <-failed:
		return 0, err
	case <-time.After(watchedFor - 500*time.Millisecond):
	}
	used, took := cpuSeconds(pid)-before, time.Since(began)
	cancel()
	return 100 * used / took.Seconds(), nil
}

// callSteadily makes its part of the calls, whatever time each takes.
func callSteadily(ctx context.Context, address string, caller, callers int, failed chan<- error) {
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	due := time.NewTicker(time.Second * time.Duration(callers) / watchedCalls)
	defer due.Stop()
	for i := caller; ; i += callers {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
		}
		response, err := client.Get(fmt.Sprintf("http://%s/r%d", address, i%watchedRoutes))
		if err != nil {
			failed <- err
			return
		}
		_, _ = io.Copy(io.Discard, response.Body) // it is short
		response.Body.Close()
	}
}

// watch reads what a page and a top read.
func watch(ctx context.Context, admin string) {
	var all sync.WaitGroup
	defer all.Wait()
	read := func(path string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
		if err != nil {
			panic(err) // it is our own
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return // the round is over
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body) // until the round is over
	}
	for _, path := range []string{"/_/events", "/_/logs?follow&name=s1", "/v1/events", "/v1/logs?follow&name=s1", "/_/history?name=r1"} {
		all.Go(func() { read(path) })
	}
	again := time.NewTicker(10 * time.Second)
	defer again.Stop()
	for {
		read("/_/ps/r1")
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
