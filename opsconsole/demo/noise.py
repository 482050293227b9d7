"""Numbers that wander like measurements and are the same at every run: pure functions of a key and a time."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

_MASK = (1 << 64) - 1
_DAY = 86_400.0

T = TypeVar("T")


def key_of(seed: int, *names: object) -> int:
    """A key for `mix`: Python's own hash of text differs from run to run."""
    return zlib.crc32("/".join(str(name) for name in (seed, *names)).encode()) << 20


def mix(key: int, step: int) -> int:
    """64 well mixed bits (the finaliser of SplitMix64)."""
    bits = (key + step * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def unit(key: int, step: int) -> float:
    """0 to 1."""
    return mix(key, step) / (_MASK + 1)


def wave(key: int, at: float, period: float) -> float:
    """-1 to 1, a smooth curve through a random point every `period` seconds."""
    whole = math.floor(at / period)
    part = at / period - whole
    part = part * part * (3 - 2 * part)
    low, high = mix(key, whole), mix(key, whole + 1)
    return (low + (high - low) * part) / (1 << 63) - 1


def walk(key: int, at: float, period: float) -> float:
    """-1 to 1, wandering on three scales of time."""
    return 0.6 * wave(key, at, period) + 0.28 * wave(key + 1, at, period / 5) + 0.12 * wave(key + 2, at, period / 31)


def business(at: float) -> float:
    """0 to 1: how busy the hour of the day is; quietest at 3, busiest at 15 o'clock UTC."""
    return 0.5 - 0.5 * math.cos((at / _DAY % 1 - 0.125) * 2 * math.pi)


def seconds(moment: datetime) -> float:
    return moment.timestamp()


class Dice:
    """A short run of choices, the same for the same bits."""

    __slots__ = ("_key", "_step")

    def __init__(self, key: int) -> None:
        self._key = key
        self._step = 0

    def below(self, limit: int) -> int:
        self._step += 1
        return mix(self._key, self._step) % limit

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, share: float) -> bool:
        return self.below(1_000_000) < share * 1_000_000

    def hex(self, length: int) -> str:
        self._step += 1
        return f"{mix(self._key, self._step):016x}"[:length]
