"""The job is installed where this host has a place for it, and nothing else of that place is touched.

The crontab is the real one of root, in a mount namespace of the test's own: /var/spool/cron and /run are empty there.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.config import Config
from opsconsole.config.sections import MongodbSection, NotifySection
from opsconsole.model import SourceError
from opsconsole.operations.site import Site
from opsconsole.schedule import crontab, systemd
from opsconsole.schedule.job import Job, Work, job, made_for, unseen_variables
from tests.parts.machine import wait_until

JOB = Job(
    stack="shop",
    directory="/srv/shop",
    words=("/usr/bin/python3", "-P", "-m", "opsconsole", "schedule", "run", "--stack", "/srv/shop"),
    environment=(("HOME", "/root"), ("PATH", "/usr/bin:/bin")),
)
OTHERS = b"# mine\nMAILTO=ops@example.org\n\n*/5 * * * * /root/own.sh \\%H  \t \xff\n@daily true"


# --- what the job is called with -------------------------------------------------------------------


def test_the_job_names_its_interpreter_its_stack_its_settings_and_finds_docker(tmp_path: Path) -> None:
    site = Site(directory=tmp_path, config_file="/etc/shop.toml")
    around = {"DOCKER_HOST": "unix:///run/user/1000/docker.sock", "SECRET": "hunter2", "PATH": "/odd"}
    made = job(site, "shop", around, which=lambda name: "/snap/bin/docker" if name == "docker" else None)
    assert made.words == (
        sys.executable, "-P", "-m", "opsconsole", "schedule", "run", "--stack", str(tmp_path),
        "--config", "/etc/shop.toml",
    )  # fmt: skip
    environment = dict(made.environment)
    assert environment["PATH"].split(":")[-1] == "/snap/bin"
    assert "/usr/bin" in environment["PATH"].split(":")
    assert environment["HOME"] == pwd.getpwuid(os.geteuid()).pw_dir
    assert environment["DOCKER_HOST"] == "unix:///run/user/1000/docker.sock"
    assert "hunter2" not in str(made)
    with pytest.raises(SourceError, match="spells out a login"):
        job(site, "shop", {"DOCKER_HOST": "tcp://me:hunter2@far:2376"})
    with pytest.raises(SourceError, match="control characters"):
        job(Site(directory=tmp_path / "a\nb"), "shop", {})


def test_variables_that_only_this_terminal_has_are_named(tmp_path: Path) -> None:
    config = Config(mongodb=MongodbSection(uri_env="IN_FILE"), notify=NotifySection(webhook_env="PAGER"))
    (tmp_path / ".env").write_text("IN_FILE=mongodb://db/\n")
    around = {"IN_FILE": "x", "PAGER": "https://x/"}
    assert unseen_variables(tmp_path, config, around) == ("PAGER",)
    assert unseen_variables(tmp_path, config, {}) == ()


# --- crontab: the text -----------------------------------------------------------------------------


@given(before=st.binary(max_size=200), after=st.binary(max_size=200))
def test_every_other_byte_of_the_crontab_stays(before: bytes, after: bytes) -> None:
    lines = crontab.block(JOB)
    text = before + (b"" if not before or before.endswith(b"\n") else b"\n") + lines + after
    assert crontab.without_block(text, "shop") == text.replace(lines, b"")
    assert crontab.with_block(text, JOB) == text
    other = msgspec.structs.replace(JOB, words=(*JOB.words, "--config", "/x"))
    assert crontab.with_block(text, other) == text.replace(lines, crontab.block(other))


def test_two_stacks_stand_side_by_side() -> None:
    office = msgspec.structs.replace(JOB, stack="shop-office", directory="/srv/office")
    both = crontab.with_block(crontab.with_block(OTHERS, JOB), office)
    assert both.startswith(OTHERS + b"\n# opsconsole shop: begin\n")
    assert crontab.without_block(both, "shop") == crontab.with_block(OTHERS, office)
    assert made_for(crontab.found_block(both, "shop-office")) == "/srv/office"
    assert JOB.minute != office.minute


@pytest.mark.parametrize(
    "text",
    [
        b"# opsconsole shop: begin\n",
        b"# opsconsole shop: end\n",
        b"# opsconsole shop: end\n# opsconsole shop: begin\n",
        b"# opsconsole shop: begin\n# opsconsole shop: begin\n# opsconsole shop: end\n",
    ],
)
def test_marks_that_are_no_pair_are_left_alone(text: bytes) -> None:
    for act in (lambda: crontab.with_block(text, JOB), lambda: crontab.without_block(text, "shop")):
        with pytest.raises(SourceError, match="not one pair"):
            act()


def test_a_percent_sign_and_a_space_reach_the_program_as_they_are(tmp_path: Path) -> None:
    odd = '/srv/50% off\'s "shop" $HOME'
    made = msgspec.structs.replace(JOB, words=("printf", "%s|", odd), environment=(("ODD", "a b%c"),))
    line = crontab.block(made).decode().splitlines()[2]
    schedule, command = " ".join(line.split(" ")[:5]), " ".join(line.split(" ")[5:])
    assert schedule.endswith("-59/10 * * * *")
    unescaped = command.replace("\\%", "%")
    assert "%" not in command.replace("\\%", "")
    said = subprocess.run(["sh", "-c", unescaped], capture_output=True, text=True, check=True).stdout
    assert said == f"{odd}|"
    with pytest.raises(SourceError, match="too long for cron"):
        crontab.block(msgspec.structs.replace(JOB, words=("x" * 1000,)))


# --- crontab: the real one -------------------------------------------------------------------------


class Namespace:
    """A place where /run and the crontabs are empty and ours."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "compose.yaml").write_text("name: shop\nservices:\n  web:\n    image: busybox\n")
        spool = "/var/spool/cron/crontabs"
        setup = (
            f"mount -t tmpfs none /run && mount -t tmpfs none {spool} && chgrp crontab {spool} && chmod 1730 {spool}"
            " && mount -t tmpfs none /etc/systemd/system && touch /run/ready && exec sleep 600"
        )
        self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", setup])
        wait_until(lambda: self("test", "-e", "/run/ready").returncode == 0, 30, "no namespace")

    def __call__(self, *words: str, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        enter = ["nsenter", "--mount", f"--target={self.process.pid}", f"--wd={self.directory}", "--"]
        return subprocess.run([*enter, *words], input=text or b"", capture_output=True, timeout=120)

    def started(self, *words: str) -> subprocess.Popen[bytes]:
        enter = ["nsenter", "--mount", f"--target={self.process.pid}", f"--wd={self.directory}", "--"]
        return subprocess.Popen([*enter, *words], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def opsconsole(self, *words: str) -> tuple[int, str]:
        done = self(sys.executable, "-P", "-m", "opsconsole", *words, "--stack", str(self.directory))
        return done.returncode, (done.stdout + done.stderr).decode()

    def crontab(self) -> bytes:
        return self("crontab", "-l").stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Namespace]:
    if os.geteuid() != 0 or not Path("/var/spool/cron/crontabs").is_dir():
        pytest.skip("a crontab of the test's own needs root and cron")
    namespace = Namespace(tmp_path)
    yield namespace
    namespace.process.kill()
    namespace.process.wait()


def test_without_systemd_it_goes_into_the_crontab_and_out_of_it_again(place: Namespace) -> None:
    place("crontab", "-", text=OTHERS + b"\n")
    code, said = place.opsconsole("schedule", "install")
    assert code == 2 and "no terminal to ask on; nothing was done" in said
    assert place.crontab() == OTHERS + b"\n"
    code, said = place.opsconsole("schedule", "install", "--yes")
    assert code == 0, said
    written = place.crontab()
    assert written.startswith(OTHERS + b"\n# opsconsole shop: begin\n")
    for line in written.removeprefix(OTHERS + b"\n").decode().splitlines():
        assert line in said  # what was shown is what was written
    assert place.opsconsole("schedule", "install", "--yes")[0] == 0
    assert place.crontab() == written
    code, said = place.opsconsole("schedule", "show")
    assert "schedule of the stack shop: crontab" in said
    assert "`schedule install` would write the same" in said
    assert "  next   backup " in said and said.split("  next   backup ")[1].splitlines()[0].endswith("  due now")
    assert "it is installed and has not ticked yet" in said
    assert code == 1
    assert place.opsconsole("schedule", "remove", "--yes")[0] == 0
    assert place.crontab() == OTHERS + b"\n"
    assert place.opsconsole("schedule", "remove", "--yes") == (0, "nothing is installed\n")


def test_a_crontab_that_was_not_there_is_not_there_afterwards(place: Namespace) -> None:
    assert place.opsconsole("schedule", "install", "--yes")[0] == 0
    assert place.opsconsole("schedule", "remove", "--yes")[0] == 0
    assert b"no crontab for" in place("crontab", "-l").stderr


def test_what_cron_would_run_ticks(place: Namespace) -> None:
    (place.directory / "opsconsole.toml").write_text('[schedule]\nbackup = ""\n[backups]\nmax_age_hours = 1e6\n')
    place.opsconsole("schedule", "install", "--yes")
    command = place.crontab().decode().splitlines()[2].split(" ", 5)[5]
    (place.directory / "opsconsole.toml").write_text('[schedule]\nbackup = ""\nverify_days = 0\n')
    done = place("env", "-i", "/bin/sh", "-c", command)  # as bare as cron has it
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (place.directory / ".opsconsole" / "schedule.json").exists()
    (place.directory / "opsconsole.toml").write_text("[schedule]\nbackup = 2\n")
    done = place("env", "-i", "/bin/sh", "-c", command)
    assert done.returncode == 2
    assert b"key 'schedule.backup' expected a string or a list" in done.stderr
    assert "expected a string or a list" in (place.directory / ".opsconsole" / "schedule.log").read_text()


def test_where_no_cron_runs_to_read_it_that_is_said(place: Namespace) -> None:
    """In a process namespace of its own, without a cron and then with one."""
    ask = f"{shlex.quote(sys.executable)} -P -m opsconsole schedule %s --stack {shlex.quote(str(place.directory))}"
    script = (
        f"{ask % 'install --yes'}; {ask % 'show'}; cron -f & "
        f"until grep -qx cron /proc/[0-9]*/comm; do :; done; echo STARTED; {ask % 'install --plan'}; {ask % 'show'}"
    )
    done = place("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script)
    before, started, after = done.stdout.decode().partition("STARTED")
    assert started, done.stderr.decode()
    assert before.count("no cron runs on this host") == 2, "with the plan, and among the problems"
    assert "it is installed and has not ticked yet" in after and "no cron runs" not in after


def test_another_stack_of_the_same_name_is_not_overwritten(place: Namespace, tmp_path: Path) -> None:
    place("crontab", "-", text=crontab.block(JOB))
    code, said = place.opsconsole("schedule", "install", "--yes")
    assert code == 2
    assert "a schedule for a stack shop in /srv/shop is installed already (crontab)" in said
    assert place.crontab() == crontab.block(JOB)


def test_a_crontab_that_changed_after_it_was_shown_is_left_alone(place: Namespace) -> None:
    script = (
        "from opsconsole.schedule import crontab; import subprocess\n"
        "old = crontab.read()\n"
        "subprocess.run(['crontab', '-'], input=b'# another operator\\n', check=True)\n"
        "crontab.replace(old, b'# ours\\n')"
    )
    done = place(sys.executable, "-c", script)
    assert b"the crontab was changed in the meantime" in done.stderr
    assert place.crontab() == b"# another operator\n"


def test_nothing_to_schedule_is_nothing_to_install(place: Namespace) -> None:
    (place.directory / "opsconsole.toml").write_text('[schedule]\nbackup = ""\nverify_days = 0\n')
    code, said = place.opsconsole("schedule", "install", "--yes")
    assert code == 2 and "there is nothing to schedule" in said


def test_where_nothing_may_be_changed_nothing_is_installed(place: Namespace) -> None:
    (place.directory / "opsconsole.toml").write_text("[console]\nread_only = true\n")
    code, said = place.opsconsole("schedule", "install", "--yes")
    assert code == 2 and "read_only in [console]" in said
    assert place.crontab() == b""
    code, said = place.opsconsole("schedule", "run")
    assert code == 2 and "refuses every scheduled backup" in said


def test_the_collector_is_installed_beside_the_schedule_and_taken_away_alone(place: Namespace) -> None:
    assert place.opsconsole("schedule", "install", "--yes")[0] == 0
    before = place.crontab()
    code, said = place.opsconsole(
        "collect", "--install", "--every", "30s", "--prometheus", "/srv/50%/ops.prom", "--yes"
    )
    assert code == 0, said
    added = place.crontab().removeprefix(before).decode().splitlines()
    assert [line in said for line in added] == [True] * 4 and added[0] == "# opsconsole shop.collect: begin"
    assert added[2].startswith("* * * * * ")
    assert "collect --every 30s --prometheus /srv/50\\%/ops.prom --stack" in added[2]
    code, said = place.opsconsole("collect", "status")
    assert code == 1 and "installed (crontab)" in said and "it is installed (crontab) and does not run" in said
    command = added[2].split(" ", 5)[5].replace("\\%", "%")
    with place.started("env", "-i", "/bin/sh", "-c", command) as process:  # as bare as cron has it
        wait_until(lambda: "collector: runs, " in place.opsconsole("collect", "status")[1], 60, "it does not begin")
        code, said = place.opsconsole("collect", "--remove", "--yes")
        assert code == 0 and place.crontab() == before and "the collector that ran was stopped" in said
        assert process.wait(30) == 0
    assert place.opsconsole("collect", "--remove", "--yes") == (0, "nothing is installed\n")


# --- systemd ---------------------------------------------------------------------------------------


def test_where_systemd_runs_and_does_not_take_it_everything_is_as_before(place: Namespace) -> None:
    place("mkdir", "-p", "/run/systemd/system")  # sd_booted says yes, and nobody answers
    code, said = place.opsconsole("schedule", "install", "--yes")
    assert code == 2
    assert "/etc/systemd/system/opsconsole-shop.timer" in said
    assert "run: systemctl enable --now opsconsole-shop.timer" in said
    assert "the timer was not installed: systemctl daemon-reload:" in said
    assert place("ls", "/etc/systemd/system").stdout == b""
    place("sh", "-c", "echo '# mine' > /etc/systemd/system/opsconsole-shop.timer")
    assert place.opsconsole("schedule", "install", "--yes")[0] == 2
    assert place("cat", "/etc/systemd/system/opsconsole-shop.timer").stdout == b"# mine\n"


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not here")
    return found


def test_systemd_accepts_the_units_whatever_the_names_are(tmp_path: Path, analyze: str) -> None:
    program = tmp_path / "50% of $HOME, an odd dir" / "python"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    made = msgspec.structs.replace(
        JOB, words=(str(program), "--stack", "/srv/%h $x"), environment=(*JOB.environment, ("ODD", 'a "b" %c \\'))
    )
    for name, text in systemd.units(made).items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in systemd.names("shop")]
    done = subprocess.run([analyze, "verify", *files], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "opsconsole" in line]
    assert (done.returncode, ours) == (0, [])
    (tmp_path / files[0]).write_text((tmp_path / files[0]).read_text().replace("%%", "%"))
    broken = subprocess.run([analyze, "verify", *files], capture_output=True, text=True, timeout=60)
    assert "opsconsole-shop.service" in broken.stderr  # it does look at every word


def test_systemd_accepts_the_unit_of_the_collector(tmp_path: Path, analyze: str) -> None:
    collects = msgspec.structs.replace(JOB, work=Work.COLLECT, words=("/bin/true", "collect", "--every", "10s"))
    ((name, text),) = systemd.units(collects).items()
    assert name == "opsconsole-shop.collect.service" and "Restart=always" in text
    (tmp_path / name).write_text(text)
    done = subprocess.run([analyze, "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "opsconsole" in line]) == (0, [])
    started = [shlex.join(words) for words in systemd.commands("shop", root=True, work=Work.COLLECT)]
    assert started[1:] == [f"systemctl enable {name}", f"systemctl restart {name}"]


def test_the_timer_ticks_every_ten_minutes(analyze: str) -> None:
    timer = systemd.units(JOB)["opsconsole-shop.timer"]
    assert "Persistent=true" in timer
    calendar = next(line.partition("=")[2] for line in timer.splitlines() if line.startswith("OnCalendar="))
    done = subprocess.run(
        [analyze, "calendar", "--iterations=6", calendar], capture_output=True, text=True, timeout=60, check=True
    )
    minutes = [
        line.rsplit(":", 2)[1]
        for line in done.stdout.splitlines()
        if "elapse" in line or "Iter" in line or "iter" in line.lower()
    ]
    assert {int(minute) % 10 for minute in minutes} == {JOB.minute}
    assert len(set(minutes)) == 6


def test_the_units_of_a_user_lie_in_his_home_and_are_started_for_him(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/mina/.config")
    assert systemd.directory(root=False) == Path("/home/mina/.config/systemd/user")
    assert systemd.directory(root=True) == Path("/etc/systemd/system")
    assert shlex.join(systemd.commands("shop", root=False)[1]) == "systemctl --user enable --now opsconsole-shop.timer"
    with pytest.raises(SourceError, match="no unit can be called"):
        systemd.names("shop/../../x")
    assert not systemd.lingers("nobody-of-this-name")
