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
// With Spec.Warm such a program is also started ahead of its requests, N processes at a
// time, each blocked on its stdin:
//
//	if w, ok := sup.Process(name).TakeWarm(); ok { // never waits
//		defer w.Kill()
//		defer w.Close()
//		w.Env.WriteString("Http_Method=GET\x00...") // then w.Env.Close()
//		// w.Stdin, w.Stdout, w.Stderr; w is a *Child
//	}
//
// # The life of an instance
//
//	Waiting <-----------------------------+------------+-----------+
//	   | depends_on is met, a port is had |            |           |
//	   v                                  |            |           |
//	Starting                              |            |           |
//	   | ready                            |            |           |
//	   v                                  |            |           |
//	 Ready <--> Unready                   |            |           |
//	   |           |   (from Starting,    |            |           |
//	   v           v    too)              |            |           |
//	Stopping ---------------------> Backoff    CrashLoop      Exited
//	   |   the child ended, was ill,      |            |           |
//	   |   late or asked; the policy      |            |           |
//	   v   says which                     v            v           v
//	Stopped <-----------------------------+------------+-----------+
//	           asked to leave
//
// A process is as its best instance is; without one it is Idle when none is needed, and
// Stopped when that was asked for. Restart, Reconcile, recycle and watch put a successor
// beside an instance and have the instance leave when the successor is Ready.
//
// # Who owns what
//
// Run owns a goroutine for each Process, which decides how many instances there are. That
// one owns a goroutine for each slot, the place of an instance, which leads it from life
// to life. A life is a run.Group: the child, its probes, its age, and the request to end;
// the first to return says why it ended, and the life is over when nobody that the child
// started is left. Whoever calls Program.Start owns the Child.
//
// A program that imports this package calls Shim first of all in its main. The package
// makes the program a subreaper (PR_SET_CHILD_SUBREAPER): orphans among its descendants
// become its children, and while Run runs they are waited for.
package supervisor
