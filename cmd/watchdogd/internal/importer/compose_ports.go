package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// others are ports of what does not speak HTTP.
var others = []int{20, 21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 2379, 3306, 4222, 5432, 5672, 6379, 6432, 7687, 9042, 9092, 9300, 11211, 27017, 27018, 33060, 50051}

// publish reads the published ports: a service with one that may be HTTP is a route.
func (c *composeFile) publish(p *program, o object) {
	for _, item := range list(o["ports"]) {
		host, published, target := port(c.resolved(scalar(item), c.env), asObject(item))
		if target == 0 || slices.Contains(others, target) {
			continue
		}
		if p.dead != "" {
			if published == 0 || o["image"] == nil || len(list(o["profiles"])) > 0 {
				return
			}
			p.elsewhere = fmt.Sprintf("http://127.0.0.1:%d", published)
			p.notes = append(p.notes, "It stays in a container: "+p.dead+". watchdogd forwards to its published port.")
			c.lost = append(c.lost, fmt.Sprintf("%s stays in a container: %s", p.name, p.dead))
			p.dead = ""
			return
		}
		p.web = func() guess.Program {
			p.web = nil
			g := c.judge(p)
			if g.HTTP && (g.Port != 0 || g.UsesPort) || strings.HasSuffix(g.Why, "does not speak HTTP") {
				return g
			}
			return guess.Program{HTTP: true, Port: target, Why: fmt.Sprintf("ports publishes its port %d", target)}
		}
		if published != 0 {
			c.ports = append(c.ports, fmt.Sprintf("%s:%d", host, published))
		}
		return
	}
}

// port reads a published port in one of its forms: 80, 8080:80, 127.0.0.1:8080:80/tcp, or
// a mapping. A range is its first port.
func port(short string, long object) (host string, published, target int) {
	if long != nil {
		published, _ = long.number("published")
		target, _ = long.number("target")
		if long.text("protocol") == "udp" {
			target = 0
		}
		return long.text("host_ip"), published, target
	}
	short, protocol, _ := strings.Cut(short, "/")
	if protocol == "udp" {
		return "", 0, 0
	}
	first := func(s string) int {
		s, _, _ = strings.Cut(s, "-")
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 65535 {
			return 0
		}
		return n
	}
	at := strings.LastIndexByte(short, ':')
	if at < 0 {
		return "", 0, first(short)
	}
	target, short = first(short[at+1:]), short[:at]
	if at = strings.LastIndexByte(short, ':'); at >= 0 {
		host, short = short[:at], short[at+1:]
	}
	return host, first(short), target
}

// hosts notes variables that name another service as a host.
func (c *composeFile) hosts(p *program) {
	for _, key := range p.env {
		value, _ := key.Value.(string)
		for name := range c.services {
			for _, before := range []string{"//", "@", ""} {
				at := strings.Index(value, before+name)
				if at < 0 || before == "" && at > 0 || before == "" && value != name && !strings.HasPrefix(value, name+":") {
					continue
				}
				after := value[at+len(before)+len(name):]
				if after == "" || after[0] == ':' || after[0] == '/' {
					p.notes = append(p.notes, fmt.Sprintf("%s names the host %s, which is known only among containers: here it is 127.0.0.1.", key.Name, name))
					break
				}
			}
		}
	}
	slices.Sort(p.notes)
	p.notes = slices.Compact(p.notes)
}
