#!/bin/sh
# What the official image's entry point does: the data belongs to the user redis, and options alone start the server.
set -eu

case "${1:-redis-server}" in -* | *.conf) set -- redis-server "$@" ;; esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis:redis {} +
    exec /usr/bin/setpriv --reuid=999 --regid=1000 --clear-groups "$0" "$@"
fi

if [ "$1" = redis-server ]; then
    umask 0077
    # The official image is built with protected mode off: the network of the stack is the fence.
    case " $* " in *protected-mode*) ;; *) set -- "$@" --protected-mode no ;; esac
fi

exec "$@"
