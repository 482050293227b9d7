"""How facts are said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from opsconsole.model import Service
from opsconsole.ui.wording import (
    ASCII,
    UNICODE,
    Tone,
    age,
    ago,
    container_standing,
    duration,
    percent,
    plural,
    rate,
    short_size,
    sign,
    size,
)
from tests.ui_sample import NOW, container


@pytest.mark.parametrize(
    ("amount", "long", "short"),
    [
        (None, "-", "-"),
        (0, "0 B", "0B"),
        (1, "1 B", "1B"),
        (1023, "1023 B", "1023B"),
        (1536, "1.5 KiB", "1.5K"),
        (512 * 2**20, "512 MiB", "512M"),
        (3.26 * 2**30, "3.3 GiB", "3.3G"),
    ],
)
def test_sizes(amount: float | None, long: str, short: str) -> None:
    assert size(amount) == long and short_size(amount) == short


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0, "0 s"),
        (0.034, "34 ms"),
        (59, "59 s"),
        (99, "99 s"),
        (100, "2 m"),
        (3 * 3600, "3 h"),
        (47 * 3600, "47 h"),
        (76 * 3600, "3 d 4 h"),
        (9 * 86400 + 3600, "9 d"),
        (900 * 86400, "2 y"),
        (-4, "0 s"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_times() -> None:
    assert age(NOW - timedelta(hours=3), NOW) == "3 h" and age(None, NOW) == "-"
    assert ago(NOW, NOW) == "just now" and ago(None, NOW) == "never"
    assert ago(NOW + timedelta(hours=1), NOW) == "in 60 m"  # a clock that is wrong says so


def test_what_is_not_known_is_never_zero() -> None:
    assert [percent(None), rate(None), size(None)] == ["-", "-", "-"]
    assert percent(0) == "0 %" and plural(1, "container") == "1 container" and plural(2, "box", "boxes") == "2 boxes"


@pytest.mark.parametrize(
    ("changes", "word", "tone"),
    [
        ({"health": "healthy"}, "healthy", Tone.GOOD),
        ({"health": ""}, "running", Tone.GOOD),
        ({"health": "unhealthy"}, "unhealthy", Tone.BAD),
        ({"health": "starting"}, "starting", Tone.ACCENT),
        ({"state": "exited", "exit_code": 1}, "exited 1", Tone.BAD),
        ({"state": "exited", "exit_code": 0}, "stopped", Tone.MUTED),
        ({"state": "exited", "exit_code": 143}, "stopped 143", Tone.WARNING),
        ({"state": "exited", "exit_code": 137, "oom_killed": True}, "out of memory", Tone.BAD),
        ({"state": "created", "error": "port is taken"}, "cannot start", Tone.BAD),
        ({"state": "restarting"}, "restarting", Tone.BAD),
        ({"state": "paused"}, "paused", Tone.WARNING),
        ({"state": "something new"}, "something new", Tone.WARNING),
    ],
)
def test_the_standing_of_a_container(changes: dict[str, object], word: str, tone: Tone) -> None:
    standing = container_standing(container("web", **changes))
    assert (standing.word, standing.tone) == (word, tone)


def test_a_job_that_ended_well_is_done() -> None:
    ended = container("migrate", state="exited", exit_code=0, restart_policy="no")
    assert container_standing(ended, Service(name="migrate", one_shot=True)).word == "done"
    assert container_standing(ended, Service(name="migrate")).word == "done"
    assert container_standing(ended, Service(name="migrate", has_healthcheck=True)).word == "stopped"


def test_each_tone_has_a_sign_of_its_own_in_both_alphabets() -> None:
    for glyphs in (UNICODE, ASCII):
        signs = [sign(tone, glyphs) for tone in (Tone.GOOD, Tone.WARNING, Tone.BAD, Tone.MUTED, Tone.ACCENT)]
        assert len(set(signs)) == len(signs) and all(len(one) == 1 for one in signs)
    assert all(sign(tone, ASCII).isascii() for tone in Tone)
