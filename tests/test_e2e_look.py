"""The installed command in a real terminal on real stacks: it starts, and an operator looks around."""

from __future__ import annotations

import keyword
import re
import socket
from collections.abc import Iterator

import pytest

from opsconsole.ui.panes import sections
from tests.console import PANES, Console
from tests.parts.engine import Engine
from tests.parts.stacks import Stack

SECRETS = {
    "mps": ("mongo-secret", "redis-secret", "signed, sealed"),
    "thynk": ("a secret with spaces",),
    "english_chat": ("rahasia panjang",),
    "smokava_rs": (),
    "troubled": (),
}
SERVICES = {
    "mps": ("mongodb", "redis", "backend", "frontend"),
    "thynk": ("backend", "frontend"),
    "english_chat": ("backend", "frontend"),
    "smokava_rs": ("mongodb", "backend"),
    "troubled": ("crashing", "unhealthy", "migrate", "failed", "forgetful", "cache", "chatty", "hostile"),
}
# What an operator must be told about each of the panes, once it has looked.
KNOWN = {
    "mps": {
        "databases": ("MongoDB ─", "6.0.5", "Redis ─", "7.0.15", "quests", "append log  ✓"),
        "volumes": ("_mongodb_d", "✓ persistent"),
        "backups": ("mps_backup_2025", "✓ good", "MongoDB, Redis"),
        "deploy": ("docker-compose.yml", "✓ Every container runs what the files say"),
        "metrics": ("✓ backend", "✓ frontend", "total ", "memory "),
        "logs": ("mongodb ", "frontend ", "following"),
    },
    "thynk": {
        "databases": ("MongoDB ─", "─ host", "6.0.5", "discussions"),
        "volumes": ("backend/uploads", "bind mount"),
        "backups": ("✓ good", "2 backups, 2 good"),
        "deploy": (".env.production.local", "✓ Every container runs what the files say"),
    },
    "english_chat": {
        "databases": ("MongoDB ─", "─ host", "online-discussion"),
        "backups": ("✓ good", "2 backups, 2 good"),
    },
    "smokava_rs": {
        "databases": ("replica set rs0", "PRIMARY", "smokava"),
        "backups": ("No backup in",),
    },
    "troubled": {
        "containers": ("5 of 8 well", "✗ restarting", "✗ unhealthy", "✗ exited 1", "✓ done"),
        "volumes": ("✗ at risk", "anonymous volume", "tmpfs"),
        "databases": ("forgetful", "cache"),
        "logs": ("chatty ", "following"),
    },
}


@pytest.fixture(params=SERVICES)
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def system(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["stack"])


def test_a_real_stack_is_shown_in_full_and_no_secret_with_it(stack: Stack, system: str, engine: Engine) -> None:
    with Console(cwd=stack.directory, rows=60) as console:  # a busy host has an alert more
        console.started(stack.project)
        assert socket.gethostname() in console.header()
        assert f"engine {engine.version()}" in console.header()
        assert "live" in console.header()
        for service in SERVICES[system]:
            assert re.search(rf"^ {service} +[✓✗▲]", console.text(), re.MULTILINE), service
        seen = [console.lines()]
        for pane in PANES:
            seen.append(console.go(pane, *KNOWN[system].get(pane, ())))
            seen += walk_details(console, pane)
        assert console.process.poll() is None
        # Also cut up between lines, or painted for a moment only.
        everything = "\n".join("\n".join([*lines, "".join(line.strip() for line in lines)]) for lines in seen)
        for secret in SECRETS[system]:
            assert secret not in everything
            assert secret not in console.output
        console.type("q")
        assert console.wait_for_end() == 0
        console.wait_for(lambda lines: not console.in_console)  # its last words may be on their way
        assert not console.cursor_hidden


