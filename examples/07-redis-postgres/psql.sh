#!/bin/sh
# Runs psql on the database of postgres.sh.
exec psql --no-psqlrc --set=ON_ERROR_STOP=1 --host="$(cd "$STATE/postgres" && pwd)" --username=app --dbname=postgres "$@"
