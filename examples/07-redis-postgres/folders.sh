#!/bin/sh
# Creates the folder of the database, which belongs to the user that PostgreSQL runs as.
set -e
mkdir -p "$STATE/postgres"
if [ -n "$DB_USER" ] && [ "$(id -u)" = 0 ]; then
	chown "$DB_USER" "$STATE/postgres"
fi
chmod 700 "$STATE/postgres"
