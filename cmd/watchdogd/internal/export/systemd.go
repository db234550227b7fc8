package export

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// firstPort is the port of the first route in the split layout on one machine, where
// each needs its own.
const firstPort = 8101

// systemd writes a unit for each unit of the plan. They run on this machine, so that paths
// are those of the file.
func systemd(p *plan) ([]File, error) {
	cfg := p.app.Config
	if p.o.Layout == Split {
		if err := p.noInnerTLS(); err != nil {
			return nil, err
		}
		if !p.app.followsPort {
			return nil, fmt.Errorf("server.listen: %s is one address, and in the split layout on one machine each route needs its own: leave server.listen out, or write 127.0.0.1:${PORT:-8080}, so that it follows $PORT", strings.Join(cfg.Server.Listen, ", "))
		}
		if cfg.Metrics.Listen != "" {
			return nil, fmt.Errorf("metrics.listen: %s is one address, which only one of the units could listen on: leave it out for --layout split, or use --layout bundle", cfg.Metrics.Listen)
		}
		if host, _, err := net.SplitHostPort(cfg.Server.Listen[0]); err == nil && !loopback(host) {
			p.note("the units of the routes listen on all addresses, where they are reached past the gateway: write server: {listen: \"127.0.0.1:${PORT:-%d}\"}, which the gateway does not follow", p.front0().Port)
		}
	}
	if p.o.Max > 1 {
		p.note("--replicas: systemd runs one of each unit; the replicas of the file are processes inside it")
	}
	p.note("readiness is READY=1, and there is no probe of liveness but the process itself and WatchdogSec")
	program := p.o.Here
	if filepath.IsAbs(p.o.Program) {
		program = p.o.Program
	}
	var files []File
	port := firstPort
	front := p.front0().Port
	for i := range p.units {
		if u := &p.units[i]; !u.Gateway && p.o.Layout == Split {
			u.Port = port
			port++
		}
	}
	folder := filepath.Dir(cfg.File)
	for i := range p.units {
		u := &p.units[i]
		file := cfg.File
		if u.Gateway {
			u.Port, u.Command = front, p.run("gateway.yaml")
			g := p.gatewayFile(func(to unit) string { return fmt.Sprintf("http://127.0.0.1:%d", to.Port) })
			files = append(files, File{Name: g.Path, Content: []byte(g.Content)})
			if file = filepath.Join(p.o.Out, g.Path); p.o.Out == "" {
				file = filepath.Join(folder, g.Path)
				p.note("save %s in %s", g.Path, folder)
			}
		}
		u.Command[0], u.Command[3] = program, file // of p.run
	}
	p.hidden(program, cfg.File)
	for i := range p.units {
		files = append(files, File{Name: p.units[i].Name + ".service", Content: []byte(p.systemdUnit(&p.units[i], folder))})
	}
	return files, nil
}

// hidden notes which of the paths a unit does not see, or its user may not reach.
func (p *plan) hidden(paths ...string) {
	for _, path := range paths {
		for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
			if folder == "/tmp" || folder == "/var/tmp" {
				p.note("%s is in %s, of which the unit has one of its own (PrivateTmp): move it to a folder such as /srv", path, folder)
				break
			}
			info, err := os.Stat(folder)
			if err == nil && info.Mode().Perm()&0o001 == 0 && !p.asRoot() {
				p.note("%s cannot be reached by the unit's user, which is not root: %s has the permissions %s", path, folder, info.Mode().Perm())
				break
			}
			if folder == filepath.Dir(folder) {
				break
			}
		}
	}
}

// asRoot reports whether all units run as root.
func (p *plan) asRoot() bool {
	return !slices.ContainsFunc(p.units, func(u unit) bool { return !u.Root })
}

