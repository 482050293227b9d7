"""Our lines in the crontab of this user, between two marks. Every other byte stays as it is."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from opsconsole.model import SourceError
from opsconsole.schedule.job import MINUTES, Job, Work
from opsconsole.text import printable

NOT_SERVED = "no cron runs on this host, so nothing ticks: start it (systemctl start cron, or service cron start)"
_DAEMONS = ("cron", "crond", "fcron", "busybox")  # one of busybox has its name
_NONE = "no crontab for"
_LONGEST_LINE = 990  # cron reads a thousand bytes of a command


def block(job: Job) -> bytes:
    """The lines, with their marks. Raises SourceError when cron could not read them."""
    words = [f"{name}={shlex.quote(value)}" for name, value in job.environment] + [
        shlex.quote(one) for one in job.words
    ]
    # To cron a percent sign is the end of the line.
    # The collector goes on until it is stopped. Begun again each minute, it leaves at once where it runs.
    when = "*" if job.work is Work.COLLECT else f"{job.minute}-59/{MINUTES}"
    line = f"{when} * * * * {' '.join(words)}".replace("%", "\\%")
    if len(line.encode()) > _LONGEST_LINE:
        raise SourceError(f"the line is too long for cron ({len(line.encode()):,} bytes)", "Shorten the paths in it.")
    return "\n".join((_begin(job.key), job.made_for, line, _end(job.key), "")).encode()


def with_block(text: bytes, job: Job) -> bytes:
    """A crontab with our lines: where they were, or at its end. Raises SourceError when the marks are not a pair."""
    place = _place(text, job.key)
    if place is not None:
        return text[: place[0]] + block(job) + text[place[1] :]
    gap = b"" if not text or text.endswith(b"\n") else b"\n"
    return text + gap + block(job)


def without_block(text: bytes, key: str) -> bytes:
    """A crontab without our lines. Raises SourceError when the marks are not a pair."""
    place = _place(text, key)
    return text if place is None else text[: place[0]] + text[place[1] :]


def found_block(text: bytes, key: str) -> str:
    """Our lines as they stand there, "" when there are none. Raises SourceError when the marks are not a pair."""
    place = _place(text, key)
    return "" if place is None else text[place[0] : place[1]].decode(errors="replace")


def is_served(processes: Path = Path("/proc")) -> bool:
    """Whether a cron runs that would read it; also where that cannot be known."""
    names = set()
    for path in processes.glob("[0-9]*/comm"):
        with suppress(OSError):
            names.add(path.read_text().strip())
    return not names or not names.isdisjoint(_DAEMONS)


def read() -> bytes:
    """This user's crontab, b"" when there is none. Raises SourceError."""
    done = _crontab("-l")
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if _NONE in said:
        return b""
    raise SourceError(f"the crontab cannot be read: {printable(said)}", "See /etc/cron.allow and /etc/cron.deny.")


def replace(old: bytes, new: bytes) -> None:
    """Put `new` in the place of `old`. Raises SourceError when it is no longer `old`, or is not `new` afterwards."""
    if read() != old:
        raise SourceError("the crontab was changed in the meantime; nothing was done", "Look at it again.")
    # An empty one would stay behind as a file.
    done = _crontab("-", input=new) if new else _crontab("-r")
    if done.returncode != 0:
        said = printable(done.stderr.decode(errors="replace").strip())
        raise SourceError(f"the crontab was not taken: {said}")
    if read() != new:
        raise SourceError("the crontab is not what was written", "Look at it: crontab -l")


def _place(text: bytes, key: str) -> tuple[int, int] | None:
    """First byte of our lines, and the first one after them."""
    begins, ends, at = [], [], 0
    for line in text.splitlines(keepends=True):
        if line.rstrip(b"\r\n") == _begin(key).encode():
            begins.append(at)
        at += len(line)
        if line.rstrip(b"\r\n") == _end(key).encode():
            ends.append(at)
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] >= ends[0]:
        raise SourceError(
            f"the marks of the stack {key} in the crontab are not one pair; it was left as it is",
            f"Put it right by hand (crontab -e): from `{_begin(key)}` to `{_end(key)}`.",
        )
    return begins[0], ends[0]


def _begin(key: str) -> str:
    return f"# opsconsole {key}: begin"


def _end(key: str) -> str:
    return f"# opsconsole {key}: end"


def _crontab(word: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["crontab", word], input=input, capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        raise SourceError(
            "there is neither systemd nor cron on this host", "Install cron (Debian: apt-get install cron)."
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceError(f"crontab does not work: {error}") from None
