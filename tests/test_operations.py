"""Plans, journals, locks and gates: what can be told without an engine."""

from __future__ import annotations

import importlib
import json
import os
import pwd
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from opsconsole.model import Container, HealthCheck, Service, Volume, VolumeKind, VolumeUse
from opsconsole.operations import (
    acts,
    chain,
    commands,
    journal,
    launch,
    lock,
    places,
    plan,
    plan_text,
    stack_plans,
    unfinished,
    who,
)
from opsconsole.operations.facts import Look, container_facts
from opsconsole.operations.gates import STABLE_SECONDS, gate
from opsconsole.operations.journal import Journal, Result
from opsconsole.operations.plan import Act, Basis, DataEffect, Effect, Kind, Plan, Step
from opsconsole.operations.plan_facts import ContainerFact, Facts, differences
from opsconsole.operations.who import Who
from opsconsole.text import known_secrets

NOW = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)


def container(service: str, state: str = "running", **fields: object) -> Container:
    return Container(
        id=f"id-{service}", name=f"shop-{service}-1", project="shop", service=service, state=state,
        restart_policy="unless-stopped", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def look(*containers: Container, services: tuple[Service, ...] = (), volumes: tuple[Volume, ...] = ()) -> Look:
    named = services or tuple(Service(name=one.service) for one in containers)
    return Look(
        name="shop", directory="/srv/shop", compose=("docker", "compose", "--file", "c.yml"), services=named,
        containers=containers, volumes=volumes, facts=Facts(containers=container_facts(containers)),
    )  # fmt: skip


# --- plans -----------------------------------------------------------------------------------------


def test_a_plan_holds_while_nothing_changed_and_names_what_did() -> None:
    one = ContainerFact(name="shop-web-1", id="a" * 64, config_hash="1", image_id="sha256:" + "b" * 64)
    old = Facts(compose={"web": "1", "gone": "2"}, files={".env": "x"}, containers=(one,), commit="abc1234")
    assert differences(old, msgspec.structs.replace(old)) == ()
    assert old.fingerprint == msgspec.structs.replace(old).fingerprint
    changed = {
        "service web: its configuration changed": {"compose": {"web": "9", "gone": "2"}},
        "service gone: is no longer there": {"compose": {"web": "1"}},
        "file .env: its content changed": {"files": {".env": "y"}},
        "container shop-web-1: is no longer there": {"containers": ()},
        "container shop-web-1: was created again": {"containers": (msgspec.structs.replace(one, id="c" * 64),)},
        "container shop-web-1: another configuration": {"containers": (msgspec.structs.replace(one, config_hash="2"),)},
        "commit: abc1234 -> abc1234+": {"commit": "abc1234+"},
    }
    for words, fields in changed.items():
        new = msgspec.structs.replace(old, **fields)
        assert differences(old, new) == (words,)
        assert new.fingerprint != old.fingerprint
    image = msgspec.structs.replace(old, containers=(msgspec.structs.replace(one, image_id="sha256:" + "d" * 64),))
    assert differences(old, image) == ("container shop-web-1: another image (bbbbbbbbbbbb -> dddddddddddd)",)


def test_a_plan_comes_back_from_its_file_and_reads_well() -> None:
    made = stack_plans.restart(look(container("web"), container("store")), seconds={"web": 3.6})
    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made
    assert json.loads(plan.as_json(made))["fingerprint"] == made.fingerprint
    text = plan_text.as_text(made)
    assert "$ docker compose --file c.yml restart web store" in text
    assert "web: about 4 s, as the last time" in text and "store: short; how long is not known" in text
    assert "weak gate" in text


def test_what_lives_in_memory_goes_and_a_database_there_must_be_accepted() -> None:
    use = VolumeUse(service="web", container="shop-web-1", destination="/tmp")
    volumes = (
        Volume(key="tmpfs:1", kind=VolumeKind.TMPFS, name="/tmp", used_by=(use,)),
        Volume(key="tmpfs:2", kind=VolumeKind.TMPFS, name="/data/db", used_by=(use,), database="mongodb"),
        Volume(key="volume:1", kind=VolumeKind.NAMED, name="shop_data", used_by=(use,)),
        Volume(key="volume:2", kind=VolumeKind.NAMED, name="another", used_by=()),
    )
    made = stack_plans.stop(look(container("web"), volumes=volumes), memory=[("web", 12), ("elsewhere", 1)])
    assert [(one.effect, one.database) for one in made.data] == [
        (Effect.REPLACED, ""), (Effect.LOST, "mongodb"), (Effect.SAFE, ""), (Effect.LOST, "redis")
    ]  # fmt: skip
    assert len(made.to_accept) == 2 and "web" in made.to_accept
    assert "12 Redis keys, LOST" in plan_text.as_text(made)


def test_a_job_that_is_done_is_not_started_again() -> None:
    job = container("migrate", "exited", exit_code=0)
    services = (Service(name="web"), Service(name="migrate", one_shot=True))
    assert stack_plans.start(look(container("web", "exited", exit_code=0), job, services=services)).services == ("web",)
    made = stack_plans.restart(look(container("web"), job, services=services))
    assert made.services == ("web",) and "migrate" in made.notes[0]
    crashed = container("worker", "exited", exit_code=1)
    assert "worker" in stack_plans.restart(look(container("web"), crashed)).services


def test_rolling_goes_by_dependencies_and_gates_each() -> None:
    services = (Service(name="web", depends_on=("store",)), Service(name="store"))
    made = stack_plans.restart(look(container("web"), container("store"), services=services), rolling=True)
    assert [step.id for step in made.steps] == [
        "restart:shop-store-1", "gate:shop-store-1", "restart:shop-web-1", "gate:shop-web-1"
    ]  # fmt: skip
    assert made.steps[0].commands == (("docker", "restart", "shop-store-1"),)


def test_a_container_whose_service_left_the_file_is_stopped_by_name() -> None:
    made = stack_plans.stop(look(container("web"), container("old"), services=(Service(name="web"),)))
    assert [step.commands for step in made.steps] == [
        (("docker", "compose", "--file", "c.yml", "stop", "web"),), (("docker", "stop", "shop-old-1"),)
    ]  # fmt: skip


def test_undo_goes_back_to_what_ran_before() -> None:
    old = stack_plans.start(look(container("web", "exited"), container("store")))
    now = look(container("web"), container("store", "exited"))
    made = stack_plans.back(now, old, "20260131T020000000Z-start-aaaaaa")
    assert [step.commands for step in made.steps[:2]] == [
        (("docker", "stop", "shop-web-1"),), (("docker", "start", "shop-store-1"),)
    ]  # fmt: skip
    assert made.resolves and made.as_undo


# --- gates -----------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def passed(*states: Container, **options: float) -> tuple[str, tuple[str, ...], float]:
    """The gate over a container that goes through these states, one per look; the last one stays."""
    clock, left = Clock(), list(states)

    def seen() -> list[Container]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    verdict = gate(seen, ["shop-web-1"], clock=clock, pause=clock.sleep, **options)  # type: ignore[arg-type]
    return verdict.problem, verdict.weak, clock.now


def test_the_gate() -> None:
    starting, healthy = container("web", health="starting"), container("web", health="healthy")
    assert passed(starting, starting, healthy) == ("", (), 1.0)
    problem, weak, took = passed(container("web", restarts=0))
    assert (problem, weak) == ("", ("shop-web-1",)) and took >= STABLE_SECONDS
    # A restart on the way begins the ten seconds anew.
    *_, took = passed(*[container("web", restarts=0)] * 12, container("web", restarts=1))
    assert took >= STABLE_SECONDS + 5
    ill = container("web", health="unhealthy", health_log=(HealthCheck(started_at=NOW, exit_code=1, output="no db\n"),))
    assert passed(starting, ill)[0] == "shop-web-1 is unhealthy: no db"
    ended = container("web", "exited", exit_code=3)
    assert "exit code 3" in passed(ended)[0]
    assert gate(lambda: [ended], ["shop-web-1"], cancelled=lambda: True).cancelled
    crashing = [container("web", "restarting", restarts=number) for number in range(5)]
    assert "crashes again and again" in passed(*crashing)[0]
    assert "not well after 5 s: shop-web-1 is running (starting)" in passed(starting, limit=5.0)[0]


# --- the lock --------------------------------------------------------------------------------------

HOLDER = lock.Holder(who=Who(login="mina"), what="stop", operation="x", since=NOW, pid=1, started=1)

TAKE = """
import sys
from pathlib import Path
from opsconsole.operations import lock, who
directory, marks = Path(sys.argv[1]), Path(sys.argv[2])
holder = lock.new_holder(who.Who(login=sys.argv[3]), "restart of the stack shop", "20260131T020000000Z-restart-aaaaaa")
print("ready", flush=True)
for line in sys.stdin:
    try:
        with lock.Lock(directory, holder):
            inside = marks / "inside"
            inside.mkdir()
            inside.rmdir()
            print("won", flush=True)
            sys.stdin.readline()
    except lock.LockHeld as held:
        print("lost", flush=True)
        sys.stdin.readline()
"""


def racer(directory: Path, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(directory), str(directory), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


RACE = """
import os, sys
from pathlib import Path
from opsconsole.config import Config
from opsconsole.operations import runner
directory, go = Path(sys.argv[1]), os.open(sys.argv[1] + "/go", os.O_RDWR)
for line in sys.stdin:
    both, begin = {}, os.pipe()
    for name in line.split():
        if (child := os.fork()) == 0:
            os.close(begin[1])
            os.read(begin[0], 1)  # both at once, when the last writing end is closed
            os._exit(runner.run(directory, directory / ".opsconsole" / "operations" / name, Config()))
        both[child] = name
    os.close(begin[1])
    first, status = os.wait()
    os.write(go, b"\\n")  # only now the other one may end
    second, last = os.wait()
    os.close(begin[0])
    print(both[first], os.waitstatus_to_exitcode(status), both[second], os.waitstatus_to_exitcode(last), flush=True)
"""
INSIDE = "mkdir inside && read go < go && rmdir inside"


def test_of_two_operations_exactly_one_runs_200_times(tmp_path: Path) -> None:
    """Two runners, each from its plan to the end of its journal, begin at one moment; who gets the stack works until
    the other has ended. They are forked from a process that has imported everything, and their plan asks no engine: 400
    interpreters would cost minutes. By the installed command, on a real stack: see test_e2e_operate."""
    os.mkfifo(tmp_path / "go")
    made = Plan(
        kind=Kind.ABORT, stack="shop", directory=str(tmp_path), basis=Basis.NAMED,
        steps=(Step(id="work", title="Work", commands=(("sh", "-c", INSIDE),)),),
    )  # fmt: skip
    won: Counter[int] = Counter()
    with subprocess.Popen(
        [sys.executable, "-c", RACE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as races:
        assert races.stdin is not None and races.stdout is not None
        for _ in range(200):
            both = [journal.create(tmp_path, places.new_id("abort"), made) for _ in range(2)]
            print(*(place.name for place in both), file=races.stdin, flush=True)
            loser, lost, winner, done = races.stdout.readline().split()
            assert (lost, done) == ("2", "0") and {loser, winner} == {place.name for place in both}
            won[[place.name for place in both].index(winner)] += 1
            refused, ran = (journal.read(tmp_path / ".opsconsole" / "operations" / name) for name in (loser, winner))
            assert [one.event for one in refused] == ["begin", "end"] and refused[-1].result is Result.REFUSED
            assert f"operations watch {winner}" in refused[-1].hint and ran[-1].result is Result.DONE
    assert len(won) == 2, "one of them always came first: that was no race"
    assert chain.verify(tmp_path) == () and lock.holder_of(tmp_path) is None


def test_a_killed_holder_frees_the_stack_and_the_second_sees_who(tmp_path: Path) -> None:
    first = racer(tmp_path, "mina")
    say(first)
    assert first.stdout is not None and first.stdout.readline() == "won\n"
    holder = lock.holder_of(tmp_path)
    assert holder is not None and holder.who.login == "mina" and lock.alive(holder)
    with pytest.raises(lock.LockHeld, match=r"restart of the stack shop by mina runs since \d{4}-") as held:
        lock.Lock(tmp_path, HOLDER).__enter__()
    assert "operations watch 20260131T020000000Z-restart-aaaaaa" in held.value.hint
    first.kill()
    first.wait()
    with lock.Lock(tmp_path, HOLDER):
        assert lock.holder_of(tmp_path) == HOLDER
    assert lock.holder_of(tmp_path) is None
    state = tmp_path / ".opsconsole"
    assert (state.stat().st_mode & 0o777, (state / "lock").stat().st_mode & 0o777) == (0o700, 0o600)


def test_looking_never_makes_an_operation_wait(tmp_path: Path) -> None:
    stop = threading.Event()

    def look_again_and_again() -> None:
        while not stop.is_set():
            lock.holder_of(tmp_path)

    thread = threading.Thread(target=look_again_and_again)
    thread.start()
    try:
        for _ in range(50):
            with lock.Lock(tmp_path, HOLDER):
                pass
    finally:
        stop.set()
        thread.join()


def test_a_number_that_another_process_has_now_is_not_the_holder() -> None:
    me = lock.new_holder(Who(login="mina"), "stop", "x")
    assert lock.alive(me)
    assert not lock.alive(msgspec.structs.replace(me, started=me.started - 1))


# --- journal and chain -----------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A stack's directory with two finished operations."""
    for name in ("20260131T020000000Z-stop-aaaaaa", "20260131T030000000Z-start-bbbbbb"):
        place = journal.create(tmp_path, name, Plan(kind=Kind.STOP, stack="shop", directory="/srv/shop"))
        chain.opened(tmp_path, name)
        written = Journal(place, ("hunter2hunter2",))
        written.write("begin", operation=name, plan_sha256=journal.plan_sha256(place), who=Who(login="mina"))
        written.write("step", step="stop", title="Stop web")
        output = commands.Output(place, ("hunter2hunter2",))
        ran = commands.run(("echo", "password hunter2hunter2 said"), output, directory="/", seconds=10)
        output.close()
        written.write(
            "step-end", step="stop", result=Result.DONE, output_from=ran.output_from, output_to=ran.output_to,
            output_sha256=ran.output_sha256,
        )  # fmt: skip
        written.write("end", result=Result.DONE, problem="with hunter2hunter2 in it")
        written.close()
        chain.sealed(tmp_path, place)
    assert chain.verify(tmp_path) == ()
    return tmp_path


def place_of(kept: Path) -> Path:
    return places.existing_operations(kept)[0]


def edit(path: Path, number: int, change: str) -> None:
    lines = path.read_bytes().split(b"\n")
    if change == "drop":
        del lines[number]
    elif change == "double":
        lines.insert(number, lines[number])
    else:
        lines[number] = lines[number].replace(b"2", b"3", 1)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("change", ["edit", "drop", "double"])
@pytest.mark.parametrize("number", range(4))
def test_a_touched_record_is_named(kept: Path, number: int, change: str) -> None:
    name = place_of(kept).name
    edit(place_of(kept) / "journal.jsonl", number, change)
    found = chain.verify(kept)
    assert found and all(problem.where.startswith(name) for problem in found)
    if change == "edit":
        assert f"{name}/journal.jsonl line {number + 1}" in {problem.where for problem in found}


@pytest.mark.parametrize("number", range(4))
def test_a_touched_link_is_named(kept: Path, number: int) -> None:
    edit(kept / ".opsconsole" / "operations" / "chain.jsonl", number, "drop")
    assert chain.verify(kept)


def test_a_touched_plan_output_or_operation_is_named(kept: Path) -> None:
    place = place_of(kept)
    (place / "output.log").write_text((place / "output.log").read_text().replace("said", "sang"))
    (place / "plan.json").write_text((place / "plan.json").read_text().replace("shop", "shed"))
    assert {problem.where for problem in chain.verify(kept)} == {f"{place.name}/output.log", f"{place.name}/plan.json"}
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    assert [problem.what for problem in chain.verify(kept)] == ["the operation's directory was removed"]


def test_secrets_stay_out_and_files_are_private(kept: Path) -> None:
    for file in place_of(kept).iterdir():
        assert "hunter2hunter2" not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
    assert "password ********" in (place_of(kept) / "output.log").read_text()


def test_a_torn_last_line_is_tolerated(kept: Path) -> None:
    path = place_of(kept) / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":4,"at":"2026-')
    assert len(journal.read(place_of(kept))) == 4
    follower = journal.Follower(place_of(kept))
    assert len(follower.read()) == 4
    path.write_bytes(whole + whole.split(b"\n")[0] + b"\n")
    assert len(follower.read()) == 1 and follower.read() == ()


def test_what_was_killed_before_its_first_step_is_not_half_done(tmp_path: Path) -> None:
    name = "20260131T020000000Z-stop-aaaaaa"
    step = Step(id="stop", title="Stop web")
    place = journal.create(tmp_path, name, Plan(kind=Kind.STOP, stack="shop", directory="/", steps=(step,)))
    chain.opened(tmp_path, name)
    written = Journal(place)
    written.write("begin", operation=name, plan_sha256=journal.plan_sha256(place))
    assert unfinished.unfinished(tmp_path) == ()
    alive = journal.mark_alive(place)
    written.write("step", step="stop", title="Stop web")
    assert unfinished.unfinished(tmp_path) == () and unfinished.running(tmp_path) == (place,)
    os.close(alive)
    (half,) = unfinished.unfinished(tmp_path)
    assert half.inside == "stop" and "cut off in the step Stop web, 0 to come" in half.words()
    assert "finish 20260131T020000000Z-stop-aaaaaa` does the rest, " in half.advice()
    written.close()


def test_what_finish_and_undo_mean_is_said_for_what_was_begun(tmp_path: Path) -> None:
    step = Step(id="images", title="Remove the images: a, b")
    back = (Step(id="one", title="One"), Step(id="two", title="Two"))
    for kind in (Kind.REMOVE, Kind.DEPLOY):
        name = f"20260131T020000000Z-{kind.value}-aaaaaa"
        what = Plan(kind=kind, stack="shop", directory="/", steps=(step,), way_back=back)
        written = Journal(journal.create(tmp_path, name, what))
        written.write("begin", operation=name)
        written.write("step", step="images", title=step.title)
        if kind is Kind.DEPLOY:
            written.write("step-end", step="images", result=Result.FAILED)
            written.write("way-back")
            written.write("step", step="one", title="One")
        written.close()
    deploy, remove = unfinished.unfinished(tmp_path)
    assert "removes the rest" in remove.advice() and "anew from the compose file" in remove.advice()
    assert remove.words().startswith("half done: remove of the stack shop") and step.title in remove.words()
    assert deploy.words().endswith("0 steps done, on its way back, cut off in the step One, 1 to come")
    assert deploy.advice().count("goes back to how it was") == 2


# --- commands --------------------------------------------------------------------------------------


def test_a_command_that_hangs_fails_or_is_not_there(tmp_path: Path) -> None:
    output = commands.Output(tmp_path, ())
    began = datetime.now(UTC)
    hung = commands.run(("sleep", "60"), output, directory="/", seconds=0.3)
    assert "did not end within" in hung.problem and hung.exit_code != 0 and not hung.cut
    cut = commands.run(("sleep", "60"), output, directory="/", seconds=60, end_now=lambda: True)
    assert cut.cut and datetime.now(UTC) - began < timedelta(seconds=20)
    failed = commands.run(("sh", "-c", "echo one; echo two >&2; exit 7"), output, directory="/", seconds=10)
    assert failed.exit_code == 7 and failed.last_lines[-2:] == ("one", "two")
    missing = commands.run(("no-such-program",), output, directory="/", seconds=10)
    assert missing.exit_code == 127 and "cannot be started" in missing.problem
    output.close()


def test_known_secrets_are_those_with_telling_names() -> None:
    found = known_secrets({"DB_PASSWORD": "correct-horse", "PORT": "8080808080", "PIN_TOKEN": "1234"})
    assert found == ("correct-horse",)


# --- who and where ---------------------------------------------------------------------------------


def test_the_person_behind_sudo_and_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who, "_login_uid", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "mina")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    assert who.current().words() == "mina (as root) from 192.0.2.7"
    # A name that anybody can put into SUDO_USER does not stand against the kernel's record.
    monkeypatch.setattr(who, "_login_uid", os.getuid)
    assert who.login_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(who, "_login_uid", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert who.login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_the_address_is_found_where_sudo_took_the_variable_away() -> None:
    code = "from opsconsole.operations import who; print(who.ssh_source())"
    inner = (
        f"import os, subprocess, sys; os.environ.pop('SSH_CONNECTION');subprocess.run([sys.executable, '-c', {code!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", inner], env={**os.environ, "SSH_CONNECTION": "192.0.2.9 1 2 3"},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "192.0.2.9"


def test_systemd_is_asked_for_a_scope_only_where_it_would_kill() -> None:
    session = "0::/user.slice/user-1000.slice/session-3.scope\n"

    def there(name: str) -> str:
        return f"/usr/bin/{name}"

    words = launch.scope("x", cgroup=session, root=True, which=there, kills=lambda: True)
    assert words[:2] == ("systemd-run", "--scope") and "--unit=opsconsole-x" in words
    assert "--user" in launch.scope("x", cgroup=session, root=False, which=there, kills=lambda: True)
    assert launch.scope("x", cgroup=session, root=True, which=there, kills=lambda: False) == ()
    assert launch.scope("x", cgroup="0::/system.slice/cron.service\n", root=True, which=there, kills=lambda: True) == ()
    assert launch.scope("x", cgroup=session, root=True, which=lambda _: None, kills=lambda: True) == ()


def test_every_act_stands_where_the_table_says() -> None:
    found = {name: importlib.import_module(f"opsconsole.operations.{name}").ACTS.keys() for name in acts.MODULES}
    assert found == {name: set(its) for name, its in acts.MODULES.items()}
    beside = [Act.COMMANDS, Act.EVIDENCE, Act.STOP_ALL]
    assert sorted([*beside, *(act for its in acts.MODULES.values() for act in its)]) == sorted(Act)


def test_only_what_the_plan_needs_is_imported() -> None:
    """A driver costs 0.1 s, and the command line's words as much: a stop needs neither."""
    code = (
        "import sys\nfrom opsconsole.operations import acts\nfrom opsconsole.operations.plan import *\n"
        "import opsconsole.run_operation as run\nrun.main('/nonexistent', 'x', '', '')\n"
        "acts.of_plan(Plan(kind=Kind.STOP, stack='shop', directory='/', steps=(Step(id='a', title='A'),)))\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "opsconsole.operations.runner" in loaded.split()
    unneeded = {"argparse", "ssl", "email", "difflib", "pymongo", "redis", "opsconsole.operations.restore_acts"}
    assert not unneeded.intersection(loaded.split())


def test_the_acts_of_each_module_are_found_by_a_process_that_has_just_begun() -> None:
    """Most tests fork theirs, where everything is imported: an import that needs another one first shows only here."""
    code = (
        "import importlib, os\nimport opsconsole.run_operation\nfrom opsconsole.operations import acts, runner\n"
        "for name in acts.MODULES:\n"
        "    if not (child := os.fork()):\n"
        "        importlib.import_module(f'opsconsole.operations.{name}').ACTS\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_loss_is_accepted_by_name_only() -> None:
    from opsconsole.commands.carrying_out import NotConfirmed, confirm

    lost = DataEffect(name="cache", what="9 Redis keys", effect=Effect.LOST, database="redis")
    made = Plan(kind=Kind.STOP, stack="shop", directory="/", data=(lost,))
    with pytest.raises(NotConfirmed, match="cache would be lost"):
        confirm(made, yes=True, accepted=[])
    confirm(made, yes=True, accepted=["cache"])
