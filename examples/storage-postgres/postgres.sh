#!/bin/sh
# Runs a PostgreSQL for trials and tests, in the foreground, until it is ended: postgres.sh DIR PORT.
# It listens on 127.0.0.1 alone. The user is "logger", and so is the database; the password is
# "open-sesame". DIR is made if it is missing; it has the data, so a later run finds them again. What is
# committed outlives the end of every process, but not a power cut (fsync is off).
set -eu
dir=$1 port=$2
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1) # where Debian has it
PATH="${bin:+$bin:}$PATH"

# PostgreSQL refuses to run as root.
as=
mkdir -p "$dir"
if [ "$(id -u)" = 0 ]; then
	chown postgres: "$dir"
	as='setpriv --reuid=postgres --regid=postgres --clear-groups'
fi
cd "$dir"
if [ ! -e data/PG_VERSION ]; then
	$as sh -ec 'umask 077; echo open-sesame >password
		initdb --pgdata=data --username=logger --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >/dev/null
		echo "CREATE DATABASE logger;" | postgres --single -D data postgres >/dev/null'
fi
exec $as postgres -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off
