package http1

import "unsafe"

// Text keeps copies of bytes as strings: many of them in one piece of memory, which costs less
// than one for each. A piece lives as long as one of its strings, and none is written twice.
type Text struct{ piece []byte }

// textPiece is how large a piece of a Text is; what is larger gets its own.
const textPiece = 8 << 10

// Keep returns p as a string.
func (t *Text) Keep(p []byte) string {
	if len(p) == 0 {
		return ""
	}
	if len(p) > textPiece/4 {
		return string(p)
	}
	if cap(t.piece)-len(t.piece) < len(p) {
		t.piece = make([]byte, 0, textPiece)
	}
	at := len(t.piece)
	t.piece = append(t.piece, p...)
	return unsafe.String(&t.piece[at], len(p))
}
