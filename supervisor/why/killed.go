package why

import (
	"fmt"
	"path/filepath"

	"github.com/watchdogd/watchdogd/schema"
)

// endingSignals are the signals on which known programs end soon, where TERM is not the
// one: TERM waits for clients, or drops them.
var endingSignals = map[string]schema.Signal{
	"postgres": "INT", "pg_ctl": "INT", // fast shutdown; TERM waits for the clients
	"nginx": "QUIT", "openresty": "QUIT", "php-fpm": "QUIT",
	"apache2": "WINCH", "httpd": "WINCH", "apachectl": "WINCH", "apache2ctl": "WINCH",
}

// KilledHint is what to write for a program that was killed.
func KilledHint(c schema.Command, stop schema.Stop) string {
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
