package server

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// parking is where connections wait for their next request without a goroutine each, once
// there are many: one epoll instance, which the scheduler polls like any socket. A connection
// in it has no goroutine; the first bytes give it one again.
//
// It costs a system call and a goroutine for each request, so that a few connections wait
// with their goroutines.
type parking struct {
	fd    int
	file  *os.File // fd, as the scheduler polls it
	conns []*conn  // by descriptor; server.mu guards it
	done  chan struct{}
}

// parkAbove is how many connections wait with a goroutine each, which is about 5 KiB.
const parkAbove = 256

func newParking(s *Server) *parking {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os would read it in a thread
		_ = unix.Close(fd)
		return nil
	}
	p := &parking{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	go p.run(s) // until close, which waits for it
	return p
}

// add has c served when something comes. It reports false when it cannot. server.mu is held.
func (p *parking) add(c *conn) bool {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(c.fd)}
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, c.fd, &event)
	if err == unix.ENOENT {
		err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, c.fd, &event)
	}
	if err != nil {
		return false
	}
	for len(p.conns) <= c.fd {
		p.conns = append(p.conns, nil)
	}
	p.conns[c.fd] = c
	return true
}

// remove takes c out, which is in it. server.mu is held.
func (p *parking) remove(c *conn) { p.conns[c.fd] = nil }

func (p *parking) run(s *Server) {
	defer close(p.done)
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	var events [128]unix.EpollEvent
	n := 0
	for {
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil && err != syscall.EINTR
		})
		if err != nil || n < 0 {
			return // closed
		}
		for _, e := range events[:n] {
			if c := s.unpark(int(e.Fd)); c != nil {
				go c.serve() // until the connection ends or waits again; Shutdown waits for it
			}
		}
	}
}

// unpark takes the connection with this descriptor out of the parking, if it is in it.
func (s *Server) unpark(fd int) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parking == nil || fd >= len(s.parking.conns) || s.parking.conns[fd] == nil {
		return nil // it was closed meanwhile
	}
	c := s.parking.conns[fd]
	s.parking.remove(c)
	c.parked = false
	return c
}

// close ends the goroutine. Nothing is parked any more.
func (p *parking) close() {
	_ = p.file.Close() // run's wait ends
	<-p.done
}
