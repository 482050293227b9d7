"""What the engine and the kernel write, read as structs: pure functions, no engine needed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.model import Container, Mount, SourceError, VolumeKind, to_json
from opsconsole.sources import cgroups, engine_parse
from opsconsole.sources.commands import shown_command
from opsconsole.sources.engine_address import DEFAULT_SOCKET, Address, resolve
from opsconsole.sources.engine_faults import explain, too_old
from opsconsole.sources.sizes import is_walkable, tree_size
from opsconsole.sources.usage import Counters, from_stats, usage_between
from opsconsole.sources.volumes import volume_rows
from opsconsole.text import MASK

LOCAL = Address("unix:///var/run/docker.sock", "default")
SECRETS = ("hunter2-hunter2", "p@ss/word")

INSPECT: dict[str, Any] = {
    "Id": "a" * 64,
    "Name": "/shop-db-1",
    "Created": "2026-05-01T10:00:00.123456789+07:00",
    "Image": "sha256:" + "b" * 64,
    "Path": "docker-entrypoint.sh",
    "Args": ["redis-server", "--requirepass", SECRETS[0]],
    "RestartCount": 4,
    "State": {
        "Status": "exited",
        "OOMKilled": True,
        "Pid": 0,
        "ExitCode": 137,
        "Error": "",
        "StartedAt": "2026-05-01T03:00:01Z",
        "FinishedAt": "2026-05-01T03:05:00Z",
        "Health": {
            "Status": "unhealthy",
            "Log": [
                {"Start": "2026-05-01T03:04:00Z", "ExitCode": 1, "Output": f"NOAUTH with {SECRETS[0]}\nsecond line"},
            ],
        },
    },
    "Config": {
        "Env": [f"REDIS_PASSWORD={SECRETS[0]}", "URI=mongodb://app:p%40ss%2Fword@db/x", "PLAIN=1", "EMPTY"],
        "Labels": {"com.docker.compose.service": "db", "com.docker.compose.project": "shop", "api_key": SECRETS[1]},
        "Image": "redis:7",
        "StopTimeout": 60,
    },
    "HostConfig": {
        "NetworkMode": "host",
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
        "Tmpfs": {"/run": "rw,size=64k"},
    },
    "Mounts": [{"Type": "volume", "Name": "c" * 64, "Source": "/x", "Destination": "/data", "RW": True}],
}


# --- containers ------------------------------------------------------------------------------------


def test_an_inspect_becomes_a_container_without_readable_secrets() -> None:
    details = engine_parse.from_inspect(INSPECT)
    container = details.container
    assert (container.state, container.exit_code, container.oom_killed, container.restarts) == ("exited", 137, True, 4)
    assert container.created_at == datetime(2026, 5, 1, 3, 0, 0, 123456, tzinfo=UTC)
    assert container.restart_policy == "on-failure:5"
    assert container.health == "" and container.health_log[0].exit_code == 1
    assert [(mount.kind, mount.destination, mount.anonymous) for mount in container.mounts] == [
        ("volume", "/data", True),
        ("tmpfs", "/run", False),
    ]
    shown = to_json(container) + repr(details)
    assert "PLAIN" in shown and MASK in shown
    for secret in (*SECRETS, "p%40ss%2Fword"):
        assert secret not in shown
    assert details.environment["REDIS_PASSWORD"] == SECRETS[0]
    assert (details.host_network, details.stop_timeout) == (True, 60)


@pytest.mark.parametrize(
    ("status", "state", "health", "code"),
    [
        ("Up 2 hours (healthy)", "running", "healthy", None),
        ("Up 5 seconds (health: starting)", "running", "starting", None),
        ("Up 2 minutes (unhealthy)", "running", "unhealthy", None),
        ("Up 3 days", "running", "", None),
        ("Exited (137) 2 hours ago", "exited", "", 137),
        ("Restarting (1) 4 seconds ago", "restarting", "", 1),
        ("Created", "created", "", None),
    ],
)
def test_a_listed_status_tells_health_and_exit_code(status: str, state: str, health: str, code: int | None) -> None:
    row = engine_parse.from_listing({"Id": "x", "Names": ["/web/db", "/db"], "State": state, "Status": status})
    assert (row.name, row.state, row.health, row.exit_code, row.detailed) == ("db", state, health, code, False)


def test_details_of_an_older_state_do_not_speak_for_the_new_one() -> None:
    details = engine_parse.from_inspect(INSPECT)
    listed = engine_parse.from_listing({"Id": "a" * 64, "Names": ["/shop-db-1"], "State": "running", "Status": "Up"})
    row = engine_parse.combine(listed, details, None, fresh=False)
    assert (row.state, row.exit_code, row.oom_killed, row.started_at) == ("running", None, False, None)
    assert row.environment and row.mounts and row.restarts == 4 and not row.detailed


def test_an_answer_full_of_nulls_is_still_a_container() -> None:
    nothing = dict.fromkeys(
        ["Names", "Labels", "Ports", "Mounts", "Created", "NetworkSettings", "State", "Status", "Command"]
    )
    assert engine_parse.from_listing({"Id": "x", **nothing}).id == "x"
    empty = dict.fromkeys([*INSPECT, "Extra"])
    assert engine_parse.from_inspect(empty).container.detailed


_PORTS = st.lists(
    st.fixed_dictionaries(
        {"PrivatePort": st.integers(1, 5), "Type": st.sampled_from(["tcp", "udp"])},
        optional={
            "IP": st.sampled_from(["0.0.0.0", "::", "127.0.0.1", "::1", "10.0.0.1", ""]),
            "PublicPort": st.integers(0, 3),
        },
    )
)


@given(_PORTS)
def test_folding_ports_loses_no_published_number(entries: list[dict[str, Any]]) -> None:
    folded = engine_parse.fold_ports(entries)
    published = {(e["PrivatePort"], e["Type"], e["PublicPort"]) for e in entries if e.get("PublicPort")}
    assert {(p.container_port, p.protocol, p.host_port) for p in folded if p.host_port} == published
    assert {(p.container_port, p.protocol) for p in folded} == {(e["PrivatePort"], e["Type"]) for e in entries}
    assert list(folded) == list(engine_parse.fold_ports(reversed(entries)))


def test_an_ipv6_twin_is_folded_and_a_lone_one_is_not() -> None:
    both = [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": ip} for ip in ("0.0.0.0", "::")]
    assert [port.host_address for port in engine_parse.fold_ports(both)] == ["0.0.0.0"]
    assert [port.host_address for port in engine_parse.fold_ports(both[1:])] == ["::"]


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name), st.text()))
def test_an_environment_survives_its_list_form(environment: dict[str, str]) -> None:
    assert engine_parse.parse_environment(f"{k}={v}" for k, v in environment.items()) == environment


@given(st.one_of(st.none(), st.text(), st.integers(), st.datetimes(timezones=st.timezones()).map(datetime.isoformat)))
def test_times_are_utc_or_not_known(value: object) -> None:
    moment = engine_parse.parse_time(value)
    assert moment is None or moment.utcoffset() == timedelta(0)


def test_projects_leave_one_off_containers_out() -> None:
    def row(state: str, created: int, **labels: str) -> dict[str, Any]:
        prefix = "com.docker.compose."
        return {
            "State": state,
            "Created": created,
            "Labels": {prefix + k.replace("__", "."): v for k, v in labels.items()},
        }

    rows = [
        row("running", 2, project="shop", project__working_dir="/srv/new", project__config_files="/a.yml,/b.yml"),
        row("exited", 1, project="shop", project__working_dir="/srv/old"),
        row("running", 3, project="shop", oneoff="True"),
        row("running", 3, other="x"),
    ]
    (shop,) = engine_parse.projects(rows)
    assert (shop.directory, shop.compose_files, shop.running, shop.total) == ("/srv/new", ("/a.yml", "/b.yml"), 1, 2)


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["redis-cli", "-a", "geheim", "ping"], "geheim"),
        (["/usr/bin/mongosh", "-u", "root", "-p", "geheim"], "geheim"),
        (["mysqldump", "-pgeheim", "shop"], "geheim"),
        (["redis-server", "--requirepass", "geheim"], "geheim"),
        (["app", "--url", "mongodb://root:geheim@db/"], "geheim"),
        (["sh", "-c", "echo a-known-one"], "a-known-one"),
    ],
)
def test_passwords_on_command_lines_are_masked(words: list[str], hidden: str) -> None:
    shown = shown_command(words, ("a-known-one",))
    assert hidden not in shown and MASK in shown
    assert words[0] in shown


def test_a_short_option_of_another_program_is_no_password() -> None:
    assert shown_command(["nginx", "-p", "/etc/nginx", "-g", "daemon off;"]) == "nginx -p /etc/nginx -g 'daemon off;'"


# --- usage -----------------------------------------------------------------------------------------

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.floats(0.01, 1e5), st.integers(0, 2**50), st.integers(0, 2**50))
def test_a_rate_times_the_seconds_is_the_difference(seconds: float, first: int, growth: int) -> None:
    before = Counters(_NOW, 100.0, network_received=first)
    now = Counters(_NOW, 100.0 + seconds, network_received=first + growth)
    rate = usage_between(before, now).network_received_rate
    assert rate is not None and rate * (now.tick - before.tick) == pytest.approx(growth)


def test_no_rate_from_one_sample_or_over_a_restart() -> None:
    one = Counters(_NOW, 10.0, cpu_seconds=5.0, memory_bytes=7)
    assert usage_between(None, one).cpu_percent is None
    assert usage_between(None, one).memory_bytes == 7
    assert usage_between(one, Counters(_NOW, 11.0, cpu_seconds=0.5)).cpu_percent is None
    assert usage_between(one, Counters(_NOW, 12.0, cpu_seconds=8.0)).cpu_percent == 150.0


def test_stats_of_the_engine_count_as_docker_stats_does() -> None:
    raw = {
        "read": "2026-01-01T00:00:02Z",
        "preread": "2026-01-01T00:00:01Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "precpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}},
        "memory_stats": {"usage": 1000, "limit": 8 << 30, "stats": {"inactive_file": 300}},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 5}, {"op": "Write", "value": 6}]},
        "pids_stats": {"current": 3},
    }
    found = from_stats(raw, host_memory=8 << 30)
    assert found is not None
    usage = usage_between(*found)
    assert (usage.cpu_percent, usage.memory_bytes, usage.memory_limit) == (50.0, 700, None)
    assert (usage.network_received, usage.network_sent, usage.block_read, usage.block_written) == (11, 22, 5, 6)
    assert usage.processes == 3
    limited = from_stats(raw, host_memory=16 << 30)
    assert limited is not None and limited[1].memory_limit == 8 << 30


def test_stats_of_a_stopped_container_are_nothing() -> None:
    assert (
        from_stats({"read": "0001-01-01T00:00:00Z", "memory_stats": {}, "cpu_stats": {"cpu_usage": {}}}, None) is None
    )


# --- cgroup files ----------------------------------------------------------------------------------

ID = "d" * 64


def _write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
    "memory.current": "1000\n",
    "memory.stat": "anon 1\ninactive_file 400\n",
    "memory.max": "max\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n253:0 rbytes=1 wbytes=2\n",
    "pids.current": "5\n",
    "cgroup.procs": "77\n78\n",
}
NET_DEV = """Inter-|   Receive                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo:     999      1 0 0 0 0 0 0      999 1 0 0 0 0 0 0
  eth0:     100      1 0 0 0 0 0 0       50 1 0 0 0 0 0 0
