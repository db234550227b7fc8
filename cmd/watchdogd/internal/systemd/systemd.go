// Package systemd tells the service manager that started watchdogd how it is: sd_notify(3),
// for units of Type=notify. Without $NOTIFY_SOCKET it does nothing.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifier sends the states of one watchdogd. All its methods may be called at any time.
type Notifier struct {
	Ready func() error // nil when the stack is ready for requests
	Log   *slog.Logger
}

// asked reports whether a service manager wants to know.
func asked() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

const (
	lookPause   = 50 * time.Millisecond // between two looks for readiness: systemd starts what waits for it
	statusPause = 2 * time.Second       // between two looks for a change to report
)

// Run reports readiness once, then what STATUS says and that watchdogd is alive, until ctx
// ends, and that it stops.
func (n *Notifier) Run(ctx context.Context) error {
	if !asked() {
		<-ctx.Done()
		return nil
	}
	pause, said := lookPause, ""
	var alive <-chan time.Time
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		ticker := time.NewTicker(every / 2)
		defer ticker.Stop()
		alive = ticker.C
	}
	for {
		err := n.Ready()
		status := "STATUS=Ready"
		if err != nil {
			status = "STATUS=" + oneLine(err.Error())
		}
		if err == nil && pause == lookPause {
			pause = statusPause
			n.send("READY=1\n" + status)
		} else if status != said {
			n.send(status)
		}
		said = status
		select {
		case <-ctx.Done():
			n.send("STOPPING=1\nSTATUS=Stopping: requests in flight are answered, then the processes are stopped")
			return nil
		case <-alive:
			n.send("WATCHDOG=1")
		case <-time.After(pause):
		}
	}
}

// Reloading reports that the configuration is read again, until the function that it returns
// is called.
func (n *Notifier) Reloading() (done func()) {
	if !asked() {
		return func() {}
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return func() {}
	}
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
	return func() { n.send("READY=1") }
}

func (n *Notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.Log.Warn("systemd was not notified", "error", err.Error())
	}
}

// oneLine is text that does not begin a further variable.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
