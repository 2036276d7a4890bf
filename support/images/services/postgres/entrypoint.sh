#!/bin/sh
# Makes the database on the first start, then runs PostgreSQL as the user postgres.
set -eu

sockets=/var/run/postgresql

initialise() {
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo 'A new database has no password for its superuser.' \
            'Set POSTGRES_PASSWORD to one that is not empty.' >&2
        exit 1
    fi
    # As in the official image, who is inside the container needs no password.
    printf '%s\n' "$POSTGRES_PASSWORD" \
        | initdb --username="$user" --pwfile=/dev/stdin --auth=trust
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    # Who waits for the TCP port must not meet a server that is about to stop again.
    pg_ctl start --wait --options="-c listen_addresses=''"
    if [ "$database" != postgres ]; then
        createdb --host="$sockets" --username="$user" --maintenance-db=postgres -- "$database"
    fi
    pg_ctl stop --wait --mode=fast
}

case "${1:-}" in
    -*) set -- postgres "$@" ;;
    postgres) ;;
    *) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
    install --directory --owner=postgres --group=postgres --mode=0700 "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres {} +
    install --directory --owner=postgres --group=postgres --mode=3775 "$sockets"
    export HOME=/var/lib/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initialise
fi
exec "$@"
