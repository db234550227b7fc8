package server

import (
	"encoding/binary"
	"io"
	"net"
)

// settingsConn is an HTTP/2 connection as its client means it: where a SETTINGS frame
// has a setting twice, the later one holds (RFC 9113, 6.5.3). net/http takes that for an
// error. Everything else passes as it comes, in reads of the same sizes.
type settingsConn struct {
	net.Conn
	left int    // bytes until the next frame
	head []byte // what has come of a frame's head
	out  []byte // read and not yet given, a part of buf
	buf  []byte
}

const (
	frameHead    = 9 // bytes (RFC 9113, 4.1)
	settingsType = 4
	settingsAck  = 1
	settingSize  = 6
)

func (c *settingsConn) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.left > 0 {
			n, err := c.Conn.Read(p[:min(len(p), c.left)])
			c.left -= n
			return n, err
		}
		n, err := c.Conn.Read(c.room())
		c.head = c.head[:len(c.head)+n]
		if len(c.head) == frameHead {
			err = c.begin()
		}
		if err != nil {
			c.out = nil
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// room is where what is missing of a frame's head goes.
func (c *settingsConn) room() []byte {
	if c.head == nil {
		c.head = make([]byte, 0, frameHead)
	}
	return c.head[len(c.head):frameHead]
}

// begin takes the head of a frame.
func (c *settingsConn) begin() error {
	length := int(binary.BigEndian.Uint32(c.head) >> 8)
	c.buf = append(c.buf[:0], c.head...)
	c.out = c.buf
	settings := c.head[3] == settingsType && c.head[4]&settingsAck == 0
	c.head = c.head[:0]
	if !settings || length > maxFrame || length%settingSize != 0 {
		c.left = length
		return nil
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(c.Conn, payload); err != nil {
		return err
	}
	payload = lastSettings(payload)
	c.buf[0], c.buf[1], c.buf[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	c.buf = append(c.buf, payload...)
	c.out = c.buf
	return nil
}

// lastSettings are the settings of a frame, each once, with its last value; order matters
// to none of them.
func lastSettings(payload []byte) []byte {
	at := map[[2]byte]int{}
	kept := payload[:0]
	for ; len(payload) > 0; payload = payload[settingSize:] {
		id := [2]byte(payload)
		if i, twice := at[id]; twice {
			copy(kept[i:i+settingSize], payload[:settingSize])
			continue
		}
		at[id] = len(kept)
		kept = append(kept, payload[:settingSize]...)
	}
	return kept
}

// CloseWrite ends the sending half.
func (c *settingsConn) CloseWrite() error { return closeWrite(c.Conn) }
