"""Tells somebody that a scheduled run failed, that the newest good backup is too old, what alerts do (`[notify]`).

Every way that the settings name is taken: a program, an address that gets JSON, Apprise. What goes wrong on one of
them is told and stops none of the others. A program learns:

    OPSCONSOLE_EVENT       failed, done, backup-too-old, backup-good-again, test, alert-firing, alert-worse,
                           alert-resolved, incident-declared, incident-priority, incident-closed
    OPSCONSOLE_TITLE       one line
    OPSCONSOLE_TEXT        all of it, in lines
    OPSCONSOLE_STACK       name of the stack
    OPSCONSOLE_DIRECTORY   of the stack
    OPSCONSOLE_HOST        name of this host
    OPSCONSOLE_KIND        backup, incremental, verify, prune; "" for the age of the backups and a test
    OPSCONSOLE_PROBLEM     one line
    OPSCONSOLE_HINT        what to do
    OPSCONSOLE_BACKUP      id of the backup that it is about
    OPSCONSOLE_AT          when, 2026-01-31T02:00:00Z
    OPSCONSOLE_LOG         file with the output
    OPSCONSOLE_RULE        of an alert, or of the worst of several: its rule,
    OPSCONSOLE_SUBJECT     what it is about,
    OPSCONSOLE_SEVERITY    and warning or critical
    OPSCONSOLE_ALERTS      each alert in a line: severity, rule, subject, what is so, what to do, with tabs between them
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from opsconsole.config import Config
from opsconsole.config.sections import NotifySection
from opsconsole.model import Alert, Record
from opsconsole.programs import problem_of
from opsconsole.text import mask_text, printable

_LAST_BYTES = 4096


class Event(StrEnum):
    FAILED = "failed"
    DONE = "done"
    TOO_OLD = "backup-too-old"
    GOOD_AGAIN = "backup-good-again"
    TEST = "test"
    ALERT_FIRING = "alert-firing"
    ALERT_WORSE = "alert-worse"
    ALERT_RESOLVED = "alert-resolved"
    INCIDENT_DECLARED = "incident-declared"
    INCIDENT_PRIORITY = "incident-priority"
    INCIDENT_CLOSED = "incident-closed"


class Message(Record, frozen=True):
    """What happened, without secrets."""

    event: Event
    title: str
    stack: str
    directory: str
    host: str
    at: datetime
    kind: str = ""
    problem: str = ""
    hint: str = ""
    backup: str = ""
    log: str = ""
    rule: str = ""
    subject: str = ""
    severity: str = ""
    alerts: tuple[tuple[str, str, str, str, str], ...] = ()  # severity, rule, subject, what is so, what to do

    @property
    def text(self) -> str:
        """For a person, in lines."""
        lines = [
            self.title,
            self.problem,
            *(self._each if len(self.alerts) > 1 else (self.hint,)),
            f"Backup: {self.backup}" if self.backup else "",
            f"Stack: {self.stack} in {self.directory} on {self.host}",
            f"At: {self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            f"Log: {self.log}" if self.log else "",
        ]
        return "\n".join(line for line in lines if line)

    @property
    def _each(self) -> Iterator[str]:
        for severity, _, _, said, action in self.alerts:
            yield f"- {severity}: {said}{f' -> {action}' if action else ''}"

    @property
    def facts(self) -> dict[str, str]:
        """The same by name; `text` is what chat programs show."""
        return {
            "event": self.event.value,
            "title": self.title,
            "text": self.text,
            "stack": self.stack,
            "directory": self.directory,
            "host": self.host,
            "kind": self.kind,
            "problem": self.problem,
            "hint": self.hint,
            "backup": self.backup,
            "at": f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "log": self.log,
            "rule": self.rule,
            "subject": self.subject,
            "severity": self.severity,
            "alerts": "\n".join("\t".join(one) for one in self.alerts),
        }


def message(
    event: Event, title: str, *, problem: str = "", hint: str = "", alerts: Iterable[Alert] = (), **facts: object
) -> Message:
    """A message whose words hold no secret and no control character. `facts`: the other fields."""
    clean = {name: value if isinstance(value, datetime) else _clean(str(value)) for name, value in facts.items()}
    known = {"title": _clean(title), "problem": _clean(problem), "hint": _clean(hint)}
    lines = tuple(
        (one.severity.value, one.rule, _clean(one.subject), _clean(one.message), _clean(one.action)) for one in alerts
    )
    return Message(event=event, alerts=lines, **known, **clean)  # type: ignore[arg-type]


def is_wanted(section: NotifySection, event: Event) -> bool:
    """Whether somebody wants to hear of it."""
    return event is not Event.DONE or section.on == "always"


def ways(section: NotifySection) -> tuple[str, ...]:
    """How somebody is told, as the settings say it."""
    named = {
        "command": section.command,
        "webhook": section.webhook or section.webhook_env,
        "apprise": section.apprise or section.apprise_env,
    }
    return tuple(name for name, value in named.items() if value)


def send(
    told: Message, config: Config, directory: Path, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Tell everybody that the settings name; () when all were, else one line for each that was not. Never raises.

    `environment`: where the variables that hold addresses are looked up, before the stack's env file.
    """
    problems = send_by(ways(config.notify), told, config, directory, environment)
    return tuple(problems.values())