def walk_details(console: Console, pane: str) -> Iterator[list[str]]:
    """Every screen that Enter opens from a pane."""
    if pane == "overview":
        yield console.press("Enter", shows="Esc back")
        console.esc("Esc back")
    if pane == "containers":
        rows = len(re.findall("^ [a-z]+ +[✓✗▲]", console.text(), re.MULTILINE))
        console.type("g")
        for _ in range(rows):
            yield console.press("Enter", shows="Esc back")
            console.type("G")
            yield console.wait_for("labels" if "labels" in console.text() else "Esc back")
            console.esc("Esc back")
            console.type("j")
    if pane in ("volumes", "backups") and "details" in console.footer_keys():
        console.type("Enter")
        yield console.wait_for(lambda lines: "close" in console.footer_keys())
        console.type("Enter")
        console.wait_for(lambda lines: "details" in console.footer_keys())


# --- keys ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept() -> Iterator[list[Console]]:
    """The console that the next test goes on with."""
    found: list[Console] = []
    yield found
    for one in found:
        one.close()


@pytest.fixture
def console(mps: Stack, kept: list[Console]) -> Iterator[Console]:
    """One console for the tests that leave it as they found it, on a pane and nothing open; else a new one."""
    if not kept:
        kept.append(Console(cwd=mps.directory))
        kept[0].started(mps.project)
    yield kept[0]
    if not kept[0].rests():
        kept.pop().close()


def test_letters_and_tab_go_to_every_pane(console: Console) -> None:
    for pane in PANES:
        console.go(pane)
    console.go("overview")
    for pane in [*list(PANES)[1:], "overview"]:
        console.type("Tab")
        console.wait_for(console.shows(pane))
    for pane in [*reversed(PANES), list(PANES)[-1]]:
        console.type("Shift+Tab")
        console.wait_for(console.shows(pane))


def test_the_help_lists_every_key(console: Console) -> None:
    wanted = {action.keys_shown or "Ctrl+P": action.help for place in sections("") for action in place.actions}
    console.go("overview")
    console.press("?", shows="no single key destroys anything")
    entries: dict[str, str] = {}
    console.type("g")
    console.wait_for("Overview")
    while True:
        shown = console.lines()
        entries |= {found[1]: found[2] for line in shown if (found := re.match(r"^ {3}(\S.*?) {2,}(\S.*)$", line))}
        if any(line.startswith("   pending") for line in shown):
            break
        console.type("PgDn")
        console.wait_for(lambda lines, shown=shown: lines != shown)
    console.esc("no single key destroys anything")
    missing = {keys for keys, said in wanted.items() if said[:40] not in " ".join(entries.values())}
    assert not missing
    assert wanted.keys() <= entries.keys()


FOOTERS = {
    "overview": "Enter attention  Tab",
    "containers": "Enter details  e shell  r restart  s stop",
    "volumes": "Enter details  p persistence  / filter",
    "logs": "/ filter  \\ search  L level",
    "metrics": "0 5-7 range  Tab next pane",
    "databases": "Enter fold  x fold all",
    "backups": "Enter details  B back up  R restore  V verify",
    "deploy": "Enter choose  R roll back",
    "history": "/ filter  < > sort  Tab",
    "health": "Enter details  t maintenance  / filter",
}


@pytest.mark.parametrize("pane", PANES)
def test_every_key_of_the_footer_does_something_visible(console: Console, pane: str) -> None:
    console.go("overview" if pane == "deploy" else "deploy", "Enter attention" if pane == "deploy" else "Enter choose")
    console.go(pane, FOOTERS[pane])
    keys = console.footer_keys()
    assert {"help", "quit"} <= keys.keys()
    for label, key in keys.items():
        console.go(pane, FOOTERS[pane])
        effect = Effect(console, pane, label, key)
        name = label.replace(" ", "_").replace("/", "_")
        getattr(effect, f"{name}_" if keyword.iskeyword(name) else name)()


