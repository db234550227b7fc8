package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tg123/go-htpasswd"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// basic admits who sends a user and password of an htpasswd file (RFC 7617).
//
// A password is verified once. After that its user is known by an HMAC of both under a
// random key, one for each user, which a reload forgets. Whether a user exists cannot be seen
// from the time of a refusal: it is that of the most expensive hash of the file.
type basic struct {
	challenge string
	users     map[string]*account
	slowest   *account
	macs      sync.Pool // of hash.Hash, with the random key
	turns     *turns
}

// account is one user.
type account struct {
	hash   htpasswd.EncodedPasswd
	weight float64                           // about how many milliseconds a verification takes
	good   atomic.Pointer[[sha256.Size]byte] // the HMAC of the password, once it was verified
}

// maxPassword and maxBasic are the lengths in bytes of the longest password, and of the longest
// value of the Authorization field.
const (
	maxPassword = 1 << 10
	maxBasic    = 4 << 10
)

func newBasic(route string, a *schema.BasicAuth, shared *Shared) (*basic, error) {
	b := &basic{challenge: fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", route), users: map[string]*account{}, turns: shared.hashing}
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // it does not fail
	b.macs.New = func() any { return hmac.New(sha256.New, secret) }
	m := mistakes{file: a.File}
	if a.File != "" {
		if text, ok := m.read("htpasswd file"); ok {
			b.parse(&m, text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Users)) {
		if message, hint := b.add(name, string(a.Users[name])); message != "" {
			m.found = append(m.found, schema.Problem{Message: fmt.Sprintf("route %s: auth.basic.users.%s: %s", route, name, message), Hint: hint})
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return b, nil
}

// parse reads lines of user:hash.
func (b *basic) parse(m *mistakes, text string) {
	m.each(text, func(line string, _ int) (message, hint string) {
		name, hash, ok := strings.Cut(line, ":")
		if !ok {
			return "the line has no colon", "write user:hash, as htpasswd -B does"
		}
		return b.add(name, strings.TrimSpace(hash))
	})
	if len(b.users) == 0 && len(m.found) == 0 {
		m.add(1, "the file has no users, so no request would be accepted", "add one with htpasswd -B FILE USER")
	}
}

// add adds one user, or returns what is wrong with it.
func (b *basic) add(name, hash string) (message, hint string) {
	if !sound(name) {
		return "the user before the colon must be 1 to 256 characters, without control characters and without spaces around it", ""
	}
	if _, taken := b.users[name]; taken {
		return "the user is in the file twice", "remove one of the two lines"
	}
	encoded, weight, message, hint := accept(hash)
	if message != "" {
		return message, hint
	}
	u := &account{hash: encoded, weight: weight}
	b.users[name] = u
	if b.slowest == nil || u.weight > b.slowest.weight {
		b.slowest = u
	}
	return "", ""
}

// forms are those of a password that Apache's htpasswd writes: -B, -m, -s, -2 and -5.
var forms = sync.OnceValue(func() (f struct{ bcrypt, md5, sha, crypt *regexp.Regexp }) {
	f.bcrypt = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	f.md5 = regexp.MustCompile(`^\$apr1\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}$`)
	f.sha = regexp.MustCompile(`^\{SHA\}[+/0-9A-Za-z]{27}=$`)
	f.crypt = regexp.MustCompile(`^\$([56])\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$([./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})$`)
	return f
})

// maxCost and maxRounds bound what one verification costs: two to three seconds.
const (
	maxCost   = 15
	maxRounds = 1000000
)

// accept reads one hash. Its form is checked here, since a malformed one would only refuse
// its user later.
func accept(text string) (encoded htpasswd.EncodedPasswd, weight float64, message, hint string) {
	const again = "set the password again with htpasswd -B"
	var err error
	switch {
	case strings.HasPrefix(text, "$2"):
		parts := forms().bcrypt.FindStringSubmatch(text)
		if parts == nil {
			return nil, 0, "the bcrypt hash is malformed", again
		}
		cost, _ := strconv.Atoi(parts[1]) // two digits
		if cost < 4 || cost > maxCost {
			return nil, 0, fmt.Sprintf("the bcrypt cost is %d; it must be from 4 to %d", cost, maxCost), "htpasswd -B -C 10 takes about 50 ms for each new login"
		}
		weight = 0.05 * float64(int(1)<<cost)
		encoded, err = htpasswd.AcceptBcrypt(text)
	case strings.HasPrefix(text, "$apr1$"):
		if !forms().md5.MatchString(text) {
			return nil, 0, "the MD5 ($apr1$) hash is malformed", again
		}
		weight = 0.3
		encoded, err = htpasswd.AcceptMd5(text)
	case strings.HasPrefix(text, "{SHA}"):
		if !forms().sha.MatchString(text) {
			return nil, 0, "the {SHA} hash is malformed", again
		}
		encoded, err = htpasswd.AcceptSha(text)
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		parts := forms().crypt.FindStringSubmatch(text)
		if parts == nil || (parts[1] == "5") != (len(parts[3]) == 43) {
			return nil, 0, "the SHA-crypt hash is malformed", again
		}
		rounds := 5000
		if parts[2] != "" {
			rounds, _ = strconv.Atoi(parts[2]) // nine digits at most
		}
		if rounds < 1000 || rounds > maxRounds {
			return nil, 0, fmt.Sprintf("the hash has %d rounds; it must have from 1000 to %d", rounds, maxRounds), again
		}
		weight = float64(rounds) / 2000
		encoded, err = htpasswd.AcceptCryptSha(text)
	default:
		return nil, 0, "the hash is in none of the forms bcrypt ($2y$), MD5 ($apr1$), {SHA} and SHA-crypt ($5$, $6$)", again
	}
	if err != nil || encoded == nil { // an error would quote the hash
		return nil, 0, "the hash is malformed", again
	}
	return encoded, weight, "", ""
}

func (b *basic) check(_ *call.Call, r *http.Request) (user, scheme string, _ *failure.Error) {
	fields := r.Header["Authorization"]
	switch {
	case len(fields) == 0:
		return "", "", unauthorized(b.challenge, "the route needs a user and a password")
	case len(fields) > 1:
		return "", "", unauthorized(b.challenge, twiceDetail)
	}
	name, password, ok := r.BasicAuth()
	if !ok || len(fields[0]) > maxBasic || len(password) > maxPassword {
		return "", "", unauthorized(b.challenge, "the Authorization header is not a user and a password in the form of Basic")
	}
	passes, err := b.verify(r.Context(), name, password)
	switch {
	case errors.Is(err, errBusy):
		return "", "", unavailable("too many passwords are being checked at once; users whose password was checked before are not affected", nil)
	case err != nil:
		return "", "", gone(r.Context())
	case !passes:
		return "", "", unauthorized(b.challenge, "the user or the password is wrong")
	}
	delete(r.Header, "Authorization") // the password is no business of the program
	return name, "Basic", nil
}

// verify reports whether the password is the user's. The error is errBusy, or ctx's.
func (b *basic) verify(ctx context.Context, name, password string) (bool, error) {
	u := b.users[name]
	mac := b.mac(name, password)
	if u.knows(&mac) {
		return true, nil
	}
	if err := b.turns.take(ctx); err != nil {
		return false, err
	}
	defer b.turns.give()
	if u.knows(&mac) { // another call of the same client has verified it meanwhile
		return true, nil
	}
	if u == nil {
		b.slowest.hash.MatchesPassword(password) // for the time that it takes
		return false, nil
	}
	if u.hash.MatchesPassword(password) {
		u.good.Store(&mac)
		return true, nil
	}
	if u.weight < b.slowest.weight/1.5 {
		b.slowest.hash.MatchesPassword(password)
	}
	return false, nil
}

// knows reports whether mac is that of a password that was verified.
func (u *account) knows(mac *[sha256.Size]byte) bool {
	if u == nil {
		return false
	}
	good := u.good.Load()
	return good != nil && hmac.Equal(good[:], mac[:])
}

// mac is the HMAC of a user and a password. A user has no colon.
func (b *basic) mac(name, password string) (sum [sha256.Size]byte) {
	h := b.macs.Get().(hash.Hash)
	defer b.macs.Put(h)
	h.Reset()
	var room [256]byte
	text := append(append(append(room[:0], name...), ':'), password...)
	h.Write(text)
	h.Sum(sum[:0])
	clear(text)
	return sum
}

func (b *basic) start(context.Context) error { return nil }
func (b *basic) close()                      {}
