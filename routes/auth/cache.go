package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cache is the tokens that were verified, by their SHA-256: at most twice cacheSize. A token that
// is refused is not kept, so that nobody without one can fill it. The zero cache is empty.
type cache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]known
}

// known is what a verified token said.
type known struct {
	user  string
	until time.Time // its exp: after it the token is verified again, and refused
	set   *keySet   // the keys at that time: when they change it is verified again
}

const cacheSize = 2048

// get returns the user of a token that was verified with the keys of set.
func (c *cache) get(sum [sha256.Size]byte, set *keySet, now time.Time) (user string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, found := c.young[sum]
	if !found {
		if k, found = c.old[sum]; found {
			delete(c.old, sum)
			c.add(sum, k)
		}
	}
	if !found || k.set != set || !now.Before(k.until) {
		return "", false
	}
	return k.user, true
}

func (c *cache) put(sum [sha256.Size]byte, k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(sum, k)
}

// add keeps k. When there are cacheSize of them, those that were not used since there were as
// many before are forgotten. c.mu is held.
func (c *cache) add(sum [sha256.Size]byte, k known) {
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = make(map[[sha256.Size]byte]known), c.young
	}
	c.young[sum] = k
}
