#!/bin/sh
# A stand-in for a frontend: serves /www and says every second that it lives.
set -u
version=$(cat /app/VERSION 2> /dev/null || echo unknown)
if [ "$version" = crash ]; then
    echo "nginx: [emerg] host not found in upstream" >&2
    exit 1
fi
trap 'exit 0' TERM INT
httpd -p "${PORT:-3000}" -h /www
while :; do
    echo "172.18.0.1 - - [$(date '+%d/%b/%Y:%H:%M:%S %z')] \"GET / HTTP/1.1\" 200 612 \"-\" \"Mozilla/5.0\""
    sleep 1 &
    wait $!
done
