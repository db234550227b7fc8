package detect

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/importer"
	"github.com/watchdogd/watchdogd/schema/openfaas"
)

func procfile(f *folder) *project {
	if !f.has("Procfile") {
		return nil
	}
	result, err := importer.Import([]string{f.path("Procfile")}, importer.Options{Into: f.path("watchdog.yaml")})
	if err != nil {
		return &project{err: errors.New(strings.Replace(err.Error(), "import "+f.path("Procfile"), "Procfile", 1))}
	}
	result.File.Head = nil
	return &project{found: "Procfile", file: result.File}
}

// packageJSON is what is read of a package.json.
type packageJSON struct {
	Main            string            `json:"main"`
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
}

// ownPort are tools that listen on a port of their own unless told by flags, and the flags.
var ownPort = []struct{ name, flags string }{
	{"vite", "--host 127.0.0.1 --port ${PORT} --strictPort"}, {"astro", "--host 127.0.0.1 --port ${PORT}"}, {"ng", "--host 127.0.0.1 --port ${PORT}"},
	{"webpack", "--host 127.0.0.1 --port ${PORT}"}, {"webpack-dev-server", "--host 127.0.0.1 --port ${PORT}"}, {"vue-cli-service", "--host 127.0.0.1 --port ${PORT}"}, {"parcel", "--host 127.0.0.1 --port ${PORT}"},
	{"http-server", "-a 127.0.0.1 -p ${PORT}"}, {"serve", "-l ${PORT}"}, {"json-server", "--host 127.0.0.1 --port ${PORT}"},
}

// node is a package.json with a script that starts something, or with a main file.
func node(f *folder) *project {
	text := f.text("package.json")
	var p packageJSON
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return &project{err: fmt.Errorf("package.json is not valid JSON: %w", err)}
	}
	manager := "npm"
	for _, lock := range []struct{ file, manager string }{{"pnpm-lock.yaml", "pnpm"}, {"yarn.lock", "yarn"}, {"bun.lockb", "bun"}, {"bun.lock", "bun"}} {
		if f.has(lock.file) {
			manager = lock.manager
			break
		}
	}
	script := ""
	for _, name := range []string{"start", "serve", "dev", "preview"} {
		if strings.TrimSpace(p.Scripts[name]) != "" {
			script = name
			break
		}
	}
	if script == "" {
		main := f.first(p.Main, "server.js", "app.js", "index.js", "main.js", "server.mjs", "index.mjs", "dist/index.js")
		if main == "" {
			return nil
		}
		project, item := program(f, "package.json ("+main+")", []string{"node", main})
		listening(item, guess.Source(f.path(main)))
		modules(f, p, manager, item)
		return project
	}
	command := p.Scripts[script]
	words := []string{manager, "run", script}
	first, _, _ := strings.Cut(strings.TrimSpace(command), " ")
	tool := slices.IndexFunc(ownPort, func(t struct{ name, flags string }) bool { return t.name == first })
	if tool >= 0 {
		if manager == "npm" {
			words = append(words, "--")
		}
		words = append(words, strings.Fields(ownPort[tool].flags)...)
	}
	if plain, _, ok := draft.Words(command); ok && first == "node" {
		words = plain // npm would only stand between
	}
	project, item := program(f, fmt.Sprintf("package.json (scripts.%s: %s)", script, command), words)
	if tool < 0 {
		listening(item, ofCommand(f, command))
	}
	if item.Get("mode") == nil { // a program for each request has no start to wait for
		item.SetNoted("timeouts", draft.Ordered{{Name: "start", Value: "2m"}}, "build tools may need a while")
	}
	modules(f, p, manager, item)
	return project
}

// modules says what to do first where dependencies are not installed.
func modules(f *folder, p packageJSON, manager string, item *draft.Item) {
	if len(p.Dependencies)+len(p.DevDependencies) > 0 && !f.isFolder("node_modules") {
		item.Head = append(item.Head, fmt.Sprintf("Run %s install first: there is no node_modules.", manager))
	}
}

// ofCommand judges a command line of the folder.
func ofCommand(f *folder, line string) guess.Program {
	words, env, _ := draft.Words(line)
	if words == nil {
		words = strings.Fields(line)
	}
	variables := map[string]string{}
	for _, key := range env {
		variables[key.Name], _ = key.Value.(string)
	}
	return guess.Of(words, variables, f.dir)
}

// listening writes what follows from where a program listens.
func listening(item *draft.Item, g guess.Program) {
	switch {
	case g.Port != 0 && !g.UsesPort:
		item.SetNoted("upstream", fmt.Sprintf("http://127.0.0.1:%d", g.Port), "a port of its own; a program that reads $PORT needs no upstream")
	case !g.HTTP && strings.HasSuffix(g.Why, "does not listen"):
		item.SetNoted("mode", "streaming", g.Why+", so it is run for each request: its input is the body, its output the response")
		item.Set("content_type", "auto")
		item.Drop("timeouts")
	default:
		item.Head = append(item.Head, "It listens on $PORT, which watchdogd chooses for each instance.")
	}
}

