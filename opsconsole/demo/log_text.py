"""What the simulated services write: one event as one or several lines, in the manner of each program."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from opsconsole.demo.noise import Dice

Lines = list[tuple[str, bool]]  # text, whether it went to stderr
Writer = Callable[[Dice, datetime, str], Lines]

_PATHS = (
    "/api/berths?from=2026-06-01&nights=3",
    "/api/bookings?page=2",
    "/api/bookings/{id}",
    "/api/vessels/{id}",
    "/api/tariffs",
    "/api/invoices/{id}.pdf",
    "/api/search?q=catamaran",
    "/api/payments",
    "/api/me",
    "/api/health",
)
_PAGES = ("/", "/berths", "/bookings", "/bookings/{id}", "/invoices", "/account", "/harbour/map")
_QUEUES = ("invoice.render", "image.resize", "booking.remind", "search.index", "export.csv")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36",
    "curl/8.5.0",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write(style: str, dice: Dice, at: int, identity: str) -> Lines:
    """The lines of one event. `at` in nanoseconds since 1970; `identity` is the container's id."""
    return _WRITERS[style](dice, datetime.fromtimestamp(at / 1_000_000_000, UTC), identity)


def _precise(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}"


def _status(dice: Dice) -> int:
    """4xx now and then; 5xx in about one answer of seventy."""
    roll = dice.below(1000)
    if roll < 14:
        return dice.pick((500, 502, 503, 504))
    return dice.pick((400, 401, 404, 404, 409, 422)) if roll < 60 else dice.pick((200, 200, 200, 200, 304))


def _path(dice: Dice, paths: tuple[str, ...]) -> str:
    return dice.pick(paths).replace("{id}", dice.hex(12))


def _address(dice: Dice) -> str:
    """Out of the blocks that are kept for documentation."""
    return f"{dice.pick(('192.0.2', '198.51.100', '203.0.113'))}.{dice.between(2, 250)}"


def _nginx(dice: Dice, at: datetime, _: str) -> Lines:
    path, client, status = _path(dice, (*_PATHS, *_PAGES)), _address(dice), _status(dice)
    method = "POST" if path == "/api/payments" else "GET"
    spent = dice.between(2, 180) / 1000 if status != 504 else 60.0
    stamp = f"{at.day:02d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
    lines = [
        (
            f'{client} - - [{stamp}] "{method} {path} HTTP/1.1" {status} {dice.between(180, 48_000)} "-"'
            f' "{dice.pick(_AGENTS)}" {spent:.3f}',
            False,
        )
    ]
    if status in (502, 504):
        why = (
            "connect() failed (111: Connection refused) while connecting to upstream"
            if status == 502
            else "upstream timed out (110: Operation timed out) while reading response header from upstream"
        )
        lines.append(
            (
                f"{at:%Y/%m/%d %H:%M:%S} [error] 29#29: *{dice.between(10_000, 990_000)} {why}, client: {client},"
                f' server: harbour.example, request: "{method} {path} HTTP/1.1", upstream:'
                f' "http://172.20.0.{dice.between(6, 8)}:3000{path}", host: "harbour.example"',
                True,
            )
        )
    return lines


def _backend(dice: Dice, at: datetime, identity: str) -> Lines:
    stamp = int(at.timestamp() * 1000)
    common = {"time": stamp, "pid": 1, "hostname": identity[:12]}
    roll = dice.below(1000)
    if roll < 6:
        stack = (
            "MongoServerSelectionError: connection pool for mongodb:27017 was cleared\\n"
            "    at Topology.selectServer (/app/node_modules/mongodb/lib/sdam/topology.js:321:38)\\n"
            "    at async BookingsRepository.findOpen (/app/dist/bookings/bookings.repository.js:88:22)"
        ).replace("\\n", "\n")
        error = {"type": "MongoServerSelectionError", "message": stack.split("\n", 1)[0], "stack": stack}
        return [(_json({"level": 50, **common, "err": error, "msg": "request failed"}), False)]
    if roll < 26:
        slow = dice.between(1_100, 4_800)
        note = {"collection": dice.pick(("bookings", "auditlogs", "invoices")), "ms": slow}
        return [(_json({"level": 40, **common, **note, "msg": f"slow query took {slow} ms"}), False)]
    if roll < 180:
        event = dice.pick(
            ("booking confirmed", "invoice created", "session refreshed", "tariff cache reloaded", "upload stored")
        )
        return [(_json({"level": 30, **common, "id": dice.hex(12), "msg": event}), False)]
    path, status = _path(dice, _PATHS), _status(dice)
    level = 50 if status >= 500 else 40 if status >= 400 else 30
    request = {"id": dice.hex(8), "method": "GET", "url": path}
    fields = {"req": request, "res": {"statusCode": status}, "responseTime": dice.between(2, 240)}
    return [(_json({"level": level, **common, **fields, "msg": "request completed"}), False)]