def send_by(
    chosen: Iterable[str], told: Message, config: Config, directory: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The same for some of the `ways`: what went wrong, by the way that it went wrong on."""
    section = config.notify
    around = os.environ if environment is None else environment
    problems = {}
    for way in chosen:
        if way == "command":
            problems[way] = _run(section.command, told, directory, section.timeout_seconds)
        elif way == "webhook":
            problems[way] = _post(section, told, config, directory, around)
        elif way == "apprise":
            problems[way] = _by_apprise(section, told, config, directory, around)
    return {way: problem for way, problem in problems.items() if problem}


# --- the three ways --------------------------------------------------------------------------------


def _post(
    section: NotifySection, told: Message, config: Config, directory: Path, environment: Mapping[str, str]
) -> str:
    from opsconsole.sources.messages import post_json

    problems = []
    for url in filter(None, (section.webhook, _variable(section.webhook_env, config, directory, environment))):
        problems.append(post_json(url, told.facts, section.timeout_seconds))
    if section.webhook_env and len(problems) < 1 + bool(section.webhook):
        problems.append(_not_set("webhook_env", section.webhook_env))
    return "; ".join(filter(None, problems))


def _by_apprise(
    section: NotifySection, told: Message, config: Config, directory: Path, environment: Mapping[str, str]
) -> str:
    from opsconsole.sources.messages import send_by_apprise

    found = _variable(section.apprise_env, config, directory, environment)
    addresses = (*section.apprise, *found.split())
    problem = send_by_apprise(addresses, told.title, told.text) if addresses else ""
    lacking = _not_set("apprise_env", section.apprise_env) if section.apprise_env and not found else ""
    return "; ".join(filter(None, (problem, lacking)))


def _run(words: tuple[str, ...], told: Message, directory: Path, seconds: float) -> str:
    """Run the program; its last line is what it says of a failure."""
    if wrong := problem_of(words[0], directory, "notify"):
        return f"the program of [notify] cannot be run: {wrong[0]}"
    environment = {f"OPSCONSOLE_{name.upper()}": value for name, value in told.facts.items()}
    try:
        process = subprocess.Popen(
            words,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"the program of [notify] cannot be run: {error.strerror}"
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return f"the program of [notify] did not end within {seconds:g} s"
    if process.returncode == 0:
        return ""
    last = _last_line(output[-_LAST_BYTES:].decode(errors="replace").splitlines())
    return f"the program of [notify] failed with exit code {process.returncode}{f': {last}' if last else ''}"


def _variable(name: str, config: Config, directory: Path, environment: Mapping[str, str]) -> str:
    """Value of a variable, in the environment or the stack's env file; "" when it is in neither."""
    if not name:
        return ""
    if value := environment.get(name):
        return value.strip()
    from opsconsole.stack import envfile

    path = str(directory / config.stack.env_file) if config.stack.env_file else envfile.find(directory)
    return envfile.read(path, environment).values.get(name, "").strip() if path else ""


def _not_set(key: str, name: str) -> str:
    return f"{key} of [notify] names {printable(name)}, which is neither in the environment nor in the env file"


def _last_line(lines: Iterable[str]) -> str:
    return next((_clean(line) for line in reversed(list(lines)) if line.strip()), "")


def _clean(text: str) -> str:
    """One line, without secrets."""
    return printable(mask_text(" ".join(text.replace("\0", " ").split())))
