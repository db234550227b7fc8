package why

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// background is what to do about a program that leaves its work to another process.
func (f *Facts) background() string {
	s := "went to the background: "
	words := f.words()
	if f.Shell && ampersand().MatchString(strings.Join(f.Words, " ")) {
		return s + "remove the & from the command"
	}
	for _, name := range append(words, f.Behind...) {
		if how, ok := foreground[child.ProgramName(name)]; ok {
			return s + how
		}
	}
	return s + fmt.Sprintf("%s ran on when the program that was started had ended; watchdogd supervises only what stays in the foreground: look for an option such as --foreground or --no-daemon", f.Behind[0])
}

// ampersand is the & of a shell that starts a command in the background, and no part of
// && or of a redirect.
var ampersand = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|[^&>\\])&([^&>]|$)`) })

// foreground is how programs that go to the background are kept from it.
var foreground = map[string]string{
	"nginx":         "add -g 'daemon off;'",
	"redis-server":  "add --daemonize no",
	"valkey-server": "add --daemonize no",
	"apache":        "add -D FOREGROUND",
	"httpd":         "add -D FOREGROUND",
	"apachectl":     "add -D FOREGROUND (and leave out start)",
	"apache2ctl":    "add -D FOREGROUND (and leave out start)",
	"php-fpm":       "add --nodaemonize",
	"lighttpd":      "add -D",
	"haproxy":       "add -db, and remove daemon from its configuration",
	"gunicorn":      "remove -D (--daemon)",
	"uwsgi":         "remove --daemonize",
	"celery":        "remove --detach",
	"unicorn":       "remove -D",
	"puma":          "remove -d (--daemon)",
	"memcached":     "remove -d",
	"mongod":        "remove --fork",
	"mysqld":        "remove --daemonize",
	"pg_ctl":        "run postgres -D DIR in the place of pg_ctl",
	"pg_ctlcluster": "add --foreground",
	"caddy":         "write caddy run in the place of caddy start",
	"pm2":           "run pm2-runtime in the place of pm2",
	"supervisord":   "add -n",
	"sshd":          "add -D",
	"varnishd":      "add -F",
	"squid":         "add -N",
	"dnsmasq":       "add -k",
	"cron":          "add -f",
	"crond":         "add -f",
	"rsyslogd":      "add -n",
	"vsftpd":        "add -obackground=NO",
	"minidlnad":     "add -S",
	"stunnel":       "add foreground = yes to its configuration",
	"exim":          "write -bdf in the place of -bd",
	"dovecot":       "add -F",
	"named":         "add -g",
	"docker":        "remove -d (--detach)",
}
