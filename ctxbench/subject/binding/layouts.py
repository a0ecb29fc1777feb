"""What a block's forward method may be given, the likeliest first: a map, tokens, a list of maps."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ctxbench.subject.binding import roles

if TYPE_CHECKING:
    from torch import nn

NCHW, TOKENS, NHWC, NCL, CLASS_TOKEN = "N C H W", "N (H W) C", "N H W C", "N C (H W)", "N (1 + H W) C"
ORDER = (NCHW, TOKENS, NHWC, NCL, CLASS_TOKEN)
"""Tokens before N H W C: a token block of linear layers and a soft-max over axis 1 takes an N H W C tensor
too, with the same MACs, and attends along H alone, which no count shows."""
PYRAMIDS = (2, 3, 4)
LONGEST_LIST = 4

LETTERS = {
    **dict.fromkeys(
        ("b", "n", "bs", "batch", "batch_size", "bsz", "num", "b_", "_b", "_", "m_batchsize", "bt"), "N"
    ),
    **dict.fromkeys(
        ("c", "ch", "channels", "channel", "dim", "d", "e", "embed_dim", "nc", "in_channels"), "C"
    ),
    **dict.fromkeys(("h", "height", "hh"), "H"),
    **dict.fromkeys(("w", "width", "ww"), "W"),
    **dict.fromkeys(
        ("l", "seq", "seq_len", "t", "hw", "num_tokens", "tokens", "n_tokens", "p", "length"), "L"
    ),
}


class Unknown(Exception):  # noqa: N818 - no error: a reason to ask
    """An argument of a forward method that nobody can make up; its message is the argument's name."""


def forward_parameters(module: nn.Module) -> list[inspect.Parameter] | None:
    """Those of a module's forward method; None where it has no signature that says anything."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return None
    return list(signature.parameters.values())


def candidates(module: nn.Module) -> list[str]:
    """Inputs to try, as :mod:`ctxbench.subject.interface` writes them.

    Raises Unknown where the forward method requires what cannot be made up.
    """
    parameters = forward_parameters(module)
    if not parameters or parameters[0].kind in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ):
        return [f"x: {layout}" for layout in ORDER]
    first, rest = parameters[0], parameters[1:]
    rest = [
        p for p in rest if p.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    layouts = list(ORDER)
    if hint := hinted(module, first.name):
        layouts.remove(hint)
        layouts.insert(0, hint)
    required = [p for p in rest if p.default is p.empty]
    rounds = [required]
    if optional := [p for p in rest if p.default is not p.empty and _fills_a_place(p.name)]:
        rounds.append([p for p in rest if p in required or p in optional])
    tensors = [_written(first.name, layout, chosen, layout) for chosen in rounds for layout in layouts]
    lists = [_written(first.name, maps, required, NCHW) for maps in _lists()]
    wants_list = any(word in str(first.annotation) for word in ("List", "list", "Sequence", "Tuple", "tuple"))
    first_lists = first.name in roles.LISTS or wants_list
    return [*lists, *tensors] if first_lists else [*tensors, *lists]


def _written(first: str, what: str, parameters: Sequence[inspect.Parameter], layout: str) -> str:
    """Inputs as text; an only one is called x, as in every context module."""
    further = _further(parameters, first, layout)
    return "; ".join([f"{first if further else 'x'}: {what}", *further])


def _lists() -> Iterator[str]:
    for length in range(1, LONGEST_LIST + 1):
        yield f"[{', '.join([NCHW] * length)}]"
    for length in PYRAMIDS:
        yield f"[{', '.join([NCHW, *(f'N C H/{2**level} W/{2**level}' for level in range(1, length))])}]"


def _fills_a_place(name: str) -> bool:
    """Whether an optional argument says the map's sides, or is once more what went in."""
    return name in roles.PAIR or name in roles.SAME_AS_FIRST or name in ("H", "W")


