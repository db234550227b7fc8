//go:build race

package routes

// racing: sync.Pool forgets at random.
const racing = true
