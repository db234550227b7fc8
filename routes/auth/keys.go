package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// keys admits who sends one of a list of named keys, as Authorization: Bearer or X-API-Key.
//
// Only the keys' SHA-256 is kept. They are found by a hash with a random seed, so that the time
// of a look-up says nothing about them, and compared in constant time.
type keys struct {
	challenge string
	seed      maphash.Seed
	byHash    map[uint64][]namedKey
}

type namedKey struct {
	name string
	sum  [sha256.Size]byte
}

// keyHeader is the other field for a key, beside Authorization.
const keyHeader = "X-Api-Key"

// maxKey is the length in bytes of the longest key.
const maxKey = 1 << 10

func newKeys(route string, a *schema.KeysAuth) (*keys, error) {
	k := &keys{challenge: fmt.Sprintf("Bearer realm=%q", route), seed: maphash.MakeSeed(), byHash: map[uint64][]namedKey{}}
	m := mistakes{file: a.File}
	if a.File != "" {
		if text, ok := m.read("file of keys"); ok {
			k.parse(&m, text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Keys)) {
		if message, hint := k.add(name, string(a.Keys[name])); message != "" {
			m.found = append(m.found, schema.Problem{Message: fmt.Sprintf("route %s: auth.keys.keys.%s: %s", route, name, message), Hint: hint})
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return k, nil
}

// parse reads lines of name:key.
func (k *keys) parse(m *mistakes, text string) {
	m.each(text, func(line string, _ int) (message, hint string) {
		name, key, ok := strings.Cut(line, ":")
		if !ok {
			return "the line has no colon", "write name:key, or name:sha256:HEX"
		}
		return k.add(strings.TrimSpace(name), strings.TrimSpace(key))
	})
	if len(k.byHash) == 0 && len(m.found) == 0 {
		m.add(1, "the file has no keys, so no request would be accepted", "write one name:key on each line")
	}
}

// add adds one key, or returns what is wrong with it.
func (k *keys) add(name, key string) (message, hint string) {
	if !sound(name) || strings.ContainsAny(name, " \t\"\\") {
		return "the name before the colon must be 1 to 256 characters without spaces and quotes", "the name is logged as the user; it is not the key"
	}
	if key == "" {
		return "the key is empty", ""
	}
	var sum [sha256.Size]byte
	if digest, ok := strings.CutPrefix(key, "sha256:"); ok {
		if n, err := hex.Decode(sum[:], []byte(digest[:min(len(digest), 2*len(sum)+1)])); err != nil || n != len(sum) || len(digest) != 2*len(sum) {
			return "sha256: must be followed by 64 hexadecimal digits", "printf %s KEY | sha256sum prints them"
		}
	} else {
		if len(key) > maxKey {
			return fmt.Sprintf("the key is longer than %d bytes", maxKey), ""
		}
		if strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return "the key contains a space or a character that is not ASCII, which no header can carry safely", ""
		}
		sum = sha256.Sum256([]byte(key))
	}
	if _, taken := k.find(sum); taken {
		return "another line has the same key, so the user would be ambiguous", "give each name a key of its own"
	}
	hash := maphash.Bytes(k.seed, sum[:])
	k.byHash[hash] = append(k.byHash[hash], namedKey{name, sum})
	return "", ""
}

// find returns the name of the key with this sum.
func (k *keys) find(sum [sha256.Size]byte) (name string, ok bool) {
	for _, known := range k.byHash[maphash.Bytes(k.seed, sum[:])] {
		if subtle.ConstantTimeCompare(known.sum[:], sum[:]) == 1 {
			return known.name, true
		}
	}
	return "", false
}

func (k *keys) check(_ *call.Call, r *http.Request) (user, scheme string, _ *failure.Error) {
	token, found, twice := credentials(r.Header, "Bearer")
	other := r.Header[keyHeader]
	switch {
	case twice:
		return "", "", unauthorized(k.challenge, twiceDetail)
	case len(other) > 1:
		return "", "", unauthorized(k.challenge, "the request has more than one X-API-Key header")
	case !found && len(other) == 0:
		return "", "", unauthorized(k.challenge, "the route needs a key: send it as Authorization: Bearer KEY or X-API-Key: KEY")
	}
	if found && len(token) <= maxKey {
		if name, ok := k.find(sha256.Sum256([]byte(token))); ok {
			delete(r.Header, "Authorization") // it has served its purpose, and is no business of the program
			return name, "Bearer", nil
		}
	}
	if len(other) == 1 && len(other[0]) <= maxKey {
		if name, ok := k.find(sha256.Sum256([]byte(strings.TrimSpace(other[0])))); ok {
			delete(r.Header, keyHeader)
			return name, "Bearer", nil
		}
	}
	return "", "", unauthorized(k.challenge+`, error="invalid_token"`, "the key is not one of those that may call this route")
}

func (k *keys) start(context.Context) error { return nil }
func (k *keys) close()                      {}
