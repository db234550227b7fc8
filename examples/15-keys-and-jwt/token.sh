#!/bin/sh
# Prints a token for NAME that is valid for SECONDS: ./token.sh NAME [ROLE [SECONDS]]
# With --key it only creates the key that signs tokens (Ed25519), in state/, if there is none.
set -eu
cd "$(dirname "$0")"
umask 077

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

if [ ! -s state/key.pem ]; then
	mkdir -p state/public
	openssl genpkey -algorithm ed25519 -out state/key.new
	public=$(openssl pkey -in state/key.new -pubout -outform DER | tail -c 32 | base64url)
	printf '{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1", "x": "%s"}]}\n' "$public" >state/public/jwks.json
	mv state/key.new state/key.pem
fi
[ "${1:-}" = --key ] && exit

name=${1:-}
[ -n "$name" ] || { echo 'usage: token.sh NAME [ROLE [SECONDS]]' >&2; exit 2; }
case $name${2:-} in *[!A-Za-z0-9@._-]*) echo 'token.sh: a name and a role have only letters, digits and @ . _ -' >&2; exit 2 ;; esac
head=$(printf '{"alg":"EdDSA","typ":"JWT","kid":"1"}' | base64url)
claims=$(printf '{"sub":"%s","aud":"members","role":"%s","exp":%d}' "$name" "${2:-reader}" $(($(date +%s) + ${3:-3600})) | base64url)
unsigned=$(mktemp)
trap 'rm -f "$unsigned"' EXIT
printf '%s.%s' "$head" "$claims" >"$unsigned"
signature=$(openssl pkeyutl -sign -rawin -inkey state/key.pem -in "$unsigned" | base64url)
printf '%s.%s.%s\n' "$head" "$claims" "$signature"
