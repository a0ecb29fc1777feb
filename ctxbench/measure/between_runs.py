"""What two runs differ by though nothing did, as ``ctxbench calibrate`` found it out on this machine.

Kept in the user's cache, a file for each environment: a run takes the number with it when it begins, so that
what is made of its records depends on them alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ctxbench.errors import UserError
from ctxbench.files import cache_folder, write_text, writing
from ctxbench.measure.environment import fingerprint
from ctxbench.typed import NotNegative, converted, json_value


@dataclass(frozen=True)
class _Kept:
    between_runs: NotNegative
    """As :func:`ctxbench.measure.stats.widened` takes it."""
    source: str = ""
    """The folder of the calibration."""
    environment: dict[str, Any] = field(default_factory=dict)


def remember(environment: Mapping[str, Any], between_runs: float, source: Path) -> Path:
    """Keep what a calibration in the folder ``source`` found, for runs that begin in this environment.

    Raises UserError where the user's cache cannot be written.
    """
    path = _file(environment)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    kept = _Kept(between_runs, str(source.resolve()), dict(environment))
    return write_text(path, json.dumps(asdict(kept), indent=1))


def recall(environment: Mapping[str, Any]) -> float | None:
    """What was kept for this environment; None where nothing was.

    Raises UserError where it cannot be read.
    """
    path = _file(environment)
    if not path.is_file():
        return None
    try:
        return converted(json_value(path.read_bytes()), _Kept).between_runs
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}; remove it, or run ctxbench calibrate again") from error


def _file(environment: Mapping[str, Any]) -> Path:
    return cache_folder("between_runs") / f"{fingerprint(dict(environment))}.json"
