"""Env files as editors and scripts leave them: what can be read is read, each bad line is named once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from opsconsole.stack import envfile


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A=with spaces in it", {"A": "with spaces in it"}),
        ('A="quoted value" # said', {"A": "quoted value"}),
        ("A='${B} $C \"x\"'", {"A": '${B} $C "x"'}),
        ("export A=1\nexport B='2'", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# said\n\n  A = 1  ", {"A": "1"}),
        ("A=1\nB=${A}-${NOT_SET:-d}", {"A": "1", "B": "1-d"}),
        ("A=mongodb://u:p@h:1/db?x=1&y=2", {"A": "mongodb://u:p@h:1/db?x=1&y=2"}),
        ("A=p#ss", {"A": "p#ss"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=", {"A": ""}),
        ("FROM_OUTSIDE\nMISSING_OUTSIDE", {"FROM_OUTSIDE": "yes"}),
        ("SOME_UNKNOWN_KEY=1\nx-y=2", {"SOME_UNKNOWN_KEY": "1", "x-y": "2"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_values(text: str, values: dict[str, str]) -> None:
    assert envfile.parse(text, {"FROM_OUTSIDE": "yes"}) == (values, ())


def test_bad_lines_are_named_by_their_number_and_cost_nothing_else() -> None:
    text = 'A=1\nthis is no assignment\n\n1X=2\nB="never closed\nC=3\nD="ok"\n'
    assert envfile.parse(text, {}) == ({"A": "1", "C": "3", "D": "ok"}, (2, 4, 5))


def test_a_file_with_a_byte_order_mark_and_a_bad_line_is_one_problem(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfA=1\r\nwhat is this\r\nB=2\r\n")
    found = envfile.read(file)
    assert found.values == {"A": "1", "B": "2"}
    assert found.problems == (f"env file {file}: line 2 cannot be understood (expected NAME=value) and not used",)


def test_a_missing_or_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    assert envfile.read(tmp_path / ".env").problems == (f"env file {tmp_path}/.env does not exist",)
    assert envfile.read(tmp_path).problems == (f"env file {tmp_path} cannot be read: Is a directory",)
    (tmp_path / "latin").write_bytes(b"A=caf\xe9\nB=1")
    found = envfile.read(tmp_path / "latin")
    assert found.values["B"] == "1"
    assert "is not UTF-8 text" in found.problems[0]


def test_the_most_specific_file_wins(tmp_path: Path) -> None:
    assert envfile.find(tmp_path) == ""
    for name in reversed(envfile.CANDIDATES):
        (tmp_path / name).touch()
        assert envfile.find(tmp_path) == str(tmp_path / name)


def test_values_are_in_no_text_form(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PASSWORD=hunter2")
    found = envfile.read(tmp_path / ".env")
    for shown in (repr(found), str(found), f"{[found]}", pretty_repr(found)):
        assert "PASSWORD" in shown
        assert "hunter2" not in shown


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    values, bad = envfile.parse(text, {})
    assert all(isinstance(value, str) for value in values.values())
    assert list(bad) == sorted(bad)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(alphabet='ab "#=$@:/?&%é', max_size=20)
    )
)
def test_what_is_single_quoted_comes_back_as_it_was(values: dict[str, str]) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in values.items())
    assert envfile.parse(text, {}) == (values, ())
