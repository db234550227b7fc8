#!/bin/sh
# Makes an empty repository when there is none yet, and becomes git http-backend.
set -e
case $PATH_INFO/ in
*/../* | *//*) printf 'Status: 404 Not Found\r\n\r\n'; exit ;;
esac
export GIT_PROJECT_ROOT="${STATE:-$PWD/state}"
repository=$GIT_PROJECT_ROOT/hello.git
if [ ! -d "$repository" ]; then
	mkdir -p "$GIT_PROJECT_ROOT"
	new=$(mktemp -d "$GIT_PROJECT_ROOT/new.XXXXXX")
	git init --quiet --bare "$new/hello.git"
	git -C "$new/hello.git" config http.receivepack true # anyone may push: put auth: before it
	mv "$new/hello.git" "$repository" 2>/dev/null || true # another call may have been faster
	rm -rf "$new"
fi
exec git http-backend