class Effect:
    """What each key of a footer must show. A label that is not here fails: a new key wants its line."""

    def __init__(self, console: Console, pane: str, label: str, key: str) -> None:
        self.console, self.pane, self.key = console, pane, key

    def _opens(self, shows: str) -> None:
        self.console.press(self.key, shows=shows)
        self.console.esc(shows)

    def _toggles(self, shows: str) -> None:
        self.console.press(self.key, shows=shows)
        self.console.type(self.key)
        self.console.wait_gone(shows)

    def attention(self) -> None:
        self._opens("Attention   ")

    def maintenance(self) -> None:
        self._opens("Maintenance ")

    def persistence(self) -> None:
        self._opens("every point is a proof")

    def at_work(self) -> None:
        self._opens("MongoDB at work")

    def help(self) -> None:
        self._opens("no single key destroys anything")

    def actions(self) -> None:
        self._opens("type a part of what you want")

    def next_pane(self) -> None:
        following = [*list(PANES)[1:], "overview"][list(PANES).index(self.pane)]
        self.console.type(self.key)
        self.console.wait_for(self.console.shows(following))

    def full_size(self) -> None:
        names = "volumes  logs  metrics"
        self.console.type(self.key)
        self.console.wait_gone(names)
        self.console.type(self.key)
        self.console.wait_for(names)

    def ask_now(self) -> None:
        self.console.type(self.key)
        self.console.wait_for(lambda lines: lines[0].endswith("asking"))

    def quit(self) -> None:
        """Seen where the console is left for good."""

    def details(self) -> None:
        if self.pane == "containers":
            self._opens("Esc back")
        else:
            self.console.type(self.key)
            self.console.wait_for(lambda lines: "close" in self.console.footer_keys())
            self.console.type(self.key)
            self.console.wait_for(lambda lines: "details" in self.console.footer_keys())

    def shell(self) -> None:
        self.console.type(self.key)
        self.console.wait_for("Shell in ", lambda lines: not self.console.in_console)
        self.console.type("exit\r")
        self.console.wait_for(self.console.shows("containers"), "was left")
        self.console.esc("was left")

    def restart(self) -> None:
        self._opens("Restart backend?")

    def back_up(self) -> None:
        self._opens("Everything, kept for ever")

    def restore(self) -> None:
        self._opens("In the backup")

    def verify(self) -> None:
        self._opens("L3, prove it")

    def pin_unpin(self) -> None:
        self._opens("Nothing removes it until")

    def prune_plan(self) -> None:
        self._opens("Plan: prune")

    def undo_restore(self) -> None:
        self._opens("Plan: undo of the last restore")

    def to_a_second(self) -> None:
        self._opens("Restore MongoDB to a second")

    def export(self) -> None:
        self._opens("Export from")

    def import_(self) -> None:
        self._opens("Import JSON: which file")

    def schedule(self) -> None:
        self._opens("Schedule of backups")

    def stop(self) -> None:
        self._opens("Stop backend?")

    def its_logs(self) -> None:
        self.console.type(self.key)
        self.console.wait_for(self.console.shows("logs"), "of backend")
        self.console.press("a", shows="of 4 services")

    def filter(self) -> None:
        self._opens("regex, ! in front hides" if self.pane == "logs" else "Esc shows all")

    def search(self) -> None:
        self.console.type(self.key)
        self.console.wait_for(re.compile("^ search", re.MULTILINE))
        self.console.type("Esc")
        self.console.wait_for(lambda lines: not any(line.startswith(" search") for line in lines))

    def level(self) -> None:
        for shows in ("level debug and worse", "level info and worse", "level warning and worse", "level error"):
            self.console.press(self.key, shows=shows)
        self.console.type(self.key)
        self.console.wait_gone("level error")

    def range(self) -> None:
        if self.pane == "metrics":
            for digit, shows in (("5", "The last hour"), ("6", "The last 24 hours"), ("7", "The last 7 days")):
                self.console.press(digit, shows=shows)
            self.console.type("0")
            self.console.wait_gone("The last 7 days")
            return
        for digit, shows in enumerate(("tail", "first lines", "last minute", "last 5 minutes")):
            self.console.type(str(digit))
            self.console.wait_for(re.compile(rf"(following|paused).*  {shows}"))
        self.console.type("0")
        self.console.wait_for("following  tail")

    def follow(self) -> None:
        self.console.press(self.key, shows="paused")
        self.console.type(self.key)
        self.console.wait_for("following")

    def pick(self) -> None:
        self.console.type(self.key)
        self.console.wait_for(lambda lines: "only this" in self.console.footer_keys())
        self.console.type("Esc")
        self.console.wait_for(lambda lines: "only this" not in self.console.footer_keys())

    def wrap(self) -> None:
        def goes_on_below(lines: list[str]) -> bool:
            return any(line.partition("│")[2].startswith(" " * 20) for line in lines)

        self.console.type(self.key)
        self.console.wait_for(goes_on_below)
        self.console.type(self.key)
        self.console.wait_for(lambda lines: not goes_on_below(lines))

    def times(self) -> None:
        for shows in (r"│20\d\d-\d\d-\d\d ", r"│[a-z]", r"│\d\d:\d\d:\d\d"):
            self.console.press(self.key, shows=re.compile(shows))

    def mark(self) -> None:
        row = self.console.cursor_row()
        self.console.type(self.key)
        self.console.wait_for(lambda lines: lines[row].startswith("●"))
        self.console.type("Esc")
        self.console.wait_for(lambda lines: not lines[row].startswith("●"))

    def sort(self) -> None:
        self.console.press(">", shows=re.compile("[↑↓]"))
        self.console.type("<")
        self.console.wait_for(lambda lines: not re.search("[↑↓]", "\n".join(lines)))

    def fold(self) -> None:
        self.console.press(self.key, shows="▸")
        self.console.type(self.key)
        self.console.wait_gone("▸")

    def fold_all(self) -> None:
        self.fold()

    def choose(self) -> None:
        self.console.type("jjjj", self.key)
        self.console.wait_for(self.console.shows("logs"))

    def roll_back(self) -> None:
        self._opens("Enter shows the plan")


