package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The candidates stand on the first core, the load and the upstream on the second:
// throughput is then one over the CPU of a request.
const (
	underTest = "0"
	loadCore  = "1"
)

// benchHop measures the cost of a hop for small messages.
func benchHop(l *lab) error {
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	watchdogd, wpid, err := l.proxyByWatchdogd(upstream)
	if err != nil {
		return err
	}
	overUnix, upid, err := l.proxyByWatchdogd("unix:" + l.upstreamSocket())
	if err != nil {
		return err
	}
	nginx, npid, err := l.proxyByNginx(upstream)
	if err != nil {
		return err
	}
	haproxy, hpid, err := l.proxyByHaproxy(upstream)
	if err != nil {
		return err
	}
	post := l.file("post.lua", "wrk.method = 'POST'\nwrk.body = string.rep('x', 1024)\n")
	for _, load := range []struct{ title, path, script string }{
		{"GET 0 B", "/bytes/0", ""},
		{"GET 1 KiB", "/bytes/1024", ""},
		{"POST 1 KiB", "/bytes/16", post},
		{"GET 100 KiB", "/bytes/102400", ""},
	} {
		err := compare(load.title, units,
			candidate{"direct", func() (figures, error) { return wrk("http://"+upstream+load.path, load.script, 64, 0) }},
			candidate{"watchdogd", func() (figures, error) { return wrk("http://"+watchdogd+load.path, load.script, 64, wpid) }},
			candidate{"by unix socket", func() (figures, error) { return wrk("http://"+overUnix+load.path, load.script, 64, upid) }},
			candidate{"haproxy", func() (figures, error) { return wrk("http://"+haproxy+load.path, load.script, 64, hpid) }},
			candidate{"nginx", func() (figures, error) { return wrk("http://"+nginx+load.path, load.script, 64, npid) }},
		)
		if err != nil {
			return err
		}
	}
	err = compare("one at a time, GET 1 KiB", units,
		candidate{"watchdogd", func() (figures, error) { return wrk("http://"+watchdogd+"/bytes/1024", "", 1, wpid) }},
		candidate{"nginx", func() (figures, error) { return wrk("http://"+nginx+"/bytes/1024", "", 1, npid) }},
	)
	if err != nil {
		return err
	}
	now := func(address string) func() (figures, error) {
		return func() (figures, error) {
			return paced(int(duration.Milliseconds()), time.Millisecond, func() error { return get("http://" + address + "/bytes/1024") })
		}
	}
	return compare("now and then, GET 1 KiB", units, candidate{"watchdogd", now(watchdogd)}, candidate{"nginx", now(nginx)})
}

var units = map[string]string{"rps": "/s", "p50": "us", "p99": "us", "cpu": "us", "MB/s": "MB/s", "cpu_s": "s", "rss": "MiB"}

