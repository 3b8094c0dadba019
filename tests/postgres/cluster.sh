#!/usr/bin/env bash
# A throw-away PostgreSQL cluster on a Unix socket, for tests. PostgreSQL refuses to run as root, so
# root hands it to the user `postgres`.
#
#   cluster.sh start DIR    makes the cluster if DIR is absent or empty, starts it, prints its URL
#   cluster.sh stop DIR     stops it at once, as a crash would; what it acknowledged must survive
set -euo pipefail

action=$1
dir=$2
bin=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)}
[ -x "$bin/postgres" ] || { echo "no PostgreSQL server is installed" >&2; exit 1; }

as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups env -u PGDATA "$@")
    else
        "$@"
    fi
}

case $action in
start)
    if [ ! -s "$dir/PG_VERSION" ]; then
        mkdir -p "$dir"
        if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; chmod 700 "$dir"; fi
        # An order that is not that of the bytes, so that a forgotten collation shows.
        as_server "$bin/initdb" -D "$dir" -U behalf -A trust -E UTF8 --locale=C.UTF-8 \
            --locale-provider=icu --icu-locale=en-US --no-sync >/dev/null
        # Durability is not what is tested here, except by the one who asks for it.
        printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" \
            "fsync = ${PG_FSYNC:-off}" "max_connections = 300" "shared_buffers = 64MB" \
            >> "$dir/postgresql.conf"
    fi
    as_server "$bin/pg_ctl" -D "$dir" -l "$dir/log" -w -t 60 start >/dev/null
    echo "postgres://behalf@/postgres?host=$dir"
    ;;
stop)
    as_server "$bin/pg_ctl" -D "$dir" -m immediate -w stop >/dev/null
    ;;
*)
    echo "usage: cluster.sh start|stop DIR" >&2
    exit 1
    ;;
esac
