package importer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
	"github.com/watchdogd/watchdogd/internal/regular"
)

// source is one file that is read.
type source struct {
	path string // as it was named
	name string // its last element
	dir  string // its folder, absolute
	text []byte
}

// mostBytes bounds a file that is imported.
const mostBytes = 8 << 20

// open reads a file that is imported.
func open(path string) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return source{}, fmt.Errorf("import %s: %w", path, err.(*os.PathError).Err)
	}
	if info.IsDir() {
		return source{}, fmt.Errorf("import %s: it is a folder; name a file in it, or run watchdogd init there", path)
	}
	if info.Size() > mostBytes {
		return source{}, fmt.Errorf("import %s: it is larger than %d MiB", path, mostBytes>>20)
	}
	text, err := regular.ReadFile(path)
	if err != nil {
		return source{}, fmt.Errorf("import %s: %w", path, err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return source{}, fmt.Errorf("import %s: %w", path, err)
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return source{}, fmt.Errorf("import %s: it is not a text file", path)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return source{path, filepath.Base(path), filepath.Dir(absolute), text}, nil
}

// program is one program of a file that is imported.
type program struct {
	name  string
	words []string // the command, in which ${PORT} is the port of the instance; or
	line  string   // the command as a shell reads it
	shell bool     // line needs a shell

	dir       string // absolute, or relative to the file; empty is the file's folder
	env       draft.Ordered
	envFiles  []string
	keys      []draft.Key          // other keys as they are written
	needs     []draft.Key          // depends_on: names as in the file, and how far each must have come
	lost      [][2]string          // what is not carried over, and why
	notes     []string             // comments above the item
	port      int                  // an HTTP server listens here, as the format says
	web       func() guess.Program // the format's judgement; nil is that of guess
	elsewhere string               // an upstream instead of a command
	dead      string               // why it is a comment only
	unsaid    string               // the restart of a service for which the file names none
	rootless  bool                 // without dir, it runs wherever the supervisor was started
	replica   string               // what stands in the command for the number of the instance
}

func (p *program) set(key string, value any) {
	p.keys = append(p.keys, draft.Key{Name: key, Value: value})
}

func (p *program) lose(what, why string) { p.lost = append(p.lost, [2]string{what, why}) }

// builder makes routes and services of programs.
type builder struct {
	Options
	from source
	base string // the folder of the file to be

	programs []*program
	file     *draft.File
	lost     []string
	listen   []string // addresses for server.listen
}

func newBuilder(s source, o Options) *builder {
	base := s.dir
	if o.Into != "" {
		base = filepath.Dir(o.Into)
	}
	return &builder{Options: o, from: s, base: base, file: &draft.File{}}
}

func (b *builder) add(p *program) *program {
	b.programs = append(b.programs, p)
	return p
}

// loseAll notes what is about the whole file.
func (b *builder) loseAll(what, why string) {
	sentence := fmt.Sprintf("not carried over: %s: %s", what, why)
	b.file.Tail = append(b.file.Tail, "N"+sentence[1:]+".")
	b.lost = append(b.lost, sentence)
}

// finish writes the programs as items of a file that is valid.
func (b *builder) finish(f *format, sources []source) (*Result, error) {
	if len(b.programs) == 0 {
		return nil, fmt.Errorf("import %s: %w", b.from.path, errNothing)
	}
	var names []string
	for _, s := range sources {
		names = append(names, s.name)
	}
	b.file.Head = append([]string{
		"Imported from " + strings.Join(names, ", ") + ". Check it with: watchdogd validate",
		"Comments say what could not be carried over, and why.",
	}, b.file.Head...)
	items := map[string]*draft.Item{}
	judged := make([]guess.Program, len(b.programs))
	routes := 0
	for n, p := range b.programs {
		if judged[n] = b.judge(p); judged[n].HTTP {
			routes++
		}
	}
	root := b.root(judged)
	dead := 0
	for n, p := range b.programs {
		if judged[n].HTTP {
			items[p.name] = b.route(p, judged[n], n == root)
		} else {
			items[p.name] = b.service(p)
		}
		if p.dead != "" {
			dead++
		}
	}
	if dead == len(b.programs) {
		return nil, fmt.Errorf("import %s: none of its programs can be started without a container: %s: %s", b.from.path, b.programs[0].name, b.programs[0].dead)
	}
	b.depend(items)
	b.server(judged)
	if routes == 0 {
		b.file.Head = append(b.file.Head, "No program in it is known to be an HTTP server, so there is no route yet. To serve one, move it to routes:, with path: / and, unless it listens on $PORT, upstream: 127.0.0.1:ITS_PORT")
	}
	name := b.Into
	if name == "" {
		name = filepath.Join(b.base, "watchdog.yaml")
	}
	said, err := b.file.Settle(name, b.Env)
	if err != nil {
		return nil, fmt.Errorf("import %s: the result would not be valid: %w", b.from.path, err)
	}
	if b.file.Empty() {
		return nil, fmt.Errorf("import %s: nothing of it can be written: %s", b.from.path, strings.Join(said, "; "))
	}
	return &Result{b.file, append(b.lost, said...)}, nil
}

// defaultPort is the port of watchdogd if server.listen names no other.
const defaultPort = 8080

// server writes server.listen: what the file publishes, unless one of its own programs
// listens there.
func (b *builder) server(judged []guess.Program) {
	taken := map[string]string{}
	for n, p := range b.programs {
		if judged[n].Port != 0 && p.dead == "" {
			taken[strconv.Itoa(judged[n].Port)] = p.name
		}
		if at := strings.LastIndexByte(p.elsewhere, ':'); at > 0 {
			taken[p.elsewhere[at+1:]] = p.name
		}
	}
	b.listen = slices.DeleteFunc(b.listen, func(address string) bool {
		port := address[strings.LastIndexByte(address, ':')+1:]
		if taken[port] != "" {
			b.loseAll("port "+port+" for clients", taken[port]+" listens there itself, so watchdogd needs another port; or let it listen on $PORT and remove its upstream")
		}
		return taken[port] != ""
	})
	if len(b.listen) == 0 && taken[strconv.Itoa(defaultPort)] != "" {
		free := defaultPort + 1
		for taken[strconv.Itoa(free)] != "" {
			free++
		}
		b.listen = []string{fmt.Sprintf(":%d", free)}
	}
	if len(b.listen) > 0 {
		b.file.Server = &draft.Item{}
		b.file.Server.Set("listen", one(b.listen))
	}
}

// judge decides whether p is a route.
func (b *builder) judge(p *program) guess.Program {
	switch {
	case p.dead != "":
		return guess.Program{}
	case p.elsewhere != "":
		return guess.Program{HTTP: true}
	case p.web != nil:
		return p.web()
	}
	if p.words == nil && (strings.Contains(p.line, "$PORT") || strings.Contains(p.line, "${PORT")) {
		return guess.Program{HTTP: true, UsesPort: true, Why: "the command uses $PORT"}
	}
	words := p.words
	if words == nil {
		words, _, _ = draft.Words(p.line)
		if words == nil {
			words = strings.Fields(p.line)
		}
	}
	words = slices.Clone(words)
	for n, w := range words {
		if !strings.Contains(w, "${PORT}") {
			words[n] = b.resolved(w, nil)
		}
	}
	env := map[string]string{}
	for _, key := range p.env {
		env[key.Name], _ = key.Value.(string)
	}
	g := guess.Of(words, env, b.folder(p.dir))
	if p.replica != "" && strings.Contains(strings.Join(words, " "), p.replica) {
		g.Port = 0 // each instance has another
	}
	return g
}

// root is the program that is served on /: the one that is called so, or the first.
func (b *builder) root(judged []guess.Program) int {
	first := -1
	for n, p := range b.programs {
		if !judged[n].HTTP {
			continue
		}
		if first < 0 {
			first = n
		}
		if slices.Contains([]string{"web", "nginx", "proxy", "frontend", "www", "site"}, strings.ToLower(p.name)) {
			return n
		}
	}
	return first
}

func (b *builder) route(p *program, g guess.Program, root bool) *draft.Item {
	item := b.file.Route(p.name)
	path := "/"
	if !root {
		path = "/" + item.Name
	}
	item.SetNoted("path", path, g.Why)
	switch {
	case p.elsewhere != "":
		item.Set("upstream", p.elsewhere)
	case g.Port != 0:
		item.Set("upstream", fmt.Sprintf("http://127.0.0.1:%d", g.Port))
	}
	b.write(item, p)
	if env, ok := item.Get("env").(draft.Ordered); ok {
		if n := slices.IndexFunc(env, func(k draft.Key) bool { return k.Name == "PORT" }); n >= 0 && g.UsesPort {
			rest := slices.Delete(slices.Clone(env), n, n+1)
			item.Set("env", rest)
			if len(rest) == 0 {
				item.Drop("env")
			}
			item.Head = append(item.Head, fmt.Sprintf("PORT=%v is left out: watchdogd chooses a free port for each instance.", env[n].Value))
		}
	}
	if replicas, ok := item.Get("replicas").(int); ok && replicas > 1 && item.Get("upstream") != nil {
		item.Drop("replicas")
		b.lose(item, fmt.Sprintf("the number of %d instances", replicas), "they would all listen on the same port; let the program listen on $PORT, remove upstream and set replicas")
	}
	if p.elsewhere == "" && !g.UsesPort && item.Get("upstream") == nil {
		item.Head = append(item.Head, "It must listen on $PORT; if it has a port of its own, set upstream: http://127.0.0.1:ITS_PORT")
	}
	return item
}

func (b *builder) service(p *program) *draft.Item {
	item := b.file.Service(p.name)
	b.write(item, p)
	if p.unsaid != "" && item.Get("restart") == nil {
		item.Set("restart", p.unsaid)
	}
	return item
}

func (b *builder) lose(item *draft.Item, what, why string) {
	item.Lost(what, why)
	b.lost = append(b.lost, fmt.Sprintf("%s: not carried over: %s: %s", item.Name, what, why))
}

// write writes what routes and services share.
func (b *builder) write(item *draft.Item, p *program) {
	item.Head = append(item.Head, p.notes...)
	if p.dead != "" {
		item.Gone = true
		item.Head = append(item.Head, "This is a comment because: "+p.dead)
		b.lost = append(b.lost, fmt.Sprintf("%s is written as a comment: %s", item.Name, p.dead))
	}
	switch {
	case p.elsewhere != "":
	case p.words == nil && p.line == "":
		item.Set("fprocess", "...")
	case p.words != nil:
		item.Program(p.words)
	case p.shell:
		item.Shell(p.line)
	default:
		item.Command(p.line)
	}
	if dir := b.place(p.dir); dir != "" && p.elsewhere == "" && !(p.rootless && p.dir == "") {
		item.Set("dir", draft.Literal(dir))
	}
	if p.replica != "" {
		item.Replace("fprocess", p.replica, "${INSTANCE}")
	}
	if len(p.env) > 0 && p.elsewhere == "" {
		env, _ := item.Get("env").(draft.Ordered)
		all := slices.Clone(p.env)
		for _, key := range env { // what the command itself sets counts more
			all = all.With(key.Name, key.Value)
		}
		item.Set("env", all)
	}
	if len(p.envFiles) > 0 {
		item.Set("env_file", one(p.envFiles))
	}
	for _, key := range p.keys {
		item.SetNoted(key.Name, key.Value, key.Comment)
	}
	for _, lost := range p.lost {
		b.lose(item, lost[0], lost[1])
	}
}

// depend writes depends_on, which is what the items became of what the programs need.
func (b *builder) depend(items map[string]*draft.Item) {
	for _, p := range b.programs {
		item := items[p.name]
		var needs draft.Ordered
		plain := true
		for _, need := range p.needs {
			other := items[need.Name]
			switch {
			case other == nil:
				b.lose(item, "the dependency on "+need.Name, "there is no such program in the file")
			case other.Gone:
				b.lose(item, "the dependency on "+need.Name, "it is not started by watchdogd")
			default:
				plain = plain && need.Value == "ready"
				needs = needs.With(other.Name, need.Value)
			}
		}
		switch {
		case len(needs) == 0:
		case plain:
			var names []string
			for _, need := range needs {
				names = append(names, need.Name)
			}
			item.Set("depends_on", names)
		default:
			item.Set("depends_on", needs)
		}
	}
}

// folder is where a program runs, absolute.
func (b *builder) folder(dir string) string {
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	return filepath.Join(b.from.dir, dir)
}

// place is dir as the file to be has it; empty is its own folder.
func (b *builder) place(dir string) string {
	path := b.folder(dir)
	if path == b.base {
		return ""
	}
	if relative, err := filepath.Rel(b.base, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}

// one is a list, or its only element.
func one(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// seconds is a duration as the file has it.
func seconds(n float64) string {
	if n >= 60 && n == float64(int(n)) && int(n)%60 == 0 {
		return fmt.Sprintf("%dm", int(n)/60)
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + "s"
}

// signalNames are the signals that stop.signal takes, by their numbers.
var signalNames = map[int]string{1: "HUP", 2: "INT", 3: "QUIT", 9: "KILL", 10: "USR1", 12: "USR2", 15: "TERM", 28: "WINCH"}

// signal is a signal's name as stop.signal takes it; false is one that it does not.
func signal(s string) (string, bool) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG")
	if n, err := strconv.Atoi(name); err == nil {
		name = signalNames[n]
	}
	for _, known := range signalNames {
		if known == name {
			return name, true
		}
	}
	return "", false
}
