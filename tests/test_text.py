"""Outside text can only be read, and secrets cannot."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.text import MASK, is_secret_name, mask_text, mask_uri, mask_value, printable

HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://example.com\x1b\\link",
    "\x1b[2J\x1b[H",
    "\x9b31m\x9d52;c;x\x9c",
    "a\rb\x08c",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "line\u2028two",
    "\ud800",
    "nul\x00byte",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_sequence_survives(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown)
    assert not any("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" for character in shown)


@given(st.text())
def test_printable_never_acts_and_is_stable(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert printable(shown) == shown
    shown.encode()  # no lone surrogates: it can be written to a terminal


def test_an_escape_is_shown_not_hidden() -> None:
    assert printable("\x1b]52;c;x\x07") == "␛]52;c;x␇"
    assert printable("a \u202eb") == "a <U+202E>b"


def test_colour_codes_go_and_words_stay() -> None:
    assert printable("\x1b[1;31mERROR\x1b[0m disk") == "ERROR disk"


@pytest.mark.parametrize("name", ["店舗-バックエンド", "сервис", "خدمة", "سرویس‌ها", "👩‍💻"])
def test_names_in_any_script_are_untouched(name: str) -> None:
    assert printable(name) == name


def test_lines_are_kept_when_asked_for() -> None:
    assert printable("one\ntwo\x1b[2J", lines=True) == "one\ntwo␛[2J"
    assert "\n" not in printable("one\ntwo")


@pytest.mark.parametrize(
    "name",
    ["MONGO_INITDB_ROOT_PASSWORD", "JWT_ACCESS_SECRET", "API_KEY", "apikey", "AWS_SECRET_ACCESS_KEY", "SESSION_COOKIE",
     "SENTRY_DSN", "GITHUB_TOKEN", "SLACK_WEBHOOK", "DB_PWD", "key"],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert mask_value(name, "hunter2") == MASK
    assert mask_value(name, "") == ""


@pytest.mark.parametrize("name", ["PATH", "MONKEY", "KEYSPACE", "MONGO_PASSWORD_FILE", "PORT", "COMPASS", "PASSENGERS"])
def test_ordinary_names(name: str) -> None:
    assert is_secret_name(name) == (name == "COMPASS")  # a mask too many is the lesser evil
    if name != "COMPASS":
        assert mask_value(name, "plain") == "plain"


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://admin:hunter2@db:27017/x?authSource=admin",
        "redis://:hunter2@cache:6379/0",
        "mongodb+srv://u:hunter2@c.example.net/",
        "amqp://user:p@hunter2@mq/",
        "postgres://u:hunter2/@db/",
    ],
)
def test_uris_lose_their_password(uri: str) -> None:
    masked = mask_uri(uri)
    assert "hunter2" not in masked and MASK in masked
    assert masked.split("://")[0] == uri.split("://")[0]


def test_uris_without_password_are_untouched() -> None:
    for uri in ("mongodb://db:27017/x", "http://localhost:3000/health", "redis://cache"):
        assert mask_uri(uri) == uri


@pytest.mark.parametrize(
    "text",
    [
        "redis-server --requirepass hunter2 --appendonly yes",
        "mongosh -u admin --password=hunter2",
        "auth failed: password=hunter2, user=x",
        '{"password": "hunter2"}',
        "curl -H 'X-Api_Key: hunter2'",
        "connect to mongodb://a:hunter2@h/ failed",
    ],
)
def test_free_text_is_masked(text: str) -> None:
    assert "hunter2" not in mask_text(text)


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    assert "s3cretvalue" not in mask_text("odd place s3cretvalue here", ("s3cretvalue",))


@given(
    st.text(alphabet=st.characters(blacklist_characters="@/ \t\n", blacklist_categories=("Cs", "Cc", "Z")), min_size=4)
)
def test_no_password_in_a_uri_survives(secret: str) -> None:
    marked = f"Q{secret}Q"
    assert marked not in mask_text(f"mongodb://admin:{marked}@db:27017/shop failed")
