package metrics

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Function counts the calls of one route that came through the gateway, under the names that
// the gateway of OpenFaaS gives its metrics.
type Function struct {
	name string
	took histogram

	codes atomic.Pointer[[]*outcome]
	mu    sync.Mutex // held where codes grows
}

// outcome is the calls with one status.
type outcome struct {
	code int
	n    atomic.Uint64
}

// Function returns the counters of the function called name: the same ones at each call,
// until Keep forgets them.
func (m *Registry) Function(name string) *Function {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.functions[name]
	if f == nil {
		f = &Function{name: name}
		m.functions[name] = f
	}
	return f
}

// End counts a call that is over: the status as it was sent, and how long it took.
func (f *Function) End(code int, took time.Duration) {
	f.took.add(took)
	f.of(code).n.Add(1)
}

func (f *Function) of(code int) *outcome {
	find := func(list []*outcome) *outcome {
		for _, o := range list {
			if o.code == code {
				return o
			}
		}
		return nil
	}
	if o := find(f.outcomes()); o != nil {
		return o
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.outcomes()
	if o := find(list); o != nil {
		return o
	}
	o := &outcome{code: code}
	longer := append(list[:len(list):len(list)], o)
	f.codes.Store(&longer)
	return o
}

func (f *Function) outcomes() []*outcome {
	if list := f.codes.Load(); list != nil {
		return *list
	}
	return nil
}

// writeFunctions writes the families of the gateway. Without a gateway there are none.
func writeFunctions(w io.Writer, all []*Function) {
	if len(all) == 0 {
		return
	}
	const total, took = "gateway_function_invocation_total", "gateway_functions_seconds"
	Family(w, total, "counter", "calls through the gateway")
	for _, f := range all {
		for _, o := range f.outcomes() {
			fmt.Fprintf(w, "%s{function_name=%q,code=\"%d\"} %d\n", total, f.name, o.code, o.n.Load())
		}
	}
	Family(w, took, "histogram", "how long calls through the gateway took")
	for _, f := range all {
		f.took.write(w, took, `function_name="`+f.name+`"`)
	}
}