// requirements is what the files of a Python project say it needs.
func (f *folder) requirements() string {
	all := ""
	for _, name := range []string{"requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "setup.cfg", "requirements/base.txt", "requirements/production.txt"} {
		all += "\n" + f.text(name)
	}
	return strings.ToLower(all)
}

func (f *folder) requires(name string) bool {
	return regexp.MustCompile(`(?m)(^|["'\s,])` + regexp.QuoteMeta(name) + `($|["'\s,;=<>~!\[])`).MatchString(f.requirements())
}

// python3 is the interpreter of the project, and how programs are started by it.
func (f *folder) python3() []string {
	for _, dir := range []string{".venv", "venv", "env"} {
		if f.has(dir + "/bin/python") {
			return []string{dir + "/bin/python"}
		}
	}
	switch {
	case f.has("uv.lock"):
		return []string{"uv", "run", "python"}
	case f.has("poetry.lock"):
		return []string{"poetry", "run", "python"}
	case f.has("Pipfile.lock"):
		return []string{"pipenv", "run", "python"}
	}
	return []string{"python3"}
}

func (f *folder) pythonSources() []string {
	return f.sources(".py", "src", "app", "api", filepath.Base(f.dir), strings.ReplaceAll(filepath.Base(f.dir), "-", "_"))
}

// moduleOf is a source file as a module: src/shop/main.py is shop.main below src.
func moduleOf(file string) (module, below string) {
	if rest, ok := strings.CutPrefix(file, "src/"); ok {
		file, below = rest, "src"
	}
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(file, ".py"), "/__init__"), "/", "."), below
}

// assigned finds the source in which a variable is made of one of these classes.
func (f *folder) assigned(classes string) (file, variable string) {
	form := regexp.MustCompile(`(?m)^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(?:` + classes + `)\(`)
	for _, name := range f.pythonSources() {
		if m := form.FindStringSubmatch(f.text(name)); m != nil {
			return name, m[1]
		}
	}
	return "", ""
}

func django(f *folder) *project {
	if !f.has("manage.py") {
		return nil
	}
	words := append(f.python3(), "manage.py", "runserver", "--noreload", "127.0.0.1:${PORT}")
	found := "manage.py (Django)"
	module := regexp.MustCompile(`DJANGO_SETTINGS_MODULE['"]\s*,\s*['"]([\w.]+)\.settings`).FindStringSubmatch(f.text("manage.py"))
	if module != nil && f.requires("gunicorn") {
		words = append(f.python3(), "-m", "gunicorn", "--bind", "127.0.0.1:${PORT}", module[1]+".wsgi")
		found = "manage.py (Django, gunicorn)"
	}
	p, item := program(f, found, words)
	if !f.requires("gunicorn") {
		item.Head = append(item.Head, "This is Django's server for development; in production, use gunicorn.")
	}
	return p
}

func fastAPI(f *folder) *project {
	file, variable := f.assigned("FastAPI|Starlette|Litestar|Quart")
	if file == "" {
		return nil
	}
	module, below := moduleOf(file)
	words := append(f.python3(), "-m", "uvicorn", module+":"+variable, "--host", "127.0.0.1", "--port", "${PORT}")
	p, item := program(f, file+" (FastAPI or another ASGI application)", words)
	if below != "" {
		item.Set("dir", below)
	}
	return p
}

func flask(f *folder) *project {
	file, variable := f.assigned("Flask")
	if file == "" {
		i := slices.IndexFunc(f.pythonSources(), func(name string) bool {
			return f.requires("flask") && strings.Contains(f.text(name), "def create_app(")
		})
		if i < 0 {
			return nil
		}
		file, variable = f.pythonSources()[i], "create_app()"
	}
	module, below := moduleOf(file)
	words := append(f.python3(), "-m", "flask", "--app", module+":"+variable, "run", "--host", "127.0.0.1", "--port", "${PORT}")
	found := file + " (Flask)"
	if f.requires("gunicorn") {
		words = append(f.python3(), "-m", "gunicorn", "--bind", "127.0.0.1:${PORT}", module+":"+variable)
		found = file + " (Flask, gunicorn)"
	}
	p, item := program(f, found, words)
	if !f.requires("gunicorn") {
		item.Head = append(item.Head, "This is Flask's server for development; in production, use gunicorn.")
	}
	if below != "" {
		item.Set("dir", below)
	}
	return p
}

func python(f *folder) *project {
	file := f.first("app.py", "main.py", "server.py", "handler.py", "wsgi.py")
	if file == "" {
		return nil
	}
	p, item := program(f, file, append(f.python3(), file))
	listening(item, guess.Source(f.path(file)))
	item.Env("PYTHONUNBUFFERED", "1")
	return p
}

