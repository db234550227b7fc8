// Package admin is the admin API: what serves it, which client reaches it, where its socket
// is found again, and who may use it. Beside it stand the metrics, on a listener of their own.
//
// A socket is of mode 0600 in a folder of its user's alone. A client sends nothing before it
// has seen that its own user, or root, serves the socket.
package admin