# --- looking closer --------------------------------------------------------------------------------


def test_filter_sort_and_marks_in_the_list_of_containers(console: Console) -> None:
    console.go("containers")
    console.type("/mong")  # at once, as a slow line sends it
    console.wait_for("1 of 4  Esc shows all", "mongodb")
    console.wait_gone(" backend ", " redis ")
    console.wait_for("Enter keep")
    console.press("Enter", shows="Enter details")
    console.esc("1 of 4  Esc shows all")
    console.wait_for(" backend ", " redis ")

    def services() -> list[str]:
        return [line.split()[0] for line in console.lines()[4:8]]

    assert services() == ["backend", "frontend", "mongodb", "redis"]
    console.press(">", shows="Service↑")
    console.type("O")
    console.wait_for("Service↓", lambda lines: services() == ["redis", "mongodb", "frontend", "backend"])
    console.type("<")
    console.wait_gone("Service↓")
    console.wait_for(lambda lines: services() == ["backend", "frontend", "mongodb", "redis"])

    console.put_cursor_on(" frontend")
    console.press("Space", shows="1 marked")
    console.put_cursor_on(" redis")
    console.press("Space", shows="2 marked")
    console.press("r", shows="Restart 2 containers?")
    assert {"frontend", "redis"} <= {word for line in console.lines() for word in line.replace("-", " ").split()}
    console.esc("Restart 2 containers?")
    console.esc("2 marked")


def test_the_palette_finds_an_action_and_does_it_where_it_belongs(console: Console) -> None:
    console.go("containers")
    console.put_cursor_on(" backend")
    console.go("volumes")
    console.type(":restart\r")
    console.wait_for("Restart backend?")
    console.esc("Restart backend?")
    assert console.pane() == "containers"
    console.type("Ctrl+P")
    console.wait_for("type a part of what you want")
    console.type("first lines\r")
    console.wait_for(console.shows("logs"), "first lines")
    console.press("0", shows="following  tail")


def test_keys_of_one_packet_act_one_after_the_other(console: Console) -> None:
    """What a slow line sends at once: nothing of a filter's text may act as a key."""
    console.go("metrics")
    console.type("c/serv\rvlo")
    console.wait_for(console.shows("overview"))
    console.go("containers", "No row holds this text", "0 of 4")
    console.esc("0 of 4")
    console.go("logs")
    console.type("\\owned\rc")
    console.wait_for(console.shows("containers"))
    console.go("logs", "search owned")
    console.esc("search owned")
