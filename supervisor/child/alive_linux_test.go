package child

// alive reports whether pid is there and no zombie.
func alive(pid int) bool {
	e, ok := readEntry(pid, make([]byte, 1024))
	return ok && e.alive()
}