// goProgram is a Go program in the folder, or in its only folder below cmd.
func goProgram(f *folder) *project {
	file := f.first("main.go")
	target := "."
	if file == "" {
		var mains []string
		for _, name := range f.sources(".go", "cmd") {
			if path.Base(name) == "main.go" {
				mains = append(mains, name)
			}
		}
		if len(mains) != 1 {
			return nil
		}
		file, target = mains[0], "./"+path.Dir(mains[0])
	}
	if !f.has("go.mod") && target == "." {
		target = "main.go"
	}
	p, item := program(f, file, []string{"go", "run", target})
	g := guess.Source(f.path(file))
	if !g.HTTP {
		for _, other := range f.sources(".go") {
			if found := guess.Source(f.path(other)); found.HTTP {
				g = found
			}
		}
	}
	item.SetNoted("timeouts", draft.Ordered{{Name: "start", Value: "2m"}, {Name: "queue", Value: "2m"}}, "the first start compiles; a built binary starts at once")
	listening(item, g)
	return p
}

func ruby(f *folder) *project {
	if !f.has("Gemfile") {
		return nil
	}
	gems := f.text("Gemfile")
	bundle := []string{"bundle", "exec"}
	switch {
	case f.has("bin/rails") || f.has("config/application.rb"):
		p, _ := program(f, "Gemfile (Rails)", append(bundle, "rails", "server", "-b", "127.0.0.1", "-p", "${PORT}"))
		return p
	case f.has("config.ru") && strings.Contains(gems, "puma"):
		p, _ := program(f, "Gemfile (Rack, puma)", append(bundle, "puma", "-b", "tcp://127.0.0.1:${PORT}"))
		return p
	case f.has("config.ru"):
		p, _ := program(f, "Gemfile (Rack)", append(bundle, "rackup", "-o", "127.0.0.1", "-p", "${PORT}"))
		return p
	}
	file := f.first("app.rb", "main.rb", "server.rb")
	if file == "" {
		return nil
	}
	if strings.Contains(gems, "sinatra") {
		p, _ := program(f, "Gemfile ("+file+", Sinatra)", append(bundle, "ruby", file, "-o", "127.0.0.1", "-p", "${PORT}"))
		return p
	}
	p, item := program(f, "Gemfile ("+file+")", append(bundle, "ruby", file))
	listening(item, guess.Source(f.path(file)))
	return p
}

func php(f *folder) *project {
	if f.has("artisan") {
		p, item := program(f, "artisan (Laravel)", []string{"php", "artisan", "serve", "--host=127.0.0.1", "--port=${PORT}", "--no-reload"})
		item.Head = append(item.Head, "This is Laravel's server for development; in production, use php-fpm behind nginx, or FrankenPHP.")
		return p
	}
	for _, at := range []struct{ index, root string }{{"public/index.php", "public"}, {"index.php", "."}, {"web/index.php", "web"}} {
		if f.has(at.index) {
			words := []string{"php", "-S", "127.0.0.1:${PORT}", "-t", at.root}
			if at.root != "." { // a front controller answers what is no file
				words = append(words, at.index)
			}
			p, item := program(f, at.index, words)
			item.Head = append(item.Head, "This is PHP's server for development; examples/04-php-cgi runs php-cgi for each request.")
			return p
		}
	}
	return nil
}

func pages(f *folder) *project {
	for _, root := range []string{".", "public", "dist", "build", "site", "www", "_site", "docs"} {
		index := path.Join(root, "index.html")
		if !f.has(index) {
			continue
		}
		file, item := web(f)
		item.Set("mode", "static")
		item.Set("root", root)
		if root == "." {
			item.Head = append(item.Head, "Every file in this folder is served, this one too, but for names that begin with a dot. A folder of its own, such as root: public, keeps other files private.")
		}
		return &project{found: index, file: file}
	}
	return nil
}

func dockerfile(f *folder) *project {
	name := f.first("Dockerfile", "Containerfile")
	if name == "" {
		return nil
	}
	image, err := importer.Dockerfile(guess.Read(f.path(name)), "")
	if err != nil || image.Empty() {
		return nil
	}
	image.Here()
	file, item := web(f)
	if image.Line != "" {
		item.Command(image.Line)
	} else {
		item.Program(image.Literals())
	}
	port, why := image.Expose, "EXPOSE says so"
	if g := guess.Of(image.Words, nil, f.dir); port == 0 && g.Port != 0 && !g.UsesPort {
		port, why = g.Port, "its command says so"
	}
	for _, key := range image.Env {
		switch value, _ := key.Value.(string); key.Name {
		case "PATH":
		case "PORT":
			if !slices.Contains(image.Words, value) {
				port = 0 // it reads $PORT
			}
		default:
			item.Env(key.Name, value)
		}
	}
	if port != 0 {
		item.SetNoted("upstream", fmt.Sprintf("http://127.0.0.1:%d", port), why+"; a program that reads $PORT needs no upstream")
	}
	item.Head = append(item.Head, "This is what the image starts, run on this machine: its program and its files must be here.")
	return &project{found: name + " (CMD)", file: file}
}

// environment is the variables of an image of OpenFaaS.
func environment(f *folder) *project {
	if !openfaas.InEnv(f.env) {
		return nil
	}
	text, err := openfaas.Migrate(f.env, "watchdogd")
	if err != nil {
		return nil
	}
	return &project{found: "fprocess in the environment", text: append([]byte(draft.Modeline+"\n"), text...)}
}
