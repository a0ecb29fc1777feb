"""What the commands of bad_inputs.toml name: runs, data sets, files, whole ones and damaged ones.

A damaged folder is named after what is wrong with it, and differs from a whole one in that alone.
"""

import json
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from synthetic import record, write_run
from untrained import make_data, make_run

from ctxbench.train.checkpoint import write_tensors

BLOCKS = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, gain=2.0):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.conv(x)


class RaisesInForward(Block):
    def forward(self, x):
        raise KeyError("two\\nlines of it")


class RaisesInConstructor(nn.Module):
    def __init__(self, channels):
        raise ZeroDivisionError("by channels")


class ReturnsText(Block):
    def forward(self, x):
        return "a text"


class ReturnsNothing(Block):
    def forward(self, x):
        pass


class NoForward(nn.Module):
    def __init__(self, channels):
        super().__init__()


class Quits(Block):
    def forward(self, x):
        raise SystemExit(7)


class Halves(Block):
    def forward(self, x):
        return x[..., ::2, ::2]


class Needs(Block):
    def forward(self, x):
        return self.conv(x) + self.bias


class NotAModule:
    def __init__(self, channels):
        pass


number = 3
"""
LINES = ("Lorem ipsum,", "no data at all")
FOREIGN = b"\x89\xff\x00\xfe" * 64
LONG = "n" * 300
"""A name longer than any file system takes."""
DEEP = "/".join(["d" * 100] * 60)
"""A path longer than any, of names that are not."""


class Harmful:
    """What torch.load must not build."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("code of a checkpoint was run",))