"""


@pytest.mark.parametrize(
    "place", [f"system.slice/docker-{ID}.scope", f"docker/{ID}", f"user.slice/user-1000.slice/docker-{ID}.scope"]
)
def test_version_2_is_read_wherever_the_driver_put_it(tmp_path: Path, place: str) -> None:
    _write(tmp_path / "cgroup", {"cgroup.controllers": "cpu io memory pids"})
    _write(tmp_path / "cgroup" / place, V2)
    _write(tmp_path / "proc/77", {"cgroup": f"0::/{place}\n", "net/dev": NET_DEV})
    reader = cgroups.CgroupReader(str(tmp_path / "cgroup"), str(tmp_path / "proc"))
    counters = reader.counters(ID, 77)
    assert counters is not None
    assert (counters.cpu_seconds, counters.memory_bytes, counters.memory_limit) == (1.5, 600, None)
    assert (counters.block_read, counters.block_written, counters.processes) == (11, 22, 5)
    assert (counters.network_received, counters.network_sent) == (100, 50)
    assert reader.counters("e" * 64, 77) is None  # that process belongs to another container
    own = reader.counters(ID, 77, host_network=True)
    assert own is not None and own.network_received is None


def test_version_1_is_read_from_its_four_hierarchies(tmp_path: Path) -> None:
    files = {
        f"cpuacct/docker/{ID}/cpuacct.usage": "2000000000\n",
        f"memory/docker/{ID}/memory.usage_in_bytes": "1000\n",
        f"memory/docker/{ID}/memory.stat": "inactive_file 1\ntotal_inactive_file 250\n",
        f"memory/docker/{ID}/memory.limit_in_bytes": "536870912\n",
        f"blkio/docker/{ID}/blkio.throttle.io_service_bytes": "8:0 Read 7\n8:0 Write 8\n8:0 Total 15\nTotal 15\n",
        f"pids/docker/{ID}/pids.current": "2\n",
    }
    _write(tmp_path, files)
    counters = cgroups.CgroupReader(str(tmp_path), str(tmp_path / "proc")).counters(ID)
    assert counters is not None
    assert (counters.cpu_seconds, counters.memory_bytes, counters.memory_limit) == (2.0, 750, 536870912)
    assert (counters.block_read, counters.block_written, counters.processes) == (7, 8, 2)
    assert counters.network_received is None


def test_a_container_that_ended_is_not_read_and_a_new_limit_is_seen(tmp_path: Path) -> None:
    _write(tmp_path, {"cgroup.controllers": ""})
    place = tmp_path / "docker" / ID
    _write(place, V2)
    reader = cgroups.CgroupReader(str(tmp_path), str(tmp_path / "proc"))
    assert reader.counters(ID) is not None
    (place / "memory.max").write_text("1048576\n")
    reader.forget(ID)
    counters = reader.counters(ID)
    assert counters is not None and counters.memory_limit == 1048576
    for name in V2:
        (place / name).unlink()
    place.rmdir()
    assert reader.counters(ID) is None
    assert reader.counters(ID) is None


@given(st.binary())
def test_no_kernel_file_is_strange_enough_to_raise(content: bytes) -> None:
    cgroups.parse_flat(content)
    cgroups.flat_value(content, b"inactive_file")
    cgroups.parse_io_stat(content)
    cgroups.parse_blkio(content)
    list(cgroups.parse_membership(content.decode(errors="replace"), ID))


@given(st.dictionaries(st.from_regex("[a-z_]{1,9}", fullmatch=True), st.integers(0, 2**60), max_size=6))
def test_one_value_is_read_as_all_are(values: dict[str, int]) -> None:
    content = "".join(f"{name} {value}\n" for name, value in values.items()).encode()
    assert (
        {name: cgroups.flat_value(content, name.encode()) for name in values} == cgroups.parse_flat(content) == values
    )
    assert cgroups.flat_value(content, b"0") is None


@given(st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)), max_size=5))
def test_io_of_all_devices_is_summed(devices: list[tuple[int, int]]) -> None:
    text = "".join(f"8:{n} rbytes={r} wbytes={w} rios=3 wios=4\n" for n, (r, w) in enumerate(devices))
    assert cgroups.parse_io_stat(text.encode()) == (sum(r for r, _ in devices), sum(w for _, w in devices))


# --- volumes ---------------------------------------------------------------------------------------


def _container(name: str, *mounts: Mount, image: str = "app", command: str = "", state: str = "running") -> Container:
    return Container(id=name, name=name, service=name, image=image, command=command, state=state, mounts=mounts)


def test_every_place_of_data_is_one_row() -> None:
    data = Mount(kind="volume", destination="/data/db", name="shop_data", source="/v/shop_data")
    seen = Mount(kind="volume", destination="/from", name="shop_data", read_only=True)
    containers = [
        _container("db", data, image="mongo:6.0"),
        _container("backup", seen, state="exited"),
        _container("web", Mount(kind="bind", destination="/app/uploads", source="/srv/shop/uploads")),
        _container("cache", Mount(kind="tmpfs", destination="/data"), image="redis:7"),
        _container("bare", image="valkey/valkey:8"),
        _container("moved", Mount(kind="volume", destination="/data/db", name="f" * 64, anonymous=True),
                   image="mongo:6.0", command="mongod --dbpath /elsewhere"),
    ]  # fmt: skip
    engine_volumes: list[dict[str, Any]] = [
        {
            "Name": "shop_data",
            "Driver": "local",
            "Mountpoint": "/v/shop_data/_data",
            "CreatedAt": "2026-01-01T00:00:00Z",
        },
        {"Name": "shop_old", "Driver": "local", "Labels": {"com.docker.compose.project": "shop"}},
        {"Name": "foreign", "Driver": "local", "Labels": {"com.docker.compose.project": "other"}},
    ]
    rows = {row.key: row for row in volume_rows(containers, engine_volumes, "shop")}
    assert rows.keys() == {
        "volume:shop_data", "volume:shop_old", "bind:/srv/shop/uploads", "tmpfs:cache:/data", "layer:bare:/data",
        f"volume:{'f' * 64}", "layer:moved:/elsewhere",
    }  # fmt: skip
    shared = rows["volume:shop_data"]
    assert [(use.container, use.read_only, use.running) for use in shared.used_by] == [
        ("db", False, True),
        ("backup", True, False),
    ]
    assert (shared.database, shared.path, shared.driver) == ("mongodb", "/v/shop_data/_data", "local")
    assert rows["volume:shop_old"].used_by == ()
    assert rows["tmpfs:cache:/data"].database == "redis"
    assert (rows["layer:bare:/data"].kind, rows["layer:bare:/data"].database) == (VolumeKind.LAYER, "redis")
    assert rows[f"volume:{'f' * 64}"].kind is VolumeKind.ANONYMOUS and not rows[f"volume:{'f' * 64}"].database


def test_a_mount_above_the_data_path_covers_it() -> None:
    rows = volume_rows(
        [_container("db", Mount(kind="bind", destination="/data", source="/srv"), image="mongo")], [], ""
    )
    assert [(row.key, row.database) for row in rows] == [("bind:/srv", "mongodb")]


def test_a_size_counts_blocks_once_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/data").write_bytes(b"x" * 300_000)
    os.link(tmp_path / "sub/data", tmp_path / "again")
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    size = tree_size(str(tmp_path), Event())
    assert size is not None and 300_000 <= size < 400_000
    stopped = Event()
    stopped.set()
    assert tree_size(str(tmp_path), stopped) is None
    assert tree_size(str(tmp_path / "nothing"), Event()) is None


def test_the_kernels_own_paths_are_not_walked(tmp_path: Path) -> None:
    assert is_walkable(str(tmp_path))
    for path in ("/", "/proc", "/sys/fs", "/run/docker.sock", str(tmp_path / "nothing")):
        assert not is_walkable(path)


# --- the address -----------------------------------------------------------------------------------


def _context(home: Path, name: str, meta: dict[str, Any] | str) -> None:
    digest = sha256(name.encode()).hexdigest()
    content = meta if isinstance(meta, str) else json.dumps(meta)
    _write(home / ".docker", {f"contexts/meta/{digest}/meta.json": content, f"contexts/tls/{digest}/docker/ca.pem": ""})
    _write(home / ".docker", {"config.json": json.dumps({"currentContext": name})})


def test_the_address_is_the_one_docker_would_use(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    _context(tmp_path, "prod", {"Name": "prod", "Endpoints": {"docker": {"Host": "tcp://prod:2376"}}})
    assert resolve("unix:///x", {"DOCKER_HOST": "tcp://y:1", **home}).host == "unix:///x"
    assert resolve(None, {"DOCKER_HOST": "tcp://y:1", **home}) == Address("tcp://y:1", "DOCKER_HOST")
    chosen = resolve(None, home)
    assert (chosen.host, chosen.origin) == ("tcp://prod:2376", "context prod")
    assert chosen.tls is not None and chosen.tls.verify and chosen.tls.authority.endswith("/docker/ca.pem")
    assert resolve(None, {"DOCKER_CONTEXT": "default", **home}).origin == "default"
    with pytest.raises(SourceError, match="context 'gone' does not exist"):
        resolve(None, {"DOCKER_CONTEXT": "gone", **home})
    _context(tmp_path, "broken", "{")
    with pytest.raises(SourceError, match="cannot be read"):
        resolve(None, home)
    (tmp_path / ".docker/config.json").write_text("{")
    assert resolve(None, home).origin == "default"


def test_certificates_come_from_the_environment(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://y:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs", "HOME": "/h"}
    address = resolve(None, environ)
    assert address.tls is not None and address.tls.certificate == "/certs/cert.pem" and address.tls.verify


def test_a_rootless_socket_is_found(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").touch()
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    expected = DEFAULT_SOCKET if os.path.exists(DEFAULT_SOCKET) else str(tmp_path / "docker.sock")
    assert resolve(None, environ).socket == expected


# --- faults ----------------------------------------------------------------------------------------


def test_every_fault_is_one_line_with_a_next_step() -> None:
    remote = Address("tcp://db.example:2375", "DOCKER_HOST")
    chained = RuntimeError("outer\nline")
    chained.__cause__ = ConnectionRefusedError(111, "refused")
    for error, address, words in (
        (FileNotFoundError(2, "x"), LOCAL, "no engine socket"),
        (ConnectionRefusedError(111, "x"), LOCAL, "No engine listens"),
        (chained, remote, "No engine listens at tcp://db.example:2375"),
        (TimeoutError(), LOCAL, "did not answer within 5 s"),
        (OSError(113, "x"), remote, "No route to host"),
        (RuntimeError("what\nis \x1b[31mthis"), remote, "is not a usable Docker engine: what is this"),
    ):
        fault = explain(error, address, 5.0)
        assert words in fault.problem
        assert fault.hint and "\n" not in fault.problem + fault.hint and "\x1b" not in fault.problem
    assert "API 1.39; 1.41 (Docker Engine 20.10) or newer" in too_old(LOCAL, "1.39", "1.41").problem
