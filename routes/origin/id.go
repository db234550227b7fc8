package origin

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Identify returns the call's id: the client's X-Request-Id, else its X-Call-Id, else
// a new one, which is a valid id of a trace as well. The request then bears it as X-Request-Id. An id
// that could do harm in a log or a header further on is replaced, under both names. memory holds a new id.
func Identify(f *http1.Fields, memory *http1.Text) (id string, made bool) {
	id, own := soundIn(f, "X-Request-Id")
	callID, other := soundIn(f, "X-Call-Id")
	if !own {
		if id = callID; !other {
			id, made = newID(memory), true
		}
	}
	f.Set("X-Request-Id", id)
	if !other && f.Has("X-Call-Id") {
		f.Set("X-Call-Id", id)
	}
	return id, made
}

// soundIn returns the first field called name if its value is fit for an id.
func soundIn(f *http1.Fields, name string) (string, bool) {
	id := f.Get(name)
	if !sound(id) {
		return "", false
	}
	return id, true
}

// longestID is as long as an id may be.
const longestID = 128

// sound reports whether a value is fit for an id: visible ASCII, without what opens or closes
// a quotation.
func sound(id string) bool {
	if id == "" || len(id) > longestID {
		return false
	}
	for i := range len(id) {
		if b := id[i]; b <= ' ' || b >= 0x7f || b == '"' || b == '\'' || b == '\\' || b == '`' || b == '<' || b == '>' {
			return false
		}
	}
	return true
}

// newID is 128 random bits; an id is a name and no secret.
func newID(memory *http1.Text) string {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	var text [32]byte
	hex.Encode(text[:], raw[:])
	return memory.Keep(text[:])
}
