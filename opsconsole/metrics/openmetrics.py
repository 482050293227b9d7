"""Measured values as OpenMetrics 1.0 text, for the textfile collector of node_exporter. Pure, but for `write`.

The numbers are those of the store in the base units of Prometheus: percent become ratios (0 to 1), everything else is
in bytes and seconds already. Names begin with `opsconsole_`, and each sample has the label `stack`.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from opsconsole.durable import sync_directory, write_all
from opsconsole.metrics.catalogue import MEASURES, Kind, Measure
from opsconsole.metrics.records import Value
from opsconsole.model import SourceError

_UNITS = ("seconds", "bytes", "ratio")
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def exposition(values: Sequence[Value], stack: str, at: datetime) -> str:
    """The text, ended by `# EOF`. Values of which the catalogue knows nothing are left out."""
    by_name: dict[str, list[Value]] = {}
    for value in values:
        if math.isfinite(value.value):
            by_name.setdefault(value.name, []).append(value)
    lines: list[str] = []
    for name, measure in MEASURES.items():
        if name in by_name:
            lines += _family(measure, by_name[name], stack)
    family = "opsconsole_sample_timestamp_seconds"
    lines += [f"# TYPE {family} gauge", f"# UNIT {family} seconds", f"# HELP {family} When this was measured."]
    lines.append(f"{family}{_labels([('stack', stack)])} {at.timestamp():.3f}")
    return "\n".join((*lines, "# EOF", ""))


def write(path: Path, text: str) -> None:
    """Put the text in the place of the file, by one rename: a reader finds the old one or the new one, never a half.

    Raises SourceError. The file may be read by everybody, as node_exporter runs as another user.
    """
    # The textfile collector reads every *.prom: a file that is being written must not be one.
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.fchmod(fd, 0o644)
            write_all(fd, text.encode("utf-8", "replace"))
            os.fsync(fd)
        finally:
            os.close(fd)
        new.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise SourceError(f"{path} was not written: {error.strerror}", "--prometheus takes a file, *.prom.") from None


def _family(measure: Measure, values: Iterable[Value], stack: str) -> list[str]:
    scale = 0.01 if measure.name.endswith("_percent") else 1.0
    name = "opsconsole_" + re.sub("_percent$", "_ratio", measure.name)
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
    if name.endswith("_per_second"):  # a unit of its own: Prometheus has none for it
        unit = ""
    lines = [f"# TYPE {name} {measure.kind.value}"]
    lines += [f"# UNIT {name} {unit}"] if unit else []
    lines.append(f"# HELP {name} {measure.help}")
    suffix = "_total" if measure.kind is Kind.COUNTER else ""
    # The name of an endpoint may be there twice: a series may not, and the last one counts.
    samples = {_labels([("stack", stack), *value.labels]): value.value * scale for value in values}
    return [*lines, *(f"{name}{suffix}{labels} {_number(value)}" for labels, value in samples.items())]


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    found = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in pairs)
    return f"{{{found}}}" if found else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1 << 53 else repr(round(value, 9))
