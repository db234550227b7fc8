// Package history observes the routes and services of the daemon: what each of them did in the
// last hour, and, for clients that look, what changes now.
//
// A Recorder looks every ten seconds and keeps a row of each name, in memory that does not grow
// with their number: of more than a hundred names the rows are further apart. While a client
// follows it, it looks once a second for what is measured, and four times a second for states.
// All clients get the same bytes; one that does not read them is dropped.
package history
