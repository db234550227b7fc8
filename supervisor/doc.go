// Package supervisor starts processes, keeps them running, and leaves nobody behind.
// It is the only package that starts operating-system processes.
//
// A set of long-lived processes is a Supervisor:
//
//	sup := supervisor.New(supervisor.Options{Log: log})
//	retire, err := sup.Reconcile(specs)  // checked; nothing runs yet
//	go sup.Run(ctx)                      // runs them until ctx ends, then stops them all
//	...
//	i, err := sup.Process("api").Acquire(r.Context(), 10*time.Second)
//	if err != nil {
//		return err // a *failure.Error
//	}
//	defer i.Release()
//	// i.Upstream() is where a ready instance of it listens
//
// A process forked for one request is a Program that is started, and a Child that is
// ended by whoever started it:
//
//	prog, err := supervisor.NewProgram(name, &route.Process)
//	child, err := prog.Start(supervisor.StartOptions{Stdin: in, Stdout: out})
//	exit, err := child.Wait(ctx)
//	child.Kill() // or Stop: the group too is gone
//
// A program that imports this package calls Shim first of all in its main. The package
// makes the program a subreaper (PR_SET_CHILD_SUBREAPER): orphans among its descendants
// become its children, and while Run runs they are waited for.
package supervisor
