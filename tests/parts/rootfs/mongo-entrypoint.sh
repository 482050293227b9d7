#!/bin/sh
# What the official image's entry point does, for the options our stacks use: the data belongs to the user mongodb, and
# on an empty volume MONGO_INITDB_ROOT_USERNAME/PASSWORD become the first user before anything listens to the network.
set -eu

data=/data/db

# Four bytes, lowest first.
int32() {
    printf "\\$(printf '%03o' $(($1 & 255)))\\$(printf '%03o' $(($1 >> 8 & 255)))\\000\\000"
}

# A BSON string element: string NAME VALUE
string() {
    printf '\002%s\000' "$1"
    int32 $((${#2} + 1))
    printf '%s\000' "$2"
}

# A BSON document or array around a file: wrapped FILE
wrapped() {
    int32 $(($(wc -c < "$1") + 5))
    cat "$1"
    printf '\000'
}

# There is no mongosh here: the one command that is needed is put together as an OP_MSG and sent with nc. mongod itself
# hashes the password; the localhost exception lets it in.
create_root_user() {
    work=$(mktemp -d)
    { string role root; string db admin; } > "$work/role"
    { printf '\0030\000'; wrapped "$work/role"; } > "$work/roles"
    {
        string createUser "$MONGO_INITDB_ROOT_USERNAME"
        string pwd "$MONGO_INITDB_ROOT_PASSWORD"
        printf '\004roles\000'
        wrapped "$work/roles"
        string '$db' admin
    } > "$work/command"
    wrapped "$work/command" > "$work/body"
    {
        int32 $(($(wc -c < "$work/body") + 21))
        int32 1
        int32 0
        int32 2013
        int32 0
        printf '\000'
        cat "$work/body"
    } | timeout 30 nc 127.0.0.1 27017 > "$work/reply"
    if ! [ -s "$work/reply" ] || grep -q errmsg "$work/reply"; then
        echo "entry point: the root user was not created: $(strings "$work/reply" | tr '\n' ' ')" >&2
        exit 1
    fi
    rm -r "$work"
}

volume_is_empty() {
    for file in WiredTiger journal local.0 storage.bson; do
        [ -e "$data/$file" ] && return 1
    done
    return 0
}

initialise() {
    mongod --dbpath "$data" --bind_ip 127.0.0.1 --port 27017 &
    server=$!
    tries=0
    until nc -w 2 127.0.0.1 27017 < /dev/null 2> /dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server"; then
            echo "entry point: mongod did not start" >&2
            exit 1
        fi
        usleep 100000
    done
    create_root_user
    kill -TERM "$server"
    wait "$server"
}

case "${1:-mongod}" in -*) set -- mongod "$@" ;; esac

if [ "$1" = mongod ] && [ "$(id -u)" = 0 ]; then
    find /data/db /data/configdb ! -user mongodb -exec chown mongodb:mongodb {} +
    exec /usr/bin/setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi

if [ "$1" = mongod ]; then
    if [ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ] && [ -n "${MONGO_INITDB_ROOT_PASSWORD:-}" ]; then
        if volume_is_empty; then initialise; fi
        set -- "$@" --auth
    fi
    case " $* " in *" --bind_ip"*) ;; *) set -- "$@" --bind_ip_all ;; esac
fi

exec "$@"
