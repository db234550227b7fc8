// Package modes answers calls: each mode of a route is an http.Handler, and New makes
// the one that a route asks for.
//
//	handler, err := modes.New(route, modes.Deps{Process: sup.Process(route.Name), Log: log})
//	...
//	handler.ServeHTTP(w, r) // for each call
//	...
//	if c, ok := handler.(io.Closer); ok {
//		c.Close() // when no call uses it any more
//	}
//
// The modes, one file each:
//
//   - http (package modes/proxy) forwards calls to an HTTP server, supervised or run
//     elsewhere, over HTTP/1.1 (internal/http1/client) or HTTP/2.
//   - streaming and serializing start a program for each call (package modes/forking).
//   - afterburn has calls answered by workers that stay, one at a time each.
//   - static answers from a folder.
//
// compress.go stands in front of any of them.
//
// # What a mode is given
//
// A mode learns nothing of prefixes, limits and clocks. The request's RequestURI is
// what the process sees, byte for byte; its header has the forwarded fields and the
// call's id already. The end of the request's context is the end of the call: the mode
// stops at once, and context.Cause says why if that is a *failure.Error; any other cause
// is a caller who went away. Over HTTP/1, full duplex must be enabled. The
// http.ResponseWriter may have more faces (see the interfaces in modes.go), and none
// is needed.
//
// # How a mode fails
//
// Before the head of the response was sent, with Respond: one table turns the kind of
// a *failure.Error into a status and an RFC 9457 problem. After it, with
// panic(http.ErrAbortHandler), so that the caller sees that something is missing.
//
// # Who owns what
//
// What a call starts ends with the call: the goroutine that carries a body, the
// connection that is not good for another call, the process forked for it. Connections
// that wait for their next call belong to the instance's life they lead to (see
// supervisor.Instance.Keep), or to the handler when the upstream is run elsewhere.
package modes
