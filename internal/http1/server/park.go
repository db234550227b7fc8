package server

import "errors"

// errPark says that a connection waits for its next request without a goroutine.
var errPark = errors.New("the connection waits without a goroutine")

// mayWait reports whether one more connection may wait with a goroutine, and counts it.
func (s *Server) mayWait() bool {
	if s.waiting.Add(1) <= parkAbove {
		return true
	}
	s.waiting.Add(-1)
	return false
}

// park has c, which waits, served again when something comes. It reports false when c ends
// here: it was closed meanwhile, or cannot be parked.
func (s *Server) park(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || c.state.Load() == ended {
		return false
	}
	if s.parking == nil {
		if s.parking = newParking(s); s.parking == nil {
			return false // no descriptors, most likely
		}
	}
	c.parked = s.parking.add(c)
	return c.parked
}

// unparked takes a connection that is closed out of the parking, where no goroutine sees to
// its end. s.mu is held.
func (s *Server) unparked(c *conn) {
	s.parking.remove(c)
	c.parked = false
	s.drop(c)
}

// stopParking ends the parking, in which nothing is any more.
func (s *Server) stopParking() {
	s.mu.Lock()
	p := s.parking
	s.parking = nil
	s.mu.Unlock()
	if p != nil {
		p.close()
	}
}