def bad_place(path: Path) -> Path:
    """Write all of it into an empty folder."""
    make_data(path / "data", ["sky", "sea", "sand"])
    shutil.copytree(path / "data" / "images" / "val", path / "data" / "images" / "train")
    shutil.copytree(path / "data" / "masks" / "val", path / "data" / "masks" / "train")
    make_run(path / "run", path / "data")
    make_run(path / "bare", path / "data", context="none")
    (path / "block.py").write_text(BLOCKS)
    (path / "broken.py").write_text("class Block(:\n")
    (path / "missing.py").write_text("import nowhere_to_be_found\n")
    (path / "falls.py").write_text("raise RuntimeError('at import')\n")
    (path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (path / "binary.py").write_bytes(FOREIGN)
    (path / "empty").mkdir()
    (path / "empty.txt").write_text("")
    (path / "text.txt").write_text("\n".join(LINES))
    (path / "binary").write_bytes(FOREIGN)
    (path / "link").symlink_to("nowhere")
    (path / "loop").symlink_to("loop")
    _images(path)
    _tensor_files(path)
    _configs(path)
    _profiles(path)
    _trainings(path)
    _evaluations(path)
    _data_sets(path)
    return path


def _images(path: Path) -> None:
    whole = path / "data" / "images" / "val" / "0.png"
    shutil.copy(whole, path / "image.png")
    (path / "cut.png").write_bytes(whole.read_bytes()[:200])
    (path / "text.png").write_text("no image")
    (path / "empty.png").write_bytes(b"")
    (path / "folder.png").mkdir()
    (path / "header.png").write_bytes(_claiming(whole.read_bytes(), 60_000, 60_000))
    Image.fromarray(np.zeros((66, 70), np.uint8)).save(path / "mask.png")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(path / "small_mask.png")
    Image.fromarray(np.full((66, 70), 77, np.uint8)).save(path / "foreign_mask.png")
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(path / "pixel.png")


def _claiming(png: bytes, width: int, height: int) -> bytes:
    """The file, but for the size that its header claims."""
    import zlib

    header = png[12:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def _tensor_files(path: Path) -> None:
    whole = (path / "run" / "last.ckpt").read_bytes()
    (path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (path / "tail.pth").write_bytes(whole[len(whole) // 2 :])
    (path / "text.pth").write_text("no weights")
    (path / "empty.pth").write_bytes(b"")
    (path / "harmful.pth").write_bytes(pickle.dumps(Harmful()))
    (path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    (path / "huge.safetensors").write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}")
    for name, content in {
        "list": [1, 2],
        "number": 3,
        "no_tensors": {"state_dict": {"conv1.weight": "a text"}},
        "nothing": {},
        "other_keys": {f"layer{i}.thing": torch.zeros(2) for i in range(5)},
        "whole_module": torch.nn.Linear(2, 2),
        "one_wrong_shape": {"conv1.weight": torch.zeros(3, 3)},
    }.items():
        torch.save(content, path / f"{name}.pth")


def _configs(path: Path) -> None:
    for name, text in {
        "broken": "lr = = 3",
        "unknown": "learning_rate = 1.0",
        "table": "[lr]\nvalue = 1",
        "text_rate": "lr = 'fast'",
        "twice": "lr = 1\nlr = 2",
        "both": "epochs = 3\niterations = 4",
        "list": "dataset = ['voc12', 'coco']",
        "backwards": "scale = [2.0, 0.5]",
        "three": "scale = [1.0, 2.0, 3.0]",
        "date": "context_options = {since = 1979-05-27}",
    }.items():
        (path / f"{name}.toml").write_text(text)
    (path / "binary.toml").write_bytes(FOREIGN)
    (path / "folder.toml").mkdir()


def _profiles(path: Path) -> None:
    """Runs of profile. Their records lie open: what is damaged is a line of them, or of the plan."""
    whole = write_run(path / "profiled", [record("reconet"), record("emau"), record("nonlocal")])
    write_run(path / "unmeasured", [record("reconet", status="crashed", reason="SIGSEGV", rounds_ms=[])])
    write_run(path / "elsewhere", [record("reconet", 32, 32)])

    def damaged(name: str, change: Callable[[Path], None]) -> None:
        shutil.copytree(whole, path / name)
        change(path / name)

    def plan(**changes: Any) -> Callable[[Path], None]:
        return lambda folder: _edit_json(folder / "run.json", changes)

    def line(number: int, **changes: Any) -> Callable[[Path], None]:
        return lambda folder: _edit_line(folder / "records.jsonl", number, changes)

    def text(name: str, content: bytes) -> Callable[[Path], None]:
        return lambda folder: _replaced(folder / name, content)

    damaged("plan_empty", text("run.json", b""))
    damaged("plan_cut", lambda folder: _cut_behind(folder / "run.json", b'"layout"'))
    damaged("plan_list", text("run.json", b"[1, 2]"))
    damaged("plan_binary", text("run.json", FOREIGN))
    damaged("plan_deep", text("run.json", b"[" * 100_000))
    damaged("plan_folder", lambda folder: _folder_instead(folder / "run.json"))
    damaged("plan_later", plan(schema_version=999))
    damaged("plan_no_version", plan(schema_version=None))
    damaged("plan_no_cases", plan(cases=3))
    damaged("plan_case_text", plan(cases=["reconet"]))
    damaged("plan_case_unknown", plan(cases=[{"module": "reconet", "colour": "red"}]))
    damaged("plan_bad_budget", plan(settings={"budget_s": "long"}))
    damaged("plan_negative_budget", plan(settings={"budget_s": -1.0}))
    damaged("plan_unknown_field", plan(weather="fine"))
    damaged("plan_environment", plan(environments=[1]))
    damaged("plan_ceilings", plan(ceilings={"cpu": {"float32": {"gemm_gflops": "many"}}}))
    damaged("record_cut", lambda folder: _cut_line(folder / "records.jsonl", 0))
    damaged("record_text", line(1, macs="many"))
    damaged("record_negative", line(1, rounds_ms=[[-1.0, 2.0]]))
    damaged("record_no_case", line(0, case=None))
    damaged("record_list", lambda folder: _set_line(folder / "records.jsonl", 1, "[]"))
    damaged("record_later", line(2, schema_version=999))
    damaged("record_unknown", line(2, weather="fine"))
    damaged("record_status", line(2, status="splendid"))
    damaged("record_binary", text("records.jsonl", FOREIGN + b"\n" + FOREIGN + b"\n"))
    damaged("records_folder", lambda folder: _folder_instead(folder / "records.jsonl"))
    damaged("journal_text", text("journal.jsonl", b"not JSON\nat all\n"))
    damaged("journal_no_case", text("journal.jsonl", b'{"case_id": "nobody", "round_ms": [1.0]}\n'))
    damaged("journal_negative", text("journal.jsonl", b'{"case_id": "x", "round_ms": [-1.0]}\n'))
    damaged("journal_fields", text("journal.jsonl", b'{"case_id": 7}\n'))


def _trainings(path: Path) -> None:
    """Runs of train, in whose checkpoints or settings something is wrong."""
    whole = torch.load(path / "run" / "last.ckpt", weights_only=True)

    def damaged(name: str, **changes: Any) -> Path:
        folder = path / name
        shutil.copytree(path / "run", folder)
        write_tensors(folder / "last.ckpt", {**whole, **changes})
        (folder / "best.ckpt").unlink()
        os.link(folder / "last.ckpt", folder / "best.ckpt")
        return folder

    def instead(name: str, content: bytes | None, file: str = "last.ckpt") -> None:
        folder = damaged(name)
        for one in {file, "best.ckpt" if file == "last.ckpt" else file}:
            if content is None:
                _folder_instead(folder / one)
            else:
                (folder / one).write_bytes(content)

    def config(name: str, **changes: str) -> None:
        file = damaged(name) / "config.toml"
        lines = [line for line in file.read_text().splitlines() if line.partition(" = ")[0] not in changes]
        file.write_text("\n".join([*(f"{key} = {value}" for key, value in changes.items()), *lines]))

    model = whole["model"]
    damaged("iteration_text", iteration="seven")
    damaged("iteration_negative", iteration=-1)
    damaged("iteration_late", iteration=10**9)
    damaged("iteration_real", iteration=7.5)
    damaged("iteration_none", iteration=None)
    damaged("samples_other", samples=999)
    damaged("classes_other", classes=["sky", "ice", "sand"])
    damaged("classes_fewer", classes=["sky", "sea"])
    damaged("classes_numbers", classes=[1, 2, 3])
    damaged("optimizer_list", optimizer=[])
    damaged("optimizer_adam", optimizer={"state": {0: {"exp_avg": torch.zeros(1)}}, "param_groups": [{}]})
    damaged("optimizer_text", optimizer={"state": "lost", "param_groups": "lost"})
    damaged("weights_fewer", model=OrderedDict(list(model.items())[5:]))
    damaged("weights_text", model="none")
    damaged("weights_shape", model={key: value[:1] for key, value in model.items() if value.ndim})
    damaged("config_digest", config="0123456789ab")
    torch.save(torch.zeros(3), damaged("tensor") / "last.ckpt")
    instead("checkpoint_cut", (path / "run" / "last.ckpt").read_bytes()[:5000])
    instead("checkpoint_empty", b"")
    instead("checkpoint_text", b"no weights")
    instead("checkpoint_harmful", pickle.dumps(Harmful()))
    instead("checkpoint_folder", None)
    instead("settings_empty", b"", "config.toml")
    instead("settings_binary", FOREIGN, "config.toml")
    instead("settings_folder", None, "config.toml")
    config("settings_unknown", learning_rate="1.0")
    config("settings_model", model='"unet"')
    config("settings_context", context='"nonlocl"')
    config("settings_batch", batch="0")
    config("settings_root", root='"gone"')
    config("settings_dataset", dataset='"cityscapes"')
    config("settings_file", context='"gone.py:Block"')
    config("settings_channels", channels='"wide"')
    log = damaged("log_binary")
    (log / "train.csv").write_bytes(FOREIGN)
    (path / "nothing_trained").mkdir()
    shutil.copy(path / "run" / "config.toml", path / "nothing_trained")


def _evaluations(path: Path) -> None:
    """Folders of predictions, and evaluations that are damaged."""
    predictions = path / "predictions"
    predictions.mkdir()
    for file in sorted((path / "data" / "masks" / "val").iterdir()):
        shutil.copy(file, predictions)
    for name, change in {
        "predictions_fewer": lambda folder: (folder / "1.png").unlink(),
        "predictions_cut": lambda folder: _cut(folder / "1.png"),
        "predictions_small": lambda folder: shutil.copy(path / "small_mask.png", folder / "1.png"),
        "predictions_foreign": lambda folder: shutil.copy(path / "foreign_mask.png", folder / "1.png"),
        "predictions_colour": lambda folder: shutil.copy(path / "image.png", folder / "1.png"),
    }.items():
        shutil.copytree(predictions, path / name)
        change(path / name)
    for name, content in {
        "metrics_empty": "",
        "metrics_list": "[]",
        "metrics_text": "not JSON",
        "metrics_fields": '{"dataset": "voc12"}',
        "metrics_binary": "\x00\x01",
    }.items():
        (path / name).mkdir()
        (path / name / "metrics.json").write_text(content)


def _data_sets(path: Path) -> None:
    whole = path / "data"

    def damaged(name: str, change: Callable[[Path], object]) -> None:
        shutil.copytree(whole, path / name)
        change(path / name)

    def mask(content: np.ndarray[Any, Any]) -> Callable[[Path], object]:
        return lambda folder: Image.fromarray(content).save(folder / "masks" / "val" / "1.png")

    def classes(text: bytes) -> Callable[[Path], object]:
        return lambda folder: (folder / "classes.txt").write_bytes(text)

    damaged("no_masks", lambda folder: shutil.rmtree(folder / "masks"))
    damaged("no_images", lambda folder: shutil.rmtree(folder / "images"))
    damaged("one_mask_missing", lambda folder: (folder / "masks" / "val" / "1.png").unlink())
    damaged("no_val", lambda folder: [shutil.rmtree(folder / kind / "val") for kind in ("images", "masks")])
    damaged("image_cut", lambda folder: _cut(folder / "images" / "val" / "0.png"))
    damaged("image_text", lambda folder: _replaced(folder / "images" / "val" / "0.png", b"no image"))
    damaged("image_empty", lambda folder: _replaced(folder / "images" / "val" / "0.png", b""))
    damaged(
        "image_huge", lambda folder: shutil.copy(path / "header.png", folder / "images" / "val" / "0.png")
    )
    damaged("mask_cut", lambda folder: _cut(folder / "masks" / "val" / "1.png"))
    damaged("mask_size", mask(np.zeros((9, 9), np.uint8)))
    damaged("mask_values", mask(np.full((66, 70), 200, np.uint8)))
    damaged("mask_colour", mask(np.full((66, 70, 3), 90, np.uint8)))
    damaged("mask_wide", mask(np.full((66, 70), 40_000, np.uint16)))
    damaged("mask_folder", lambda folder: _folder_instead(folder / "masks" / "val" / "1.png"))
    damaged("classes_empty", classes(b""))
    damaged("classes_twice", classes(b"sky\nsky\nsand\n"))
    damaged("classes_one", classes(b"sky\n"))
    damaged("classes_binary", classes(FOREIGN))
    damaged("classes_folder", lambda folder: _folder_instead(folder / "classes.txt"))
    damaged("two_readings", lambda folder: [_two_values(folder), classes(b"other\nthing\n")(folder)])
    damaged(
        "list_missing", lambda folder: (folder / "val.txt").write_text("images/val/9.png masks/val/9.png\n")
    )
    damaged("list_binary", lambda folder: (folder / "val.txt").write_bytes(FOREIGN))
    damaged("list_empty", lambda folder: (folder / "val.txt").write_text("\n"))
    (path / "voc" / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation").mkdir(parents=True)


def _two_values(folder: Path) -> None:
    for file in (folder / "masks").rglob("*.png"):
        values = np.asarray(Image.open(file))
        Image.fromarray(np.where(values > 0, 255, 0).astype(np.uint8)).save(file)


def _edit_json(path: Path, changes: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _edit_line(path: Path, number: int, changes: Mapping[str, Any]) -> None:
    line = json.loads(path.read_text().splitlines()[number])
    _set_line(path, number, json.dumps({**line, **changes}))


def _set_line(path: Path, number: int, line: str) -> None:
    lines = path.read_text().splitlines()
    lines[number] = line
    path.write_text("\n".join(lines) + "\n")


def _cut_line(path: Path, number: int) -> None:
    _set_line(path, number, path.read_text().splitlines()[number][:100])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_behind(path: Path, key: bytes) -> None:
    path.write_bytes(path.read_bytes().partition(key)[0] + key)


def _replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