func (p *plan) systemdUnit(u *unit, folder string) string {
	w := &writer{}
	p.head(w, "#", "Unit of systemd")
	w.line(0, "[Unit]")
	w.line(0, "Description=%s, served by watchdogd", unitText(u.Name))
	w.line(0, "Documentation=https://github.com/watchdogd/watchdogd")
	w.line(0, "After=network-online.target")
	w.line(0, "Wants=network-online.target")
	for _, other := range p.units {
		if u.Gateway && !other.Gateway {
			w.line(0, "Wants=%s.service", other.Name)
		}
	}
	w.line(0, "")
	w.line(0, "[Service]")
	w.line(0, "Type=notify")
	w.line(0, "NotifyAccess=main")
	var command []string
	for _, word := range u.Command {
		command = append(command, unitWord(word))
	}
	w.line(0, "ExecStart=%s", strings.Join(command, " "))
	w.line(0, "ExecReload=/bin/kill -HUP $MAINPID")
	w.line(0, "WorkingDirectory=%s", unitText(folder))
	if u.Port != 0 {
		w.line(0, "Environment=PORT=%d", u.Port)
	}
	if names := p.secrets(); len(names) > 0 && !u.Gateway {
		w.line(0, "# %s=value, a line each; readable by root only", strings.Join(names, "=value, "))
		w.line(0, "EnvironmentFile=/etc/%s.env", p.name)
	}
	w.line(0, "# %s", u.StartSum)
	w.line(0, "TimeoutStartSec=%d", u.Start)
	w.line(0, "# %s", u.Budget.Sum)
	w.line(0, "TimeoutStopSec=%d", u.Budget.Seconds())
	w.line(0, "# watchdogd is asked to stop, and stops its processes itself; what is left after TimeoutStopSec is killed")
	w.line(0, "KillMode=mixed")
	w.line(0, "Restart=on-failure")
	w.line(0, "RestartSec=1")
	w.line(0, "# wrong use of the command line, which a restart does not mend")
	w.line(0, "RestartPreventExitStatus=2")
	if u.Memory != 0 {
		w.line(0, "# %s", u.MemoryIs)
		w.line(0, "MemoryMax=%dM", mebibytes(int64(u.Memory)))
	} else {
		w.line(0, "# %s", u.MemoryIs)
	}
	w.line(0, "")
	p.hardening(w, u, folder)
	w.line(0, "")
	w.line(0, "[Install]")
	w.line(0, "WantedBy=multi-user.target")
	return w.String()
}

// hardening is systemd.exec(5): what a program behind HTTP has no need of.
func (p *plan) hardening(w *writer, u *unit, folder string) {
	bounding := ""
	if u.Port != 0 && u.Port < 1024 {
		bounding = "CAP_NET_BIND_SERVICE"
	}
	if u.Root {
		w.line(0, "# as root, to become the user of each process")
		bounding = strings.TrimSpace(bounding + " CAP_SETUID CAP_SETGID CAP_KILL CAP_DAC_READ_SEARCH")
	} else {
		w.line(0, "DynamicUser=yes")
		if bounding != "" {
			w.line(0, "AmbientCapabilities=%s", bounding)
		}
	}
	w.line(0, "CapabilityBoundingSet=%s", bounding)
	w.line(0, "RuntimeDirectory=%s", u.Name)
	w.line(0, "Environment=XDG_RUNTIME_DIR=/run/%s", u.Name)
	w.line(0, "UMask=0077")
	w.line(0, "NoNewPrivileges=yes")
	for _, line := range []string{
		"ProtectSystem=strict", "PrivateTmp=yes", "PrivateDevices=yes", "ProtectHome=read-only",
		"ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes",
		"ProtectClock=yes", "ProtectHostname=yes", "ProtectProc=invisible", "LockPersonality=yes",
		"RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "RemoveIPC=yes",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM",
	} {
		w.line(0, "%s", line)
	}
	w.line(0, "# a program that writes beside its files needs: ReadWritePaths=%s", unitText(folder))
}

// unitText is text in which systemd expands nothing.
func unitText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unitWord is one word of a command of systemd.
func unitWord(s string) string {
	s = strings.ReplaceAll(unitText(s), "$", "$$")
	if strings.ContainsAny(s, " \t\"'\\;") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return s
}
