package guess_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

func TestACommandIsJudgedByItsWords(t *testing.T) {
	for _, c := range []struct {
		command string
		http    bool
		port    int
	}{
		{"gunicorn app:app", true, 8000},
		{"gunicorn -b 0.0.0.0:9001 app:app", true, 9001},
		{"/venv/bin/gunicorn --bind=127.0.0.1:9002 app:app", true, 9002},
		{"gunicorn --bind unix:/run/x.sock app:app", true, 8000},
		{"python3 -m http.server", true, 8000},
		{"python3 -m http.server 8123 --bind 127.0.0.1", true, 8123},
		{"python -m uvicorn main:app --port 8080", true, 8080},
		{"python3 manage.py runserver 0.0.0.0:8200", true, 8200},
		{"python3 manage.py runserver --noreload 127.0.0.1:8201", true, 8201},
		{"python3 manage.py migrate", false, 0},
		{"bundle exec puma -p 3001", true, 3001},
		{"bundle exec sidekiq", false, 0},
		{"poetry run flask run --port 5001", true, 5001},
		{"flask db upgrade", false, 0},
		{"npx vite --port 5174", true, 5174},
		{"rails server", true, 3000},
		{"rails db:migrate", false, 0},
		{"php -S 127.0.0.1:8081", true, 8081},
		{"redis-server --port 6379", false, 0},
		{"celery -A app worker", false, 0},
		{"./run --port 80", false, 0},
		{"caddy run", true, 80},
		{"caddy fmt", false, 0},
		{"env A=b PORT2=3 uvicorn x:y", true, 8000},
		{"sleep 1", false, 0},
		{"", false, 0},
	} {
		got := guess.Of(strings.Fields(c.command), nil, t.TempDir())
		if got.HTTP != c.http || got.Port != c.port || got.UsesPort {
			t.Errorf("%s: got %+v, want HTTP %v on port %d", c.command, got, c.http, c.port)
		}
	}
}

func TestPORTIsUsedWhereItIsNamed(t *testing.T) {
	for _, c := range []struct {
		words []string
		env   map[string]string
	}{
		{[]string{"./run", "${PORT}"}, nil},
		{[]string{"./run", "--listen=:${PORT}"}, nil},
		{[]string{"./run"}, map[string]string{"PORT": "3000"}},
	} {
		if got := guess.Of(c.words, c.env, t.TempDir()); !got.HTTP || !got.UsesPort || got.Port != 0 {
			t.Errorf("%v %v: got %+v, want that it uses $PORT", c.words, c.env, got)
		}
	}
}

func TestAScriptIsJudgedByItsSource(t *testing.T) {
	for _, c := range []struct {
		command, file, text string
		http, usesPort      bool
		port                int
	}{
		{"node a.js", "a.js", "http.createServer(f).listen(process.env.PORT || 3000)", true, true, 0},
		{"node a.js", "a.js", "app.listen(3000, () => {})", true, false, 3000},
		{"node --inspect a.js", "a.js", "const port = 4000; app.listen(port)", true, false, 4000},
		{"node a.js", "a.js", "console.log('done')", false, false, 0},
		{"python3 -u a.py", "a.py", "HTTPServer(('0.0.0.0', 8765), H).serve_forever()", true, false, 8765},
		{"python3 a.py", "a.py", "app.run(port=int(os.environ.get('PORT', 5000)))", true, true, 0},
		{"python3 a.py", "a.py", "print(input())", false, false, 0},
		{"ruby a.rb", "a.rb", "TCPServer.new('127.0.0.1', ENV.fetch('PORT'))", true, true, 0},
		{"./a.py", "a.py", "app.run()", true, false, 0},
		{"node missing.js", "a.js", "", false, false, 0},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := guess.Of(strings.Fields(c.command), nil, dir)
		if got.HTTP != c.http || got.UsesPort != c.usesPort || got.Port != c.port {
			t.Errorf("%s with %q: got %+v, want HTTP %v, $PORT %v, port %d", c.command, c.text, got, c.http, c.usesPort, c.port)
		}
	}
}
