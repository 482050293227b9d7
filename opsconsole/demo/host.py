"""The simulated host: a small server by day and by night, one disk of which fills up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from opsconsole.demo.fleet import Fleet
from opsconsole.demo.noise import business, key_of, unit, walk, wave
from opsconsole.demo.roles import GB, MB
from opsconsole.model import Disk, HostSample, Process

NAME = "harbour-prod-1"
_UP = 61 * 86_400
_FILLING = 2.9 * GB  # bytes a day

_PROCESSES = (
    ("mongod", "mongodb", 24.0, int(2.6 * GB), "mongod --replSet rs0 --keyFile /etc/mongo.key --bind_ip_all"),
    ("java", "opensearch", 38.0, int(1.38 * GB), "java -Xms1g -Xmx1g org.opensearch.bootstrap.OpenSearch"),
    ("node", "node", 22.0, 318 * MB, "node dist/main.js"),
    ("node", "node", 20.0, 306 * MB, "node dist/main.js"),
    ("node", "node", 19.0, 311 * MB, "node dist/main.js"),
    ("node", "node", 17.0, 246 * MB, "node dist/worker.js"),
    ("node", "node", 8.0, 188 * MB, "node server.js"),
    ("dockerd", "root", 3.4, 142 * MB, "/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"),
    ("redis-server", "redis", 3.2, 268 * MB, "redis-server *:6379"),
    ("nginx", "nginx", 2.1, 22 * MB, "nginx: worker process"),
    ("containerd", "root", 1.2, 61 * MB, "/usr/bin/containerd"),
    ("sshd", "root", 0.1, 9 * MB, "sshd: /usr/sbin/sshd -D"),
)


class DemoHost:
    """See `HostSource`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._key = key_of(fleet.seed, "host")
        large = len(fleet.members) > 100
        self._cpus = 64 if large else 4
        self._memory = (256 if large else 16) * GB

    def sample(self, *, paths: Sequence[str] = (), processes: int = 0) -> HostSample:
        at = self._fleet.now()
        cpu, memory = self.cpu(at), self.memory(at)
        used = int(self._memory * memory / 100)
        load = self._cpus * cpu / 100
        return HostSample(
            name=NAME,
            boot_at=datetime.fromtimestamp(self._fleet.anchor - _UP, UTC),
            cpus=self._cpus,
            cpu_percent=cpu,
            cpu_per_core=tuple(self._core(core, cpu, at) for core in range(self._cpus)),
            iowait_percent=round(1.8 + 1.6 * walk(self._key + 21, at, 80), 1),
            steal_percent=round(max(0.0, 0.3 + 0.4 * wave(self._key + 22, at, 200)), 1),
            load=tuple(round(load * (1.1 + 0.2 * wave(self._key + 23, at, span)), 2) for span in (60, 300, 900)),  # type: ignore[arg-type]
            memory_total=self._memory,
            memory_used=used,
            memory_available=self._memory - used,
            memory_percent=memory,
            swap_total=2 * GB,
            swap_used=int(GB * (0.22 + 0.02 * wave(self._key + 24, at, 3600))),
            disks=self._disks(at),
            disk_read_rate=self.disk_read(at),
            disk_write_rate=self.disk_write(at),
            network_received_rate=self.network_received(at),
            network_sent_rate=self.network_sent(at),
            processes=self._processes(at, cpu)[:processes],
        )

    # --- series that `past` draws too ---

    def cpu(self, at: float) -> float:
        nightly = 24.0 if at % 86_400 // 600 == 12 else 0.0  # 02:00 to 02:10: the backup
        return round(min(97.0, 19 + 26 * business(at) + 11 * walk(self._key, at, 420) + nightly), 1)

    def memory(self, at: float) -> float:
        return round(61.5 + 3.2 * business(at) + 1.8 * walk(self._key + 4, at, 2400), 1)

    def disk_read(self, at: float) -> float:
        return 420_000 * (1.05 + walk(self._key + 8, at, 90))

    def disk_write(self, at: float) -> float:
        return 1_650_000 * (0.5 + business(at)) * (1.05 + walk(self._key + 12, at, 120))

    def network_received(self, at: float) -> float:
        return 780_000 * (0.3 + business(at)) * (1.1 + 0.8 * walk(self._key + 14, at, 150))

    def network_sent(self, at: float) -> float:
        return 2_300_000 * (0.3 + business(at)) * (1.1 + 0.8 * walk(self._key + 14, at, 150))

    def disks_used(self) -> tuple[tuple[str, Callable[[float], float]], ...]:
        """Each disk and how full it was, in percent."""

        def curve(place: int) -> Callable[[float], float]:
            return lambda at: self._disks(at)[place].used_percent

        disks = self._disks(self._fleet.anchor)
        return tuple((disk.mount, curve(place)) for place, disk in enumerate(disks))

    # --- parts ---

    def _core(self, core: int, cpu: float, at: float) -> float:
        share = 0.75 + 0.5 * unit(self._key, core)
        return round(max(0.0, min(100.0, cpu * share + 9 * wave(self._key + 40 + core, at, 25))), 1)

    def _disks(self, at: float) -> tuple[Disk, ...]:
        grown = int((at - self._fleet.anchor) / 86_400 * _FILLING)
        root, data = 79 * GB, 197 * GB
        return (
            _disk("/", "/dev/vda1", root, int(root * 0.47) + grown // 40, 5_242_880, 0.12, None, "engine"),
            _disk(
                "/srv",
                "/dev/vdb1",
                data,
                min(data - MB, int(data * 0.926) + grown),
                13_107_200,
                0.31,
                max(0.0, (data * 0.074 - grown) / _FILLING),
                "stack, backups",
            ),
        )

    def _processes(self, at: float, cpu: float) -> tuple[Process, ...]:
        busy = cpu / 40
        found = [
            Process(
                pid=1_100 + 37 * number,
                name=name,
                user=user,
                cpu_percent=round(max(0.0, share * busy * (1 + 0.3 * wave(self._key + 60 + number, at, 15))), 1),
                memory_bytes=memory,
                command=command,
            )
            for number, (name, user, share, memory, command) in enumerate(_PROCESSES)
        ]
        return tuple(sorted(found, key=lambda process: -process.cpu_percent))


def _disk(
    mount: str, device: str, total: int, used: int, inodes: int, inodes_used: float, full: float | None, holds: str
) -> Disk:
    reserved = total // 20 if mount == "/" else 0  # ext4 keeps it for root
    return Disk(
        mount=mount,
        device=device,
        filesystem="ext4",
        total_bytes=total,
        used_bytes=used,
        free_bytes=total - used - reserved,
        used_percent=round(used / (total - reserved) * 100, 1),
        inodes_total=inodes,
        inodes_free=int(inodes * (1 - inodes_used)),
        full_in_days=full,
        holds=holds,
    )
