"""What a row leaves open, and the values and sizes that papers have for it: ``nonlocal(C, width=?)``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Any, get_args, get_type_hints

from ctxbench.counters import Shape
from ctxbench.errors import UserError
from ctxbench.subject import resolve
from ctxbench.subject.binding.roles import parameters, role_of
from ctxbench.subject.expression import evaluate, shown

FEATURE_CHANNELS, IMAGE_CHANNELS = 512, 3
MAX_CONFIGURATIONS = 200
UNKNOWN = re.compile(r"(?:(?P<name>\w+)\s*=\s*)?\?")
WIDTHS = ("C//2", "C//4", "C//8", "C//16", "C", "512", "256", "128", "64", "32")
CLASSES = ("19", "21", "59", "60", "150", "171", "1000")
BY_NAME: Sequence[tuple[re.Pattern[str], Sequence[str]]] = (
    (re.compile(r"(num_|n_)?heads?|groups?|num_groups"), ("1", "2", "4", "8", "16")),
    (re.compile(r"recurrence|repeats?|iterations?|steps?|stages?|depths?|layers?"), tuple("1234567")),
    (re.compile(r"(num_|n_)?classes"), CLASSES),
    (re.compile(r"reduction|ratio|(squeeze|sr)_ratio"), ("2", "4", "8", "16", "32")),
)
"""What an argument of such a name is tried with; any other that is a number is a width."""

FEATURES = ((64, 64), (65, 65), (96, 96), (97, 97), (128, 128), (60, 60), (64, 128), (128, 256))
IMAGES = (
    (224, 224), (256, 256), (384, 384), (512, 512), (513, 513), (640, 640),
    (512, 1024), (512, 2048), (1024, 2048),
)  # fmt: skip
"""(H, W) that papers use for features, and for images."""
RARER_FEATURES = ((7, 7), (14, 14), (28, 28), (32, 32), (56, 56))
RARER_IMAGES = (
    (160, 160), (192, 192), (288, 288), (320, 320), (448, 448), (480, 480), (768, 768), (769, 769),
    (800, 1280), (1024, 1024),
)  # fmt: skip
"""Those that some papers use: a step further than the others."""


def sizes(channels: int) -> Sequence[tuple[int, int]]:
    """Those that papers use for an input of so many channels: of an image, or of features."""
    return IMAGES if channels == IMAGE_CHANNELS else FEATURES


def other_sizes(channels: int, size: tuple[int, int]) -> dict[tuple[int, int], int]:
    """What an input may be instead of ``size``, each with its deviations: twice and half the sides too."""
    height, width = size
    usual = dict.fromkeys(
        (*sizes(channels), (2 * height, 2 * width), (max(1, height // 2), max(1, width // 2))), 2
    )
    rarer = dict.fromkeys(RARER_IMAGES if channels == IMAGE_CHANNELS else RARER_FEATURES, 3)
    return {other: usual.get(other, steps) for other, steps in (usual | rarer).items() if other != size}


def channels_of(subject: str) -> int:
    """Those of the input of a subject whose row says none: what its call says, 3 of a network, or 512.

    What takes no channels is a network where it has a convolution of 3. Raises UserError where there is no
    such subject.
    """
    target = resolve.load(UNKNOWN.sub(lambda mark: mark[0].replace("?", "C"), subject))
    try:
        taken = {} if target.is_instance else parameters(target.maker)
    except (TypeError, ValueError):  # it has no signature
        taken = {}
    name = next((name for name, p in taken.items() if role_of(name, p, taken) in ("in", "alone")), "")
    if not name:
        return IMAGE_CHANNELS if _takes_images(target) else FEATURE_CHANNELS
    said = target.given.get(name, taken[name].default)
    return int(shown(said)) if re.fullmatch(r"[1-9]\d*", shown(said)) else FEATURE_CHANNELS


def _takes_images(target: resolve.Target) -> bool:
    """Whether it has a convolution of 3 channels. Of what cannot be built, running it will say why."""
    from torch.nn.modules.conv import _ConvNd

    from ctxbench.subject.binding.attempts import TRIED
    from ctxbench.subject.binding.trial import built

    sizes = {"N": 1, "C": FEATURE_CHANNELS, "H": 64, "W": 64}
    try:
        module = built(target, target.given, sizes).module
    except TRIED:
        return False
    return any(isinstance(m, _ConvNd) and m.in_channels == IMAGE_CHANNELS for m in module.modules())


def configurations(subject: str, shape: Shape) -> list[str]:
    """The subjects that one with ``?`` may be, none twice. Raises UserError where there are too many."""
    unknown = list(UNKNOWN.finditer(subject))
    if not unknown:
        return [subject]
    choices = [_values(subject, mark) for mark in unknown]
    known: dict[tuple[Any, ...], str] = {}
    for values in product(*choices):
        text, end = "", 0
        for mark, value in zip(unknown, values, strict=True):
            text += subject[end : mark.end() - 1] + value
            end = mark.end()
        sizes = dict(zip("NCHW", shape, strict=True))
        # in a head, C is another number for the block than for the features
        same = values if subject.startswith("head(") else tuple(repr(evaluate(v, sizes)) for v in values)
        known.setdefault(same, text + subject[end:])
        if len(known) > MAX_CONFIGURATIONS:
            raise UserError(f"{subject}: over {MAX_CONFIGURATIONS} configurations; say more of them")
    return list(known.values())


def _values(subject: str, mark: re.Match[str]) -> Sequence[str]:
    """What an argument may be: what its type allows, or what its name says; by default a width."""
    name = mark["name"] or ""
    owner = _owner(subject, mark.start())
    try:
        maker = resolve.load(owner).maker
        is_switch = isinstance(parameters(maker)[name].default, bool)
        kind = get_type_hints(vars(maker).get("__init__", maker)).get(name)
    except (UserError, KeyError, NameError, TypeError, AttributeError):
        is_switch, kind = False, None
    if is_switch or kind is bool:
        return ("True", "False")
    if literal := get_args(kind) if "Literal" in str(kind) else ():
        return tuple(map(repr, literal))
    return next((values for pattern, values in BY_NAME if pattern.fullmatch(name)), WIDTHS)


def _owner(subject: str, place: int) -> str:
    """The name in front of the innermost bracket that is open at a place of the text."""
    depth = 0
    for i in range(place - 1, -1, -1):
        depth += (subject[i] == ")") - (subject[i] == "(")
        if depth < 0:
            return re.split(r"[(,=\s'\"]", subject[:i])[-1]
    return subject
