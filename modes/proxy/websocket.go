package proxy

import (
	"crypto/rand"
	"encoding/binary"
)

// frames follows one direction of a WebSocket (RFC 6455, 5.2) as far as to know where one
// frame ends and the next begins: there, and only there, a frame of ours may stand.
type frames struct {
	head   [10]byte // of the frame, without its mask: as much as came
	n      int      // bytes of head
	left   uint64   // bytes of the mask and the payload to come
	inside bool     // the head is complete
	closed bool     // a close frame has come
}

// between reports whether the next byte begins a frame.
func (f *frames) between() bool { return f.n == 0 }

// next takes the bytes of p up to the end of a frame, or all, and returns how many.
func (f *frames) next(p []byte) int {
	n := 0
	for !f.inside {
		if n == len(p) {
			return n
		}
		f.head[f.n] = p[n]
		f.n++
		n++
		f.begin()
	}
	if rest := uint64(len(p) - n); f.left > rest {
		f.left -= rest
		return len(p)
	}
	n += int(f.left)
	*f = frames{closed: f.closed || f.head[0]&0x0f == opClose}
	return n
}

const (
	opClose   = 8
	goingAway = 1001 // RFC 6455, 7.4.1
	finalBit  = 0x80
	maskBit   = 0x80
)

// begin sees whether the head is complete.
func (f *frames) begin() {
	if f.n < 2 {
		return
	}
	size := uint64(f.head[1] &^ maskBit)
	switch {
	case size == 126 && f.n == 4:
		size = uint64(binary.BigEndian.Uint16(f.head[2:4]))
	case size == 127 && f.n == 10:
		size = binary.BigEndian.Uint64(f.head[2:10])
	case size >= 126:
		return
	}
	if f.head[1]&maskBit != 0 {
		size += 4
	}
	f.inside, f.left = true, size
}

// closeFrame says that the other side goes away. What a client sends is masked.
func closeFrame(masked bool) []byte {
	payload := binary.BigEndian.AppendUint16(nil, goingAway)
	if !masked {
		return append([]byte{finalBit | opClose, byte(len(payload))}, payload...)
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // it never fails
	frame := append([]byte{finalBit | opClose, maskBit | byte(len(payload))}, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}
