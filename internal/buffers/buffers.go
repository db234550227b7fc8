// Package buffers keeps the buffers through which bodies pass for the next ones.
//
//	buf := buffers.Get()
//	defer buffers.Put(buf)
//	n, err := r.Read(*buf)
package buffers

import "sync"

// Size is the length of a buffer: half of what a pipe of Linux holds.
const Size = 32 << 10

var pool = sync.Pool{New: func() any { b := make([]byte, Size); return &b }}

// Get returns a buffer of Size bytes with anything in it.
func Get() *[]byte { return pool.Get().(*[]byte) }

// Put takes a buffer that nothing uses any more. It must have its full length.
func Put(b *[]byte) { pool.Put(b) }
