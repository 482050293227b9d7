"""What differs between two compose configurations, as an operator reads it."""

from __future__ import annotations

from typing import Any

from opsconsole.operations.compose_changes import changes

OLD: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {
            "image": "shop/web:1",
            "environment": {"LOG_LEVEL": "info", "DB_PASSWORD": "old-secret", "OLD": "1"},
            "ports": [{"target": 80, "published": "8080"}],
            "command": ["serve", "--password", "hunter22"],
        },
        "worker": {"image": "shop/worker:1"},
    },
    "volumes": {"data": {"name": "shop_data"}},
}
NEW: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {
            "image": "shop/web:2",
            "environment": {"LOG_LEVEL": "debug", "DB_PASSWORD": "new-secret", "API_TOKEN": "canary-1", "NEW": ""},
            "ports": [{"target": 80, "published": "9090"}],
            "command": ["--password", "hunter22", "serve"],
            "deploy": {"replicas": 2},
        },
        "cache": {"image": "redis:7"},
    },
    "volumes": {"data-2": {"name": "shop_data-2"}},
}


def lines(old: dict[str, Any], new: dict[str, Any], secrets: tuple[str, ...] = ()) -> list[str]:
    return [one.words() for one in changes(old, new, secrets)]


def test_every_kind_of_change_is_one_line() -> None:
    told = lines(OLD, NEW)
    assert "+ service cache = redis:7" in told
    assert "- service worker" in told
    assert "~ service web: image: shop/web:1 -> shop/web:2" in told
    assert "~ service web: environment.LOG_LEVEL: info -> debug" in told
    assert "- service web: environment.OLD (was 1)" in told
    assert '+ service web: environment.NEW = ""' in told
    assert '- service web: ports (was {"target": 80, "published": "8080"})' in told
    assert '+ service web: deploy = {"replicas": 2}' in told
    assert "+ volume data-2" in told and "- volume data" in told
    assert any(line.startswith("~ service web: command:") for line in told)  # the order of words says something


def test_no_secret_is_told() -> None:
    told = "\n".join(lines(OLD, NEW, ("hunter22",)))
    assert "~ service web: environment.DB_PASSWORD: ******** -> ********" in told
    assert "+ service web: environment.API_TOKEN = ********" in told
    for secret in ("old-secret", "new-secret", "canary-1", "hunter22"):
        assert secret not in told


def test_a_whole_new_environment_is_masked_too() -> None:
    told = lines({"services": {"a": {}}}, {"services": {"a": {"environment": {"MY_TOKEN": "canary-2", "B": "1"}}}})
    assert told == ['+ service a: environment = {"MY_TOKEN": ********, "B": "1"}']


def test_the_same_is_no_change() -> None:
    assert lines(OLD, OLD) == []


def test_control_characters_and_long_values_do_not_reach_the_screen() -> None:
    told = lines({"services": {"a": {"image": "x"}}}, {"services": {"a": {"image": "\x1b[31m" + "y" * 500}}})
    assert "\x1b" not in told[0] and len(told[0]) < 250
