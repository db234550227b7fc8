//go:build !linux

package server

// parking is for Linux: elsewhere each connection that waits has a goroutine.
type parking struct{}

const parkAbove = 1 << 62

func newParking(*Server) *parking { return nil }

func (*parking) add(*conn) bool { return false }
func (*parking) remove(*conn)   {}
func (*parking) close()         {}
