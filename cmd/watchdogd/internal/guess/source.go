package guess

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
)

// mostSource is how much of a source file is read.
const mostSource = 256 << 10

// Source judges a program by its source file. A file that cannot be read is nothing.
func Source(file string) Program {
	text := Read(file)
	if text == nil {
		return Program{}
	}
	name := filepath.Base(file)
	switch {
	case fromEnv().Match(text):
		return Program{HTTP: true, UsesPort: true, Why: name + " reads PORT"}
	case listens().Match(text):
		p := Program{HTTP: true, Why: name + " listens"}
		for _, form := range fixed() {
			if m := form.FindSubmatch(text); m != nil {
				p.Port, _ = strconv.Atoi(string(m[1])) // digits
				if p.Port > 65535 {
					p.Port = 0
				}
				break
			}
		}
		return p
	}
	return Program{Why: name + " does not listen"}
}

// Read is the beginning of a regular file, or nil.
func Read(file string) []byte {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostSource))
	if err != nil {
		return nil
	}
	return bytes.ToValidUTF8(text, nil)
}

var (
	// How the languages read the variable PORT.
	fromEnv = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`process\.env\.PORT\b|process\.env\[['"]PORT['"]\]|Bun\.env\.PORT|Deno\.env\.get\(['"]PORT['"]\)|` +
			`environ(?:\.get)?[\[(]['"]PORT['"]|getenv\(['"]PORT['"]|Getenv\("PORT"\)|LookupEnv\("PORT"\)|ENV(?:\.fetch)?[\[(]\s*['"]PORT['"]|\$_(?:ENV|SERVER)\[['"]PORT['"]\]`)
	})

	// What begins to listen.
	listens = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\.listen\s*\(|createServer|Bun\.serve|Deno\.serve|serve_forever|HTTPServer\(|make_server\(|uvicorn\.run|app\.run\(|web\.run_app|` +
			`ListenAndServe|net\.Listen\(|\.Run\(":\d|http\.Serve\(|WEBrick|TCPServer\.new|Sinatra|require ['"]sinatra|stream_socket_server`)
	})

	// Where the port is a number in the source.
	fixed = sync.OnceValue(func() []*regexp.Regexp {
		return []*regexp.Regexp{
			regexp.MustCompile(`\.listen\s*\(\s*\{?\s*(?:port\s*:\s*)?(\d{2,5})\b`),
			regexp.MustCompile(`(?i)\bport\s*[:=]+\s*(\d{2,5})\b`),
			regexp.MustCompile(`\(\s*\(?\s*['"][^'"]*['"]\s*,\s*(\d{2,5})\s*\)`),
			regexp.MustCompile(`"(?:[a-z0-9.]*):(\d{2,5})"`),
		}
	})
)
