// Package dockertest holds watchdogd's client of the Docker Engine's API against
// github.com/moby/moby/client, which is not linked into watchdogd.
package dockertest
