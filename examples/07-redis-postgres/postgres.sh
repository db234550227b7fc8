#!/bin/sh
# Runs PostgreSQL on a socket in $STATE, which only its own user and root can reach. The first
# time it creates the database.
set -e
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)   # where Debian has it
folder=$(cd "$STATE/postgres" && pwd)
if [ ! -s "$folder/data/PG_VERSION" ]; then
	rm -rf "$folder/data"   # what was left by one that was interrupted
	initdb --pgdata="$folder/data" --username=app --auth=trust --encoding=UTF8 --locale=C.UTF-8
fi
exec postgres -D "$folder/data" -k "$folder" -c listen_addresses=