def _json(fields: dict[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _frontend(dice: Dice, at: datetime, _: str) -> Lines:
    if dice.chance(0.004):
        return [
            ("TypeError: Cannot read properties of undefined (reading 'berthId')", True),
            ("    at BookingSummary (/app/.next/server/app/bookings/[id]/page.js:1:18211)", True),
            ("    at renderWithHooks (/app/node_modules/react-dom/cjs/react-dom-server.js:5661:16)", True),
            ("    at renderElement (/app/node_modules/react-dom/cjs/react-dom-server.js:6170:9)", True),
        ]
    return [
        (f" GET {_path(dice, _PAGES)} {dice.pick((200, 200, 200, 200, 304, 307))} in {dice.between(8, 210)}ms", False)
    ]


def _worker(dice: Dice, at: datetime, _: str) -> Lines:
    stamp = _precise(at) + "Z"
    job, queue = dice.hex(8), dice.pick(_QUEUES)
    if dice.chance(0.012):
        return [
            (f"{stamp} ERROR [{queue}] job {job} failed, attempt {dice.between(1, 3)} of 5", True),
            ("Error: Request failed with status code 503", True),
            ("    at createError (/app/node_modules/axios/lib/core/createError.js:16:15)", True),
            ("    at SearchClient.index (/app/dist/search/search.client.js:54:19)", True),
            ("    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)", True),
        ]
    if dice.chance(0.03):
        return [
            (f"{stamp} WARN  [{queue}] {dice.between(40, 400)} jobs waiting, oldest {dice.between(8, 90)} s", False)
        ]
    if dice.chance(0.1):
        return [(f"{stamp} DEBUG [{queue}] job {job} taken", False)]
    return [(f"{stamp} INFO  [{queue}] job {job} done in {dice.between(12, 2_400)} ms", False)]


_OPENSEARCH = "org.opensearch"
_BLOCKED = (
    f"{_OPENSEARCH}.cluster.block.ClusterBlockException: index [bookings] blocked by: [TOO_MANY_REQUESTS/12/disk usage"
    " exceeded flood-stage watermark, index has read-only-allow-delete block];",
    f"\tat {_OPENSEARCH}.cluster.block.ClusterBlocks.indexBlockedException(ClusterBlocks.java:243)",
    f"\tat {_OPENSEARCH}.action.bulk.TransportShardBulkAction.performOnPrimary(TransportShardBulkAction.java:188)",
    "\t... 14 more",
)


def _search(dice: Dice, at: datetime, _: str) -> Lines:
    stamp = f"[{at:%Y-%m-%dT%H:%M:%S},{at.microsecond // 1000:03d}]"
    roll = dice.below(4)
    if roll == 0:
        free = dice.between(62, 69) / 10
        text = (
            "[WARN ][o.o.c.r.a.DiskThresholdMonitor] [search] flood stage disk watermark [93%] exceeded on"
            f" [/usr/share/opensearch/data] free: {free}%, all indices on this node will be marked read-only"
        )
        return [(stamp + text, False)]
    if roll == 1:
        failed = f"{stamp}[ERROR][o.o.a.b.TransportShardBulkAction] [search] failed to execute bulk item"
        return [(failed, False), *((line, False) for line in _BLOCKED)]
    if roll == 2:
        shard = dice.below(3)
        text = f"[INFO ][o.o.i.s.IndexShard] [search] [berths][{shard}] primary-replica resync completed"
        return [(stamp + text, False)]
    round_, spent = dice.between(10_000, 99_000), dice.between(180, 420)
    text = f"[gc][{round_}] overhead, spent [{spent}ms] collecting in the last [1s]"
    return [(f"{stamp}[INFO ][o.o.m.j.JvmGcMonitorService] [search] {text}", False)]


def _mongodb(dice: Dice, at: datetime, _: str) -> Lines:
    stamp = _precise(at) + "+00:00"
    client = f"172.20.0.{dice.between(6, 9)}:{dice.between(32_768, 60_999)}"
    number = dice.between(40_000, 99_000)
    roll = dice.below(100)
    if roll < 6:
        spent = dice.between(108, 2_600)
        attr = {
            "type": "command",
            "ns": f"harbour.{dice.pick(('auditlogs', 'bookings', 'invoices'))}",
            "planSummary": dice.pick(("COLLSCAN", "IXSCAN { createdAt: 1 }")),
            "docsExamined": dice.between(900, 400_000),
            "nreturned": dice.between(0, 50),
            "durationMillis": spent,
        }
        return [(_mongo_line(stamp, "I", "COMMAND", 51803, f"conn{number}", "Slow query", attr), False)]
    if roll < 8:
        text = "Checkpoint took longer than expected"
        return [
            (_mongo_line(stamp, "W", "STORAGE", 22430, "Checkpointer", text, {"ms": dice.between(900, 4000)}), False)
        ]
    accepted = roll < 54
    text = "Connection accepted" if accepted else "Connection ended"
    attr = {"remote": client, "connectionId": number, "connectionCount": dice.between(55, 74)}
    return [(_mongo_line(stamp, "I", "NETWORK", 22943 if accepted else 22944, "listener", text, attr), False)]


def _mongo_line(
    stamp: str, level: str, part: str, number: int, context: str, text: str, attr: dict[str, object]
) -> str:
    return _json(
        {"t": {"$date": stamp}, "s": level, "c": part, "id": number, "ctx": context, "msg": text, "attr": attr}
    )


def _redis(dice: Dice, at: datetime, _: str) -> Lines:
    stamp = f"{at.day:02d} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S}"
    child, milli = dice.between(900, 9_000), at.microsecond // 1000 * 7 // 10
    if dice.chance(0.03):
        return [(f"1:M {stamp}.{milli:03d} # Client closed connection while its reply was being written", False)]
    return [
        (f"1:M {stamp}.{milli:03d} * 100 changes in 300 seconds. Saving...", False),
        (f"1:M {stamp}.{milli + 4:03d} * Background saving started by pid {child}", False),
        (f"{child}:C {stamp}.{milli + 190:03d} * DB saved on disk", False),
        (f"1:M {stamp}.{milli + 240:03d} * Background saving terminated with success", False),
    ]


def _cron(dice: Dice, at: datetime, _: str) -> Lines:
    job = dice.pick(("/scripts/rotate-logs.sh", "/scripts/expire-sessions.sh", "/scripts/check-certificates.sh"))
    return [(f"crond: USER root pid {dice.between(200, 9_000)} cmd {job}", True)]


def _reports(dice: Dice, at: datetime, _: str) -> Lines:
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}Z"
    if dice.chance(0.1):
        heap = dice.between(455, 498)
        return [(f"{stamp} WARN  [reports] heap {heap} MB of 512 MB, {dice.between(80, 140)} % of budget", False)]
    return [(f"{stamp} INFO  [reports] occupancy report: {dice.between(1_000, 90_000):,} rows read", False)]


def _service(dice: Dice, at: datetime, identity: str) -> Lines:
    stamp = _precise(at) + "Z"
    roll = dice.below(100)
    if roll < 2:
        return [
            (f'ts={stamp} level=error msg="upstream answered 503" attempt={dice.between(1, 4)} id={dice.hex(8)}', True)
        ]
    if roll < 7:
        return [(f'ts={stamp} level=warn msg="retrying" after={dice.between(1, 30)}s id={dice.hex(8)}', False)]
    if roll < 16:
        return [(f'ts={stamp} level=debug msg="cache miss" key={dice.hex(10)}', False)]
    return [(f'ts={stamp} level=info msg="handled" id={dice.hex(8)} ms={dice.between(1, 380)}', False)]


def _nothing(dice: Dice, at: datetime, _: str) -> Lines:
    return []


_WRITERS: dict[str, Writer] = {
    "backend": _backend,
    "cron": _cron,
    "frontend": _frontend,
    "mailer": _nothing,
    "migrate": _nothing,
    "mongodb": _mongodb,
    "nginx": _nginx,
    "redis": _redis,
    "reports": _reports,
    "search": _search,
    "service": _service,
    "worker": _worker,
}

# --- what is written when something happens --------------------------------------------------------

CRASH: tuple[tuple[float, str, bool], ...] = (
    (0.4, "INFO:mailer:starting mailer 2.3.1", False),
    (0.6, "INFO:mailer:queue redis://:********@redis:6379/0 has 214 messages waiting", False),
    (0.7, "INFO:mailer:connecting to smtp.example.com:587", False),
    (10.7, "ERROR:mailer:cannot deliver", True),
    (10.7, "Traceback (most recent call last):", True),
    (10.7, '  File "/app/mailer/__main__.py", line 41, in main', True),
    (10.7, "    session = connect(settings)", True),
    (10.7, '  File "/app/mailer/smtp.py", line 27, in connect', True),
    (10.7, '    raise DeliveryError(f"{host}: {answer}")', True),
    (10.7, "mailer.smtp.DeliveryError: smtp.example.com: 535 5.7.8 authentication failed", True),
)
"""One round of the crash loop: seconds after the start, text, stderr."""

MIGRATION: tuple[tuple[float, str, bool], ...] = (
    (1.2, "migrate: connected to mongodb:27017/harbour", False),
    (1.3, "migrate: 3 of 48 migrations pending", False),
    (6.9, "migrate: 046-index-bookings-by-berth ... done in 5.6 s", False),
    (7.4, "migrate: 047-drop-legacy-tariff-field ... done in 0.5 s", False),
    (20.6, "migrate: 048-backfill-invoice-currency ... done in 13.2 s", False),
    (20.8, "migrate: finished, exit 0", False),
)

OUT_OF_MEMORY: tuple[tuple[float, str, bool], ...] = (
    (-9.1, "INFO  [reports] yearly occupancy report started", False),
    (-2.4, "WARN  [reports] heap 503 MB of 512 MB, garbage collection took 812 ms", False),
    (-0.3, "<--- Last few GCs --->", True),
    (-0.3, "[1:0x7f2c10] 111604 ms: Mark-sweep 501.8 (519.2) -> 501.1 (519.7) MB, 796.4 / 0.0 ms", True),
)

STOPPED = "received SIGTERM, shutting down"
STARTED = "ready, listening"