def _further(parameters: Sequence[inspect.Parameter], first: str, layout: str) -> list[str]:
    """The arguments after the first. Raises Unknown for one that cannot be made up."""
    names = {p.name for p in parameters}
    items = []
    for parameter in parameters:
        name = parameter.name
        by_keyword = parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
        if name in ("H", "W") or (name in ("h", "w", "height", "width") and _paired(name, names)):
            value = name[0].upper()
            items.append(f"{name}={value}" if by_keyword else value)
        elif name in roles.PAIR:
            items.append(f"{name}=(H, W)")
        elif roles.NOTHING.fullmatch(name):
            items.append(f"{name}=None")
        elif name in roles.SAME_AS_FIRST:
            items.append(f"{name}: {first}")
        elif roles.MAP_AGAIN.fullmatch(name):
            items.append(f"{name}: {layout}")
        else:
            raise Unknown(name)
    return items


def _paired(name: str, names: set[str]) -> bool:
    return any(name in pair and names.issuperset(pair) for pair in (("h", "w"), ("height", "width")))


def hinted(module: nn.Module, first: str) -> str | None:
    """The layout that the forward method's source says, by unpacking its input's shape or rearranging it."""
    try:
        source = textwrap.dedent(inspect.getsource(type(module).forward))
    except (OSError, TypeError, AttributeError):  # a scripted module's class has no forward of its own
        return None
    name = re.escape(first)
    unpacked = re.search(
        rf"^\s*\(?([\w*]+(?:\s*,\s*[\w*]+){{2,3}})\)?\s*=\s*{name}\.(?:shape|size\(\))\s*(?:#.*)?$",
        source,
        re.M,
    )
    rearranged = re.search(rf"rearrange\(\s*{name}\s*,\s*f?[\"']([^\"'()]+?)\s*->", source)
    words: list[str] = []
    if unpacked:
        words = [word.strip().lower() for word in unpacked[1].split(",")]
    elif rearranged:
        words = rearranged[1].split()
    if re.search(rf"\b{name}\[:,\s*(?:0|:1|0:1|1:)\s*[],]", source) and len(words) in (0, 3):
        return CLASS_TOKEN  # it takes the first token apart
    match "".join(LETTERS.get(word, "?") for word in words):
        case letters if len(letters) == 4 and (letters[1] == "C" or letters[2:] == "HW"):
            return NCHW
        case letters if len(letters) == 4 and (letters[3] == "C" or letters[1:3] == "HW"):
            return NHWC
        case letters if len(letters) == 3 and letters[2] == "C":
            return TOKENS
        case letters if len(letters) == 3 and letters[1] == "C":
            return NCL
    return None


def layout_of(inputs: str) -> str:
    """The layout of the first tensor, which the output is looked for in."""
    first = re.search(r"(?:^|:)\s*\[?\s*([NCHW][^;,\]]*)", inputs.partition(";")[0])
    return first[1].strip() if first else NCHW


def is_map_in(layout: str, shape: tuple[int, ...], sizes: Mapping[str, int]) -> bool:
    """Whether a shape has the map's sides where the layout has them, whatever its channels are."""
    n, h, w = sizes["N"], sizes["H"], sizes["W"]
    match layout:
        case "N H W C":
            return len(shape) == 4 and shape[:3] == (n, h, w)
        case "N (H W) C":
            return len(shape) == 3 and shape[:2] == (n, h * w)
        case "N (1 + H W) C":
            return len(shape) == 3 and shape[:2] == (n, 1 + h * w)
        case "N C (H W)":
            return len(shape) == 3 and (shape[0], shape[2]) == (n, h * w)
    return len(shape) == 4 and (shape[0], *shape[2:]) == (n, h, w)


def channels_in(layout: str, shape: Sequence[int]) -> int:
    """The channels of a tensor in a layout."""
    return shape[-1] if layout.endswith(" C") else shape[1]
