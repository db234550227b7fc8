package schema

// Compat is what a server does as the OpenFaaS watchdogs did where watchdogd would do
// otherwise. server.errors decides all of it today; below schema, each is asked by its name.
type Compat struct {
	BareProbes     bool // /_/health and /_/ready take GET only, and a refusal has no body
	OpenStdin      bool // servers of http mode get a stdin that stays open: some exit when it ends
	SharedPort     bool // another program may listen on a server's fixed port already, as in another container of the pod
	MissingAllowed bool // a program or a root that is missing fails requests, not the start
	ListFolders    bool // static mode lists folders that have no index.html
	AnyMethod      bool // static mode answers every method but HEAD as GET
	SniffTypes     bool // http mode adds a Content-Type to a response without one, from its first bytes
	ClassicLines   bool // format: classic logs as the classic watchdog, not as of-watchdog
}

// CompatOf returns what a value of server.errors stands for.
func CompatOf(errors string) Compat {
	if errors == "problem" {
		return Compat{}
	}
	return Compat{
		BareProbes:     true,
		OpenStdin:      true,
		SharedPort:     true,
		MissingAllowed: true,
		ListFolders:    true,
		AnyMethod:      true,
		SniffTypes:     true,
		ClassicLines:   errors == "classic",
	}
}