// benchBulk measures 1 GiB each way.
func benchBulk(l *lab) error {
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	watchdogd, wpid, err := l.proxyByWatchdogd(upstream)
	if err != nil {
		return err
	}
	nginx, npid, err := l.proxyByNginx(upstream)
	if err != nil {
		return err
	}
	big := filepath.Join(l.dir, "big")
	if err := os.WriteFile(big, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(big, 1<<30); err != nil {
		return err
	}
	for _, load := range []struct {
		title string
		args  func(base string) []string
	}{
		{"1 GiB down", func(base string) []string {
			return []string{"-w", "%{speed_download}", "http://" + base + "/bytes/1073741824"}
		}},
		{"1 GiB up", func(base string) []string {
			return []string{"-w", "%{speed_upload}", "-H", "Expect:", "-T", big, "http://" + base + "/bytes/0"}
		}},
	} {
		err := compare(load.title, units,
			candidate{"direct", func() (figures, error) { return curl(load.args(upstream), 0) }},
			candidate{"watchdogd", func() (figures, error) { return curl(load.args(watchdogd), wpid) }},
			candidate{"nginx", func() (figures, error) { return curl(load.args(nginx), npid) }},
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// benchStatic measures a small file.
func benchStatic(l *lab) error {
	root := filepath.Join(l.dir, "public")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "file.txt"), []byte(strings.Repeat("x", 1024)), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(l.dir, 0o755); err != nil {
		return err
	}
	address, err := free()
	if err != nil {
		return err
	}
	w, err := l.start("taskset", "-c", underTest, l.watchdogd, "-c", l.file("static.yaml", fmt.Sprintf(
		"server: {listen: %q}\nlog: {access: false}\nroutes: [{name: files, path: /, mode: static, root: %q}]\n", address, root)))
	if err != nil {
		return err
	}
	nginx, n, err := l.nginx(fmt.Sprintf("root %s; access_log off;", root), "")
	if err != nil {
		return err
	}
	if err := await(address); err != nil {
		return err
	}
	return compare("GET 1 KiB file", units,
		candidate{"watchdogd", func() (figures, error) { return wrk("http://"+address+"/file.txt", "", 64, w.Process.Pid) }},
		candidate{"nginx", func() (figures, error) { return wrk("http://"+nginx+"/file.txt", "", 64, n) }},
	)
}

// upstream starts the C server.
func (l *lab) upstream() (string, error) {
	program, err := l.compile("upstream.c")
	if err != nil {
		return "", err
	}
	address, err := free()
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(address)
	if _, err := l.start("taskset", "-c", loadCore, program, port, l.upstreamSocket()); err != nil {
		return "", err
	}
	return address, await(address)
}

// upstreamSocket is where the C server listens as well.
func (l *lab) upstreamSocket() string { return filepath.Join(l.dir, "upstream.sock") }

func (l *lab) proxyByWatchdogd(upstream string) (string, int, error) {
	address, err := free()
	if err != nil {
		return "", 0, err
	}
	file := l.file("proxy-"+filepath.Base(upstream)+".yaml", fmt.Sprintf("server: {listen: %q}\nmetrics: {listen: \"127.0.0.1:0\"}\nroutes: [{name: up, path: /, mode: http, upstream: %q}]\n", address, upstream))
	cmd, err := l.start("taskset", "-c", underTest, l.watchdogd, "-c", file)
	if err != nil {
		return "", 0, err
	}
	return address, cmd.Process.Pid, await(address)
}

func (l *lab) proxyByNginx(upstream string) (string, int, error) {
	return l.nginx(fmt.Sprintf(`
		access_log %s/access.log;
		location / {
			proxy_pass http://up;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}`, l.dir), fmt.Sprintf("upstream up { server %s; keepalive 128; }", upstream))
}

// proxyByHaproxy starts one thread that keeps connections to the upstream, and logs nothing:
// it writes logs to a syslog only.
func (l *lab) proxyByHaproxy(upstream string) (string, int, error) {
	address, err := free()
	if err != nil {
		return "", 0, err
	}
	conf := l.file("haproxy.cfg", fmt.Sprintf(`
global
	nbthread 1
	maxconn 8000
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	option forwardfor
	http-reuse always
frontend front
	bind %s
	default_backend up
backend up
	server up %s
`, address, upstream))
	cmd, err := l.start("taskset", "-c", underTest, "haproxy", "-q", "-db", "-f", conf)
	if err != nil {
		return "", 0, err
	}
	return address, cmd.Process.Pid, await(address)
}

// idleConnections is how many connections benchIdle opens.
const idleConnections = 9000

// benchIdle measures the memory of connections that have had one response and wait.
func benchIdle(l *lab) error {
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	idle := func(name string, proxy func(string) (string, int, error)) candidate {
		return candidate{name, func() (figures, error) {
			address, pid, err := proxy(upstream) // a new one: memory that was used once is not given back
			if err != nil {
				return nil, err
			}
			defer l.stopLast()
			before := residentKiB(pid)
			for range idleConnections {
				c, err := net.Dial("tcp", address)
				if err != nil {
					return nil, err
				}
				defer c.Close()
				if _, err := fmt.Fprintf(c, "GET /bytes/16 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					return nil, err
				}
				if _, err := c.Read(make([]byte, 4096)); err != nil {
					return nil, err
				}
			}
			time.Sleep(2 * time.Second) // for what is done about idle connections
			return figures{"each": (residentKiB(pid) - before) / idleConnections}, nil
		}}
	}
	return compare(strconv.Itoa(idleConnections)+" idle connections", map[string]string{"each": "KiB"},
		idle("watchdogd", l.proxyByWatchdogd),
		idle("nginx", l.proxyByNginx),
	)
}

// nginx starts one worker with the given server block.
func (l *lab) nginx(server, outside string) (string, int, error) {
	return l.nginxAt("", server, outside)
}

// nginxAt is nginx with more words for its listen.
func (l *lab) nginxAt(listen, server, outside string) (string, int, error) {
	address, err := free()
	if err != nil {
		return "", 0, err
	}
	conf := l.file("nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 20000; }
http {
	sendfile on;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[4]s
	server {
		listen %[2]s;
		%[3]s
	}
}
`, l.dir, address+listen, server, outside))
	cmd, err := l.start("taskset", "-c", underTest, "nginx", "-c", conf)
	if err != nil {
		return "", 0, err
	}
	return address, cmd.Process.Pid, accepts(address)
}

var (
	rpsLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	p50Line     = regexp.MustCompile(`50%\s+([\d.]+)(us|ms|s)`)
	p99Line     = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	totalLine   = regexp.MustCompile(`(\d+) requests in`)
	non2xxLine  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	socketsLine = regexp.MustCompile(`Socket errors: (.*)`)
)

// wrk puts a load on url from the second core. With a pid its CPU per request is told too.
func wrk(url, script string, connections, pid int) (figures, error) {
	words := []string{"-c", loadCore, "wrk", "-t1", "-c" + strconv.Itoa(connections), "-d" + duration.String(), "--latency"}
	if script != "" {
		words = append(words, "-s", script)
	}
	before := cpuSeconds(pid)
	out, err := exec.Command("taskset", append(words, url)...).CombinedOutput()
	used := cpuSeconds(pid) - before
	if err != nil {
		return nil, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	text := string(out)
	if m := non2xxLine.FindStringSubmatch(text); m != nil {
		return nil, fmt.Errorf("%s answers were no success:\n%s", m[1], text)
	}
	if m := socketsLine.FindStringSubmatch(text); m != nil {
		return nil, fmt.Errorf("socket errors: %s", m[1])
	}
	f := figures{"rps": first(rpsLine, text), "p50": micros(p50Line, text), "p99": micros(p99Line, text)}
	if pid != 0 {
		f["cpu"] = used * 1e6 / first(totalLine, text)
	} else {
		f["cpu"] = 0
	}
	return f, nil
}

// curl moves one large body.
func curl(args []string, pid int) (figures, error) {
	before := cpuSeconds(pid)
	out, err := exec.Command("taskset", append([]string{"-c", loadCore, "curl", "-sS", "-f", "-o", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("curl: %w\n%s", err, out)
	}
	speed, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return nil, fmt.Errorf("curl printed %q", out)
	}
	f := figures{"MB/s": speed / 1e6, "cpu_s": cpuSeconds(pid) - before, "rss": peakRSS(pid)}
	return f, nil
}

func first(re *regexp.Regexp, text string) float64 {
	if m := re.FindStringSubmatch(text); m != nil {
		v, _ := strconv.ParseFloat(m[1], 64) // digits and a point
		return v
	}
	return 0
}

func micros(re *regexp.Regexp, text string) float64 {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(m[1], 64) // digits and a point
	return v * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[m[2]]
}

// cpuSeconds is the CPU time that a process has used (proc(5): stat, fields 14 and 15).
func cpuSeconds(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100 // USER_HZ is 100 on every Linux that Go runs on
}

// peakRSS is the most memory that a process has had, in MiB.
func peakRSS(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // pid 0 has none
	return first(regexp.MustCompile(`VmHWM:\s+(\d+) kB`), string(data)) / 1024
}

// free is an address that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await waits until something answers HTTP at address.
func await(address string) error {
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/")
		if err == nil {
			response.Body.Close()
			return nil
		}
		last = err
	}
	return fmt.Errorf("nothing answers at %s: %w", address, last)
}
