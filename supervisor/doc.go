// Package supervisor keeps processes running: it decides how many instances of each there
// are, when one is started again, and which instance a call gets. How a process is started,
// watched and ended, so that no descendant of it is left, is package child's.
//
// A Supervisor runs a set of long-lived processes. Prepare checks the set, Commit makes it
// the one that runs, Run runs it until its context ends, and Process.Acquire returns a ready
// instance of one of them; see the example of Supervisor. With Spec.Warm a process of a
// forking route is started ahead of its request, blocked on its stdin; see TakeWarm.
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
// the first to return says why it ended, and the life is over when no process that the child
// started is left.
package supervisor
