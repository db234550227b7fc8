package event

import (
	"log/slog"
	"strings"
)

// Change says in a few words what a record of Process reports: its attributes are state, and
// of instance, pid, port, pause and why those that apply. It is empty for what the next
// record says better.
func Change(attrs []slog.Attr) string {
	of := func(key string) string {
		for _, a := range attrs {
			if a.Key == key {
				return a.Value.Resolve().String()
			}
		}
		return ""
	}
	state, why := of("state"), of("why")
	text := state
	switch state {
	case "":
		return why
	case "starting":
		if why != "" {
			return "still starting: " + why
		}
	case "ready":
		if port := of("port"); port != "" {
			text += " on port " + port
		}
	case "unready":
		text = "not ready"
	case "stopping":
		switch why {
		case ItsChildEnded:
			return ""
		case BeingStopped:
			why = ""
		}
	case "backoff", "exited":
		text = "ended"
	case "crash-loop":
		text = "in a crash loop"
	}
	if pid := of("pid"); pid != "" && (state == "starting" || state == "ready") {
		text += " (pid " + pid + ")"
	}
	if why != "" {
		text += ": " + strings.TrimSuffix(why, ".")
	}
	if pause := of("pause"); pause != "" {
		text += "; the next start is in " + pause
	}
	if n := of("instance"); n != "" && n != "0" && n != "-1" {
		text = "instance " + n + ": " + text
	}
	return text
}
