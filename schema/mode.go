package schema

// Mode is how a route answers a request.
type Mode string

// The modes.
const (
	HTTP        Mode = "http"
	Streaming   Mode = "streaming"
	Serializing Mode = "serializing"
	Afterburn   Mode = "afterburn"
	Static      Mode = "static"
)

// Traits are what the rest of watchdogd has to know of a mode.
type Traits struct {
	Process    bool // needs an fprocess
	Elsewhere  bool // or an upstream, and the server is run elsewhere
	Forks      bool // starts a process for each request, where others keep one running
	Listens    bool // its process listens on the upstream
	Socketpair bool // its process is spoken to over stdin and stdout, one request at a time
	Folder     bool // needs a root
	Timed      bool // of-watchdog's responses in this mode have X-Duration-Seconds
}

// modes has the row of each mode, in the order in which messages name them. A new mode is
// a row here, its name in the "in" tags of the keys that it takes, and a case in modes.New.
var modes = []struct {
	Mode
	Traits
}{
	{HTTP, Traits{Process: true, Elsewhere: true, Listens: true, Timed: true}},
	{Streaming, Traits{Process: true, Forks: true}},
	{Serializing, Traits{Process: true, Forks: true, Timed: true}},
	{Afterburn, Traits{Process: true, Socketpair: true}},
	{Static, Traits{Folder: true}},
}

// Modes returns the names of the modes.
func Modes() []string {
	names := make([]string, len(modes))
	for i := range modes {
		names[i] = string(modes[i].Mode)
	}
	return names
}

// Traits returns the traits of a mode; an unknown mode has none.
func (m Mode) Traits() Traits {
	for i := range modes {
		if modes[i].Mode == m {
			return modes[i].Traits
		}
	}
	return Traits{}
}

// Supervised reports whether the route has a process that keeps running between requests.
func (r *Route) Supervised() bool {
	t := r.Mode.Traits()
	return t.Process && !t.Forks && (!t.Elsewhere || !r.FProcess.Empty())
}

// Forks reports whether each request of the route has a process of its own.
func (r *Route) Forks() bool { return r.Mode.Traits().Forks }
