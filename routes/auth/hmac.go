package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/schema"
)

// signed admits calls whose body is signed with a shared secret, in one of two forms of the
// header:
//
//	sha256=HEX          GitHub: the HMAC-SHA256 of the body
//	t=SECONDS,v1=HEX    Stripe: that of SECONDS, a full stop and the body; not older than tolerance
//
// The body is read before the call gets a place, and is then passed on whole.
type signed struct {
	route     string
	challenge string
	header    string // in canonical form
	secret    []byte
	most      int64 // bytes of a body
	limit     int64 // limits.body; 0 is none
	bodies    *budget
	now       func() time.Time
}

// MaxSigned is the size of the largest body whose signature is checked, whatever limits.body.
const MaxSigned = 10 << 20

// SignedRead is how long the body of a call that is to be signed may keep watchdogd waiting, if
// timeouts.read is 0: until it is complete it is a stranger's.
const SignedRead = 30 * time.Second

// tolerance is how far the time of a signature may be from ours.
const tolerance = 5 * time.Minute

func newHMAC(route string, a *schema.HMACAuth, limit int64, shared *Shared) (*signed, error) {
	s := &signed{route: route, header: http.CanonicalHeaderKey(a.Header), secret: []byte(a.Secret), most: MaxSigned, limit: limit, bodies: &shared.bodies, now: time.Now}
	s.challenge = fmt.Sprintf("HMAC realm=%q, header=%q, algorithm=\"sha256\"", route, s.header)
	if limit > 0 {
		s.most = min(s.most, limit)
	}
	if a.SecretFile == "" {
		return s, nil
	}
	m := mistakes{file: a.SecretFile}
	if text, ok := m.read("file of the secret"); ok {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		switch line := 1 + strings.Count(text, "\n"); {
		case strings.TrimSpace(text) == "":
			m.add(1, "the file is empty; it must hold the secret", "openssl rand -hex 32 prints a good one")
		case line > 1:
			m.add(2, "the file has more than one line; the secret is one line", "")
		case len(text) > maxLine:
			m.add(1, fmt.Sprintf("the secret is longer than %d bytes", maxLine), "")
		}
		s.secret = []byte(text)
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *signed) check(one *call.Call, r *http.Request) (user, scheme string, _ *failure.Error) {
	values := r.Header[s.header]
	switch {
	case len(values) == 0:
		return "", "", unauthorized(s.challenge, "the route needs a signature of the body in the header "+s.header)
	case len(values) > 1:
		return "", "", unauthorized(s.challenge, "the request has more than one "+s.header+" header")
	}
	claimed, ok := parseSignature(values[0])
	if !ok {
		return "", "", unauthorized(s.challenge, "the header "+s.header+" must be sha256=HEX or t=SECONDS,v1=HEX")
	}
	if claimed.timed {
		if age := s.now().Sub(time.Unix(claimed.at, 0)); age > tolerance || age < -tolerance {
			return "", "", unauthorized(s.challenge, "the signature's time is more than "+tolerance.String()+" from now")
		}
	}
	if r.ContentLength > s.most {
		return "", "", s.tooLarge(one)
	}
	sum, ambiguous, err := s.sum(one, r, &claimed)
	if err != nil {
		return "", "", err
	}
	if ambiguous && !claimed.timed {
		return "", "", unauthorized(s.challenge, "a body that begins with a number and a full stop needs a signature with a time")
	}
	for _, mac := range claimed.macs {
		if hmac.Equal(mac, sum) {
			return "", "", nil
		}
	}
	return "", "", unauthorized(s.challenge, "the signature is not that of the body")
}

// sum reads the body, which the handler will read again, and returns its signature. ambiguous
// reports a body that begins as the text does that is signed with a time: its signature could be
// one that was made in the other form, for another body.
func (s *signed) sum(one *call.Call, r *http.Request, claimed *signature) (sum []byte, ambiguous bool, _ *failure.Error) {
	h := hmac.New(sha256.New, s.secret)
	if claimed.timed {
		h.Write([]byte(claimed.time))
		h.Write([]byte{'.'})
	}
	body := one.Body()
	if body == nil {
		return h.Sum(nil), false, nil
	}
	held := spill.New(s.most)
	counted := &hold{budget: s.bodies, route: sharer{route: s.route}, client: sharer{client: clientOf(r)}, from: body}
	defer counted.release()
	err := held.Fill(io.TeeReader(counted, h))
	if err == nil {
		ambiguous = beginsTimed(held.First(maxTime + 1))
		body.Unread(held)
		return h.Sum(nil), ambiguous, nil
	}
	held.Free()
	switch f, isFailure := errors.AsType[*failure.Error](err); {
	case isFailure:
		return nil, false, f
	case errors.Is(err, spill.ErrTooLong):
		return nil, false, s.tooLarge(one)
	case errors.Is(err, errSpent):
		return nil, false, unavailable("too many bodies wait for their signature to be checked, of this client, of this route or of all", nil)
	}
	return nil, false, &failure.Error{Kind: failure.Gone, Cause: err}
}

func (s *signed) tooLarge(one *call.Call) *failure.Error {
	if s.limit > 0 && s.limit <= MaxSigned {
		return one.TooLarge(s.limit)
	}
	return &failure.Error{Kind: failure.BodyTooLarge,
		Detail: fmt.Sprintf("the request's body is larger than %d MiB, the most whose signature is checked", MaxSigned>>20)}
}

func (s *signed) start(context.Context) error { return nil }
func (s *signed) close()                      {}

// signature is what the header says.
type signature struct {
	macs  [][]byte // any of them may be that of the body, since senders change their secret
	timed bool
	time  string // as it was sent
	at    int64  // the same, in seconds since 1970
}

// maxMACs and maxTime bound the header.
const (
	maxMACs = 8
	maxTime = 20
)

// parseSignature reads the value of the header.
func parseSignature(value string) (s signature, ok bool) {
	if digits, found := strings.CutPrefix(value, "sha256="); found {
		mac, ok := parseMAC(digits)
		return signature{macs: [][]byte{mac}}, ok
	}
	if len(value) > 1<<10 {
		return signature{}, false
	}
	for field := range strings.SplitSeq(value, ",") {
		key, text, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "t":
			at, err := strconv.ParseInt(text, 10, 64)
			if err != nil || s.timed || at < 0 || len(text) > maxTime || text[0] == '+' {
				return signature{}, false
			}
			s.timed, s.time, s.at = true, text, at
		case "v1":
			mac, ok := parseMAC(text)
			if !ok || len(s.macs) == maxMACs {
				return signature{}, false
			}
			s.macs = append(s.macs, mac)
		case "":
			return signature{}, false
		}
		// Stripe has other schemes, such as v0, which are not for us.
	}
	return s, s.timed && len(s.macs) > 0
}

func parseMAC(digits string) ([]byte, bool) {
	if len(digits) != 2*sha256.Size {
		return nil, false
	}
	mac, err := hex.DecodeString(digits)
	return mac, err == nil
}

// beginsTimed reports whether a body begins with digits and a full stop.
func beginsTimed(head []byte) bool {
	n := 0
	for n < len(head) && '0' <= head[n] && head[n] <= '9' {
		n++
	}
	return n > 0 && n < len(head) && head[n] == '.'
}
