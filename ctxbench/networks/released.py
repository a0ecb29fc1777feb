"""Weights of whole networks, from the files of their authors and of mmsegmentation.

A head's class says in ``RELEASED`` how the releases name its modules, see
:class:`~ctxbench.networks.names.Names`; the backbone is found and named as in
:mod:`ctxbench.networks.weights`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ctxbench.errors import UserError
from ctxbench.networks.names import Names
from ctxbench.networks.network import Segmenter
from ctxbench.networks.weights import (
    ANCHOR,
    LoadReport,
    backbone_state,
    compare,
    differences,
    first,
    read_state,
    stem_hint,
)

FOR_TRAINING = ("auxiliary.", "head.context.presence.", "head.encoding.presence.")
"""What is no part of evaluation, and may be missing or left over."""


def load_network(network: Segmenter, path: str | Path) -> LoadReport:
    """Load a file of a whole network's weights, under the names of a release of it.

    What is for training alone may be in the file or the network only, or be of another shape. It then stays
    as it is, as does a classifier of another number of classes; the report has them.

    Raises UserError, and loads nothing, where the file cannot be read, is of no release that is known of this
    network, or differs from it by more than that and batch counters.
    """
    path = Path(path)
    whole, about = read_state(path)
    whole = {key.removeprefix("module."): value for key, value in whole.items()}
    known: tuple[Names, ...] = getattr(network.head, "RELEASED", ())
    names = max(known, key=lambda names: sum(bool(names.key(key)) for key in whole), default=None)
    if names is None or not any(map(names.key, whole)):
        releases = " or ".join(names.release for names in known) or "any release"
        raise UserError(
            f"{path} has no head of this network by the names of {releases}: {first(list(whole))}"
        )
    state, left = _ours(network, names, whole, path)
    report = replace(compare(network, state, about), names=names.release, note=_note(names, network))

    def may_differ(key: str) -> bool:
        return key.startswith(FOR_TRAINING)

    wrong = differences(
        [key for key in report.missing if not may_differ(key) and key not in names.absent],
        [*(key for key in report.unexpected if not may_differ(key)), *left],
        [
            shapes
            for shapes in report.mismatched
            if not may_differ(shapes[0]) and not _by_class(*shapes, network.classes)
        ],
    )
    if wrong:
        stems = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
        hint = stem_hint(network.backbone, stems)
        noted = f"; note that {names.note}" if names.note else ""
        raise UserError(
            f"{path}, by the names of {names.release}, does not fit this network{hint}: {wrong}{noted}"
        )
    network.load_state_dict({key: state[key] for key in report.matched}, strict=False)
    return report


def _ours(
    network: Segmenter, names: Names, whole: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """A release's tensors under our keys, and the keys that have no place among them."""
    named = {key: ours for key in whole if (ours := names.key(key))}
    others = {key: value for key, value in whole.items() if key not in named}
    body, prefix = backbone_state(others, path)
    has_body = ANCHOR in body
    left = [key for key in others if not (has_body and key.startswith(prefix))]
    state = {f"backbone.{key}": value for key, value in body.items() if has_body}
    for key, ours in named.items():
        state[ours] = whole[key]
    own = network.state_dict()
    for layer in names.zero:
        if (bias := f"{layer}.bias") in own:
            state.setdefault(bias, torch.zeros_like(own[bias]))
    if names.rewrite is not None:
        names.rewrite(state)
    return state, left


def _note(names: Names, network: Segmenter) -> str:
    """In what the release's network is another function than ours, though the keys are the same."""
    own = network.backbone.dilations
    if names.dilations is None or names.dilations[: len(own)] == own:
        return names.note
    dilated = f"its Res-5 is dilated by {list(names.dilations)}, here by {list(own)}"
    return "; ".join(filter(None, (names.note, dilated)))


def _by_class(key: str, stored: tuple[int, ...], wanted: tuple[int, ...], classes: int) -> bool:
    """Whether a classifier differs by having an output for each of another number of classes."""
    return "classify" in key.split(".") and stored[1:] == wanted[1:] and wanted[:1] == (classes,)
