package supervisor_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// A worker is talked to by its standard input and output; a server would be reached at
// Instance.Upstream.
func Example() {
	sup := supervisor.New(supervisor.Options{Log: slog.New(slog.DiscardHandler)})
	next, err := sup.Prepare([]supervisor.Spec{{
		Name: "echo", Kind: supervisor.Route, Mode: schema.Afterburn, Socketpair: true, Capacity: 1,
		Process: schema.Process{
			FProcess: schema.Command{Words: []schema.Text{"cat"}},
			Replicas: schema.Replicas{Min: 1, Max: 1},
			Restart:  schema.Restart{Policy: "always", Min: schema.Duration(time.Second), Max: schema.Duration(time.Minute)},
			Stop:     schema.Stop{Signal: "TERM", Grace: schema.Duration(10 * time.Second)},
		},
	}})
	if err != nil { // a line for each spec that cannot work
		fmt.Println(err)
		return
	}
	retire, err := next.Commit(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = sup.Run(ctx) }) // its error is always nil
	retire(ctx)                             // what the set had and has no more: nothing

	i, err := sup.Process("echo").Acquire(ctx, time.Minute)
	if err == nil {
		fmt.Fprintln(i.Conn(), "hello")
		line, _ := bufio.NewReader(i.Conn()).ReadString('\n')
		fmt.Print(line)
		i.Release()
	} else { // a *failure.Error
		fmt.Println(err)
	}
	cancel()
	running.Wait() // all processes have ended
	// Output: hello
}
