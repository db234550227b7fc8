package origin

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Identify returns the call's id: the client's X-Request-Id, else its X-Call-Id, else
// a new one. The request then bears it as X-Request-Id. An id that could do
// harm in a log or a header further on is replaced, under both names. The
// header's value goes into v, and memory holds a new id.
func Identify(h http.Header, v *Values, memory *http1.Text) string {
	id, own := sound(h["X-Request-Id"])
	callID, other := sound(h["X-Call-Id"])
	if !own {
		if id = callID; !other {
			id = newID(memory)
		}
	}
	if !own || len(h["X-Request-Id"]) > 1 {
		v.ID[0] = id
		h["X-Request-Id"] = v.ID[:]
	}
	if !other && h["X-Call-Id"] != nil {
		h["X-Call-Id"] = []string{id}
	}
	return id
}

// longestID is as long as an id may be.
const longestID = 128

// sound returns the first of values if it is fit for an id: visible ASCII, without
// what opens or closes a quotation.
func sound(values []string) (string, bool) {
	if len(values) == 0 {
		return "", false
	}
	id := values[0]
	if id == "" || len(id) > longestID {
		return "", false
	}
	for i := range len(id) {
		if b := id[i]; b <= ' ' || b >= 0x7f || b == '"' || b == '\'' || b == '\\' || b == '`' || b == '<' || b == '>' {
			return "", false
		}
	}
	return id, true
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
