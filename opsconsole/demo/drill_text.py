"""What the services of a drill write into their logs, by its name: the trace that somebody looks for."""

from __future__ import annotations

SAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "crash-loop-after-deploy": {"backend": ("info: starting 4.13.0", "Error: Cannot find module './payments/v2'")},
    "changed-env": {"backend": ("info: starting 4.12.0", "MongoServerError: Authentication failed.")},
    "emptied-collection": {"backend": ("warn: DELETE /api/admin/bookings?all=true 200 by cleanup-script",)},
    "full-disk": {
        "backend": ("Error: ENOSPC: no space left on device, write '/app/uploads/new'",),
        "redis": ("# Write error saving DB on disk: No space left on device",),
    },
    "cpu-hog": {"worker": ("warn: job thumbnails has not ended after 600 s",)},
    "slow-endpoint": {"backend": ("warn: GET /api/bookings took 4213 ms, 61 requests wait",)},
    "mongodb-stopped": {"backend": ("MongoServerSelectionError: connect ECONNREFUSED 172.20.0.2:27017",)},
    "redis-maxmemory": {"backend": ("ReplyError: OOM command not allowed when used memory > 'maxmemory'.",)},
}
