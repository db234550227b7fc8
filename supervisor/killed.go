package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/watchdogd/watchdogd/schema"
)

// sayKilled logs that the child did not end on its signal within stop.grace, and what to
// write so that it does.
func (i *Instance) sayKilled(stop schema.Stop) {
	why := fmt.Sprintf("it did not end within stop.grace (%v) after SIG%s", stop.Grace.D(), stop.Signal)
	i.p.log.LogAttrs(context.Background(), slog.LevelWarn, "killed", slog.Int("instance", i.number), slog.Int("pid", i.child.PID()),
		slog.String("signal", "SIG"+string(stop.Signal)), slog.String("grace", stop.Grace.D().String()),
		slog.String("why", why), slog.String("hint", killedHint(i.recipe.Process.FProcess, stop)))
}

// endingSignals are the signals on which known programs end soon, where TERM is not the
// one: TERM waits for clients, or drops them.
var endingSignals = map[string]schema.Signal{
	"postgres": "INT", "pg_ctl": "INT", // fast shutdown; TERM waits for the clients
	"nginx": "QUIT", "openresty": "QUIT", "php-fpm": "QUIT",
	"apache2": "WINCH", "httpd": "WINCH", "apachectl": "WINCH", "apache2ctl": "WINCH",
}

// killedHint is what to write for a program that was killed.
func killedHint(c schema.Command, stop schema.Stop) string {
	longer := fmt.Sprintf("stop: {grace: %v}", 3*stop.Grace.D())
	name := ""
	for _, w := range c.Words {
		if signal, ok := endingSignals[filepath.Base(string(w))]; ok && signal != stop.Signal {
			name = filepath.Base(string(w))
			return fmt.Sprintf("for %s write stop: {signal: %s}, or give it more time: %s", name, signal, longer)
		}
	}
	if stop.Signal == "TERM" {
		return "if it ends on another signal write stop: {signal: INT}, or give it more time: " + longer
	}
	return "give it more time: " + longer
}
