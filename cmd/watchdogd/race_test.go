//go:build race

package main

// racing: sync.Pool forgets at random.
const racing = true
