package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// keySet is the keys of an issuer at one time. It never changes.
type keySet struct {
	issuer string // as it names itself
	text   []byte // that it was made of
	keys   map[string][]verifier
	all    []verifier
}

// verifier is a public key and the algorithm that it is for; empty is any of its kind.
type verifier struct {
	key       crypto.PublicKey
	algorithm jose.SignatureAlgorithm
}

// algorithms are those of public keys. With one of shared secrets the public key would be the
// secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// maxKeys is how many keys an issuer may have, and maxBits how long one of RSA may be:
// a verification takes longer with each bit.
const (
	maxKeys = 256
	minBits = 2048
	maxBits = 8192
)

// newKeySet takes those keys of a JWKS (RFC 7517) that can verify a signature. Others may be of
// a kind that is not known here, or secrets.
func newKeySet(issuer string, text []byte) (*keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, more than %d", len(document.Keys), maxKeys)
	}
	set := &keySet{issuer: issuer, text: text, keys: map[string][]verifier{}}
	for _, text := range document.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(text, &k) != nil {
			continue
		}
		public := k.Public()
		if !public.Valid() || k.Use != "" && k.Use != "sig" || !suitable(public.Key) {
			continue
		}
		v := verifier{public.Key, jose.SignatureAlgorithm(k.Algorithm)}
		set.keys[k.KeyID] = append(set.keys[k.KeyID], v)
		set.all = append(set.all, v)
	}
	if len(set.all) == 0 {
		return nil, errors.New("there is none that can verify a signature")
	}
	return set, nil
}

func suitable(key crypto.PublicKey) bool {
	r, ok := key.(*rsa.PublicKey)
	return !ok || r.N.BitLen() >= minBits && r.N.BitLen() <= maxBits
}

func (s *keySet) equal(other *keySet) bool {
	return s.issuer == other.issuer && bytes.Equal(s.text, other.text)
}

// fits reports whether the key is for the algorithm.
func (v verifier) fits(a jose.SignatureAlgorithm) bool {
	if v.algorithm != "" && v.algorithm != a {
		return false
	}
	switch key := v.key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(a), "RS") || strings.HasPrefix(string(a), "PS")
	case *ecdsa.PublicKey:
		return map[jose.SignatureAlgorithm]int{jose.ES256: 256, jose.ES384: 384, jose.ES512: 521}[a] == key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return a == jose.EdDSA
	}
	return false
}

// The reasons for which no key is tried.
var (
	errUnknownKey = errors.New("the issuer has no key of the token's kid")
	errWrongKey   = errors.New("the token's algorithm is not that of its key")
	errNoKeyID    = errors.New("the token names no key (kid), and the issuer has several")
	errCritical   = errors.New("the token has critical extensions (crit), and none is known here")
	errNoToken    = errors.New("it is not a signed token in three parts")
)

// maxToken is the length in bytes of the longest token.
const maxToken = 64 << 10

// parse reads a token in the compact form of a JWS (RFC 7515), the only one that is a JWT.
func parse(token string) (*jose.JSONWebSignature, error) {
	head, _, _ := strings.Cut(token, ".")
	if strings.Count(token, ".") != 2 {
		return nil, errNoToken
	}
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return nil, errNoToken
	}
	var header struct {
		Critical json.RawMessage `json:"crit"`
	}
	if json.Unmarshal(text, &header) != nil {
		return nil, errNoToken
	}
	if header.Critical != nil {
		return nil, errCritical // RFC 7515, 4.1.11
	}
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	if wrong, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, fmt.Errorf("the algorithm %.10q is not one of RS256 to PS512, ES256 to ES512 and EdDSA", wrong.Got)
	}
	if err != nil {
		return nil, errNoToken
	}
	return parsed, nil
}

// verify returns what a token says, if one of the keys has signed it.
func (s *keySet) verify(token *jose.JSONWebSignature) ([]byte, error) {
	if s == nil {
		return nil, errUnknownKey
	}
	header := token.Signatures[0].Header
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	candidates, known := s.keys[header.KeyID]
	if header.KeyID == "" && !known {
		candidates = s.all
	} else if !known {
		return nil, errUnknownKey
	}
	var fitting []verifier
	for _, v := range candidates {
		if v.fits(algorithm) {
			fitting = append(fitting, v)
		}
	}
	switch {
	case len(fitting) == 0:
		return nil, errWrongKey
	case len(fitting) > 1 && header.KeyID == "":
		return nil, errNoKeyID
	}
	for _, v := range fitting[:min(len(fitting), 2)] { // two keys of one kid and one kind are a mistake already
		if payload, err := token.Verify(v.key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("the signature is not valid")
}
