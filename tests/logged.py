"""What W&B and MLflow have written of a run, read from the files they leave; no network, no server."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
WHOLE, LAST = 1, 4


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file: LevelDB's log format after seven bytes, a protocol buffer each."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, part = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        place += HEADER + length
        part += data[place - length : place]
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(part)
            part = b""
            yield record


def of_wandb(folder: Path) -> list[dict[str, Any]]:
    """The starts of the runs in a folder, in their order. Ends the process that writes their files first."""
    import wandb

    wandb.teardown()
    return [_start(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


def _start(path: Path) -> dict[str, Any]:
    """A start of a run: ``id``, ``config``, ``summary``, ``exit``, and ``steps``, the values of each."""
    found: dict[str, Any] = {"config": {}, "summary": {}, "steps": {}, "exit": None}

    def key(item: Any) -> str:
        return item.key or ".".join(item.nested_key)

    for record in wandb_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["id"] = record.run.run_id
            found["title"] = record.run.display_name
        for update in record.run.config.update if kind == "run" else record.config.update:
            found["config"][key(update)] = json.loads(update.value_json)
        for update in record.summary.update:
            found["summary"][key(update)] = json.loads(update.value_json)
        if kind == "history":
            values = {key(item): json.loads(item.value_json) for item in record.history.item}
            found["steps"].setdefault(values["_step"], {}).update(values)
        if kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


def of_mlflow(uri: str, run: str) -> dict[str, Any]:
    """A run: its ``params``, its ``status``, and of each metric its values by step."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_run(run)
    metrics = {
        name: {entry.step: entry.value for entry in client.get_metric_history(run, name)}
        for name in found.data.metrics
    }
    artifacts = [artifact.path for artifact in client.list_artifacts(run)]
    return {
        "params": found.data.params, "status": found.info.status, "metrics": metrics, "artifacts": artifacts,
        "title": found.info.run_name,
    }  # fmt: skip
