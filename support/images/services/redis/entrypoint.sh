#!/bin/sh
# Runs Redis as the user redis, for other containers, too.
set -eu

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
    redis-server) ;;
    *) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi

# The official image is built so that protected mode is off unless somebody asks for it. It comes
# last, because programs that only print something have to find their option first.
case " $* " in
    *" --protected-mode "*) ;;
    *) set -- "$@" --protected-mode no ;;
esac
exec "$@"
