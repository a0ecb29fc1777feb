"""The refusals of masks that can be read in two ways: what is open, and what to write to decide it.

The lines to write are for ``classes.txt``, which goes before any other class list once they state values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from ctxbench.data.class_lists import ClassList, Label
from ctxbench.data.dataset import IGNORE, Colour, ranges
from ctxbench.data.survey import Survey, Tally, pack, unpack
from ctxbench.errors import UserError

SPARSE = 4
"""Values whose largest is more than so many times their number were not counted up from 0."""
COUNTED = 16
"""Below this, values that lie along edges only are more likely small objects than blends."""


def sparse(values: Sequence[int]) -> bool:
    """Whether ``values`` are too far apart to have been counted up from 0 or 1, as classes are."""
    return max(values, default=0) >= SPARSE * (len(values) + 1)


def refuse_blends(root: Path, classes: ClassList | None, numbers: Tally) -> None:
    """Raise UserError where values lie along edges only: masks that were resampled or anti-aliased."""
    blends, values = numbers.edge_values(), sorted(numbers.pixels)
    solid = [value for value in values if value not in blends]
    few = len(blends) < 2 and not sparse(values)
    if not blends or len(solid) == 1 or max(blends) < COUNTED or 2 * len(blends) < len(solid) or few:
        return
    solid = solid or [values[0], values[-1]]  # noise all over: at least the form of the lines
    names = [label.name for label in classes.labels] if classes else []
    if len(names) != len(solid):
        names = ["background", "figure"] if len(solid) == 2 else [f"class{value}" for value in solid]
    ends = [(low + high) // 2 for low, high in pairwise(solid)]
    starts, stops = [0, *(end + 1 for end in ends)], [*ends, max(IGNORE, values[-1])]
    lines = (f"{first}-{last} {name}" for first, last, name in zip(starts, stops, names, strict=True))
    raise UserError(
        f"{root}: {len(blends)} of the {len(values)} values in the masks lie along edges only "
        f"({100 * numbers.share(*blends):.1f} % of the pixels): blends of {ranges(solid)}, or classes. "
        f"For blends write in {root / 'classes.txt'}: {quoted(lines)}"
    )


def class_or_ignored(root: Path, numbers: Tally, labels: Sequence[Label]) -> UserError:
    """255 is a class, or it is ignored, and the masks do not tell which."""
    values = sorted({*numbers.pixels} - {IGNORE})
    names = {code: label.name for label in labels for code in label.codes}
    unused = [label.name for label in labels if not label.ignored and not {*label.codes} & {*values}]
    lines = [f"{value} {names.get(value, f'class{value}')}" for value in values]
    lines.append(f"{IGNORE} {unused[0] if unused else 'figure'}")
    shares = ", ".join(f"{value}: {100 * numbers.share(value):.2f} %" for value in (*values[:8], IGNORE))
    return UserError(
        f"{root}: {IGNORE} in the masks is a class, or it is ignored ({shares} of the pixels). Write in "
        f"{root / 'classes.txt'}: {quoted(lines)}, or '{IGNORE} ignored' as the last (and name a value "
        "that only strays ignored)"
    )


def from_0_or_1(root: Path, classes: ClassList, numbers: Tally) -> UserError:
    """Neither 0 nor the number of names occurs, so that the names may count from 0 or from 1."""
    lines = [
        [f"{place} {label.name}" for place, label in enumerate(classes.labels, start)] for start in (0, 1)
    ]
    return UserError(
        f"{root}: the masks hold {ranges(sorted(numbers.pixels))}, neither 0 nor {len(classes.labels)}, so "
        f"that the names of {classes.path} may count from 0 or from 1. Write in {root / 'classes.txt'}: "
        f"{lines[0]}; or: {lines[1]}"
    )


def in_order_or_strays(root: Path, classes: ClassList, numbers: Tally, named: Sequence[Label]) -> UserError:
    """There are as many values as names, but some are line numbers, or may be strays."""
    values = sorted(numbers.pixels)
    lines = [f"{value} {label.name}" for label, value in zip(named, values, strict=True)]
    return UserError(
        f"{root}: the masks hold {ranges(values)}, as many values as {classes.path} has names, but not its "
        f"line numbers: the classes in this order, or strays among them. Write in {root / 'classes.txt'}: "
        f"{quoted(lines)}, and '* ignored' if others are strays"
    )


def beyond_the_list(root: Path, classes: ClassList, numbers: Tally) -> UserError:
    """Most masks hold values that the class list has no class for."""
    listed = {code for label in classes.labels for code in label.codes}
    beyond = sorted({*numbers.pixels} - listed - {IGNORE})
    if beyond == [len(listed)] and not classes.states_values:  # 0 to K for K names: one value has no name
        lines = ["0 ignored", *(f"{place} {label.name}" for place, label in enumerate(classes.labels, 1))]
    else:
        lines = [f"{code} {label.name}" for label in classes.labels for code in label.codes[:1]]
        lines.append("* ignored")
    misfits = numbers.masks.total() - numbers.fitting({*listed, IGNORE})
    has = "it lists others" if classes.states_values else f"it numbers 0 to {len(listed) - 1}"
    return UserError(
        f"{root}: {misfits} of {numbers.masks.total()} masks hold {ranges(beyond)}, which {classes.path} has "
        f"no class for: {has}. Write in {root / 'classes.txt'}: {quoted(lines)}"
    )


def unlisted_colours(root: Path, classes: ClassList, masks: Survey, listed: set[int]) -> UserError:
    """Most masks hold colours that the class list does not have."""
    stray = next(colour for colour in common(masks.colours) if pack(colour) not in listed)
    line, rest = f"{text(stray)} NAME", "* ignored"
    if classes.path.name == "labelmap.txt":
        line, rest = f"NAME:{text(stray)}", "ignored:*"
    return UserError(
        f"{root}: {masks.masks - masks.colours.fitting(listed)} of {masks.masks} masks hold colours that "
        f"{classes.path} does not list, mostly {text(stray)}: add '{line}', or '{rest}' for all the others"
    )


def two_indices_of_a_colour(root: Path, masks: Survey) -> UserError | None:
    """Palettes that give a colour different indices in different masks; None where there are none.

    Programs that save colours with a palette of their own for each file do so. (Where an index has several
    colours but no colour several indices, the palettes are decoration.)
    """
    indices: dict[Colour, set[int]] = {}
    for index, colours in masks.palettes.items():
        for colour in colours:
            indices.setdefault(colour, set()).add(index)
    for colour, places in sorted(indices.items()):
        if len(places) > 1 and any(len(masks.palettes[index]) > 1 for index in places):
            return UserError(
                f"{root}: in the palettes of the masks the colour {text(colour)} has the index "
                f"{' or '.join(map(str, sorted(places)))}. If colours are the classes, list them in "
                f"{root / 'classes.txt'}, '{text(colour)} NAME'; if indices are, save the masks grey"
            )
    return None


def blended_colours(root: Path, masks: Survey) -> UserError | None:
    """Colours that lie along edges only: resampled or anti-aliased masks; None if there are none."""
    blends = masks.colours.edge_values(many=1 << 24)  # of many colours the number is said
    solid = [colour for colour in common(masks.colours) if pack(colour) not in blends]
    if not blends or not solid or 2 * len(blends) < len(solid):
        return None
    lines = [*(f"{text(colour)} class{place}" for place, colour in enumerate(solid)), "* ignored"]
    return UserError(
        f"{root}: {len(blends)} of the {len(masks.colours.pixels)} colours in the masks lie along edges only "
        f"({100 * masks.colours.share(*blends):.1f} % of the pixels): they are blends, or classes. Write in "
        f"{root / 'classes.txt'} those that are classes: {quoted(lines)}"
    )


def quoted(lines: Iterable[str]) -> str:
    """Lines to write, each quoted; of many, the first and the last."""
    each = [f"'{line}'" for line in lines]
    return ", ".join(each if len(each) <= 8 else [*each[:4], "…", each[-1]])


def text(colour: Colour) -> str:
    """A colour as class lists write it."""
    return "{},{},{}".format(*colour)


def common(colours: Tally) -> list[Colour]:
    """The colours of masks, those with most pixels first."""
    return [unpack(colour) for colour, _ in colours.pixels.most_common() if colour >= 0]
