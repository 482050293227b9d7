#!/bin/sh
# A stand-in for a backend: /api/health answers while the database can be reached.
set -u
version=$(cat /app/VERSION 2> /dev/null || echo unknown)
if [ "$version" = crash ]; then
    echo "Error: Cannot find module 'express'" >&2
    exit 1
fi

where=${MONGODB_URI#*://}
where=${where##*@}
where=${where%%/*}
host=${where%%:*}
port=${where##*:}
[ "$port" = "$host" ] && port=27017

mkdir -p /www/api
httpd -p "${PORT:-3000}" -h /www
echo "Server listening on port ${PORT:-3000}, version $version"

# The first process of a container gets no default signal handlers.
trap 'echo "SIGTERM received, closing"; exit 0' TERM INT

state=unknown
while :; do
    if [ "$version" != unhealthy ] && nc -w 2 "$host" "$port" < /dev/null > /dev/null 2>&1; then
        now=connected
        printf '{"status":"ok","version":"%s","database":"connected"}\n' "$version" > /www/api/.health
        mv /www/api/.health /www/api/health
    else
        now=lost
        rm -f /www/api/health
    fi
    if [ "$now" != "$state" ]; then
        state=$now
        echo "MongoDB $host:$port: $state"
    fi
    sleep 1 &
    wait $!
done
