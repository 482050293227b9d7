#!/bin/sh
# Log lines as servers write them: plain, JSON with levels, an access log, a stack trace, on stdout and stderr.
trap 'exit 0' TERM INT
pause=$((1000000 / ${LINES_PER_SECOND:-10}))
count=0
while :; do
    count=$((count + 1))
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    case $((count % 8)) in
        0) echo "{\"level\":\"info\",\"time\":\"$now\",\"msg\":\"request done\",\"status\":200,\"ms\":$count}" ;;
        1) echo "{\"level\":\"error\",\"time\":\"$now\",\"msg\":\"payment failed\",\"code\":\"E_CARD\"}" ;;
        2) echo "{\"severity\":\"WARNING\",\"message\":\"slow query: 1200 ms\"}" ;;
        3) echo "$now INFO  job $count started" ;;
        4) echo "[ERROR] job $count: timeout after 30 s" >&2 ;;
        5) echo "172.18.0.1 - - [$(date '+%d/%b/%Y:%H:%M:%S %z')] \"GET /api/items?page=$count HTTP/1.1\" 500 43 \"-\" \"curl/7.88\"" ;;
        6) printf 'TypeError: x is not a function\n    at handler (/app/index.js:%s:7)\n' "$count" >&2 ;;
        7) echo "DEBUG cache hit ratio 0.$count" ;;
    esac
    usleep "$pause" &
    wait $!
done
