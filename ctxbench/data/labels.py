"""What the numbers or colours in the masks of one's own folder mean: decided once, for the set as a whole.

The rule, in the order in which it is tried (docs/data.md has examples):

1. Colours of a class list decide where the masks hold them, palettes included. Otherwise masks hold numbers:
   a grey, or the index of a palette.
2. A class list of names numbers them from 0. Values that do not fit that are the classes in ascending order
   if there are as many as names, and count from 1 if they are 1 to the number of names.
3. Without a class list, the classes are the numbers up to the largest, from 0 or else from 1; but if that is
   more than four times as many as occur, then those that do. Of masks in colours, the colours that occur.
4. 255 is ignored, unless the list has it, or 0 and 255 are all there is.
5. Where another reading is as good, the set is refused, with the lines that would settle it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctxbench.data.class_lists import ClassList, Label, find_class_list
from ctxbench.data.dataset import IGNORE, VOID_COLOUR, ReadAs, colormap, ranges
from ctxbench.data.open_readings import (
    beyond_the_list,
    blended_colours,
    class_or_ignored,
    common,
    from_0_or_1,
    in_order_or_strays,
    refuse_blends,
    sparse,
    text,
    two_indices_of_a_colour,
    unlisted_colours,
)
from ctxbench.data.survey import Survey, Tally, lossy_masks, pack, survey, unpack
from ctxbench.errors import UserError

STRAY = 0.01
"""Values with less than this share of 255's pixels may be strays beside it."""


@dataclass(frozen=True)
class Decision:
    """The classes of a set, how its masks are read, and why, in words."""

    labels: tuple[Label, ...]
    read_as: ReadAs
    meaning: str


def label_layout(root: Path, masks: Iterable[Path]) -> dict[str, Any]:
    """The classes of a folder, as the keywords :class:`SegmentationSet` takes.

    Raises UserError where a class list cannot be read, masks are JPEGs (unless the list gives ranges of
    values), masks mix numbers with colours, or two readings are open: with the lines that decide.
    """
    masks = list(masks)
    classes = find_class_list(root)
    has_ranges = classes is not None and any(len(label.codes) > 1 or label.rest for label in classes.labels)
    if not has_ranges and (lossy := [path for path in lossy_masks(masks) if path.suffix.lower() != ".webp"]):
        raise UserError(
            f"{lossy[0]} is a mask saved as JPEG, which changes its labels: save masks as PNG, or give each "
            f"class a range of values in {root / 'classes.txt'}: '0-127 background', '128-255 figure'"
        )
    content = survey(masks)
    return _keywords(decide(root, classes, content), content)


def decide(root: Path, classes: ClassList | None, masks: Survey) -> Decision:
    """What the masks of a set mean by a class list, or by none. Raises UserError where that is open."""
    if classes is not None and classes.has_colours:
        return _listed_colours(root, classes, masks)
    if masks.coloured and classes is None:
        return _occurring_colours(root, masks)
    if masks.coloured and classes is not None:
        first = f"{text(common(masks.colours)[0])} {classes.labels[0].name}"
        raise UserError(
            f"{root}: the masks hold colours, and {classes.path} states none: begin each line with one, "
            f"'{first}'"
        )
    if error := two_indices_of_a_colour(root, masks):
        raise error
    numbers, ending = masks.numbers, ""
    if masks.palettes.get(IGNORE) == {VOID_COLOUR}:
        numbers, ending = numbers.without(IGNORE), f"; {IGNORE} has the colour of VOC's ignored borders"
    if classes is None:
        decision = _occurring_numbers(root, numbers)
    else:
        decision = _listed_numbers(root, classes, numbers)
    return replace(decision, meaning=decision.meaning + ending)


def _occurring_numbers(root: Path, numbers: Tally) -> Decision:
    """Without a class list: numbers counted up from 0 or 1, or values far apart; and 255 beside them."""
    values = sorted(numbers.pixels)
    others = [value for value in values if value != IGNORE]
    if len(values) > IGNORE and values[-1] > IGNORE:
        raise UserError(
            f"{root}: 1 to {IGNORE} classes fit a mask, not {len(values)}, and so many values occur in the "
            f"masks: name those that are classes in {root / 'classes.txt'}, in each line a value and its name"
        )
    refuse_blends(root, None, numbers)
    ending = ""
    if IGNORE in values and others != [0]:
        if len(others) < 2 or sparse(others) or _stray(numbers):
            raise class_or_ignored(root, numbers, ())
        ending = f"; {IGNORE} is ignored"
    elif IGNORE in values:
        others = values  # black and white
    if sparse(others):
        meaning = f"no class list: the values that occur, {ranges(others)}, are the classes{ending}"
    else:
        # from 0, or from 1 where that is the first; a class that has no pixel yet keeps its number
        others = [*range(others[0] == 1, others[-1] + 1)] if others else [0]
        meaning = f"no class list: the numbers {ranges(others)} are the classes{ending}"
    return Decision(tuple(Label(str(value), (value,)) for value in others), "numbers", meaning)


def _listed_numbers(root: Path, classes: ClassList, numbers: Tally) -> Decision:
    """The values that a list states, or that its line numbers, or else the order of its lines, give."""
    labels, values = classes.labels, sorted(numbers.pixels)
    listed = {code for label in labels for code in label.codes}
    others = [value for value in values if value != IGNORE]
    ignores = IGNORE in values and IGNORE not in listed
    ending = f"; {IGNORE} is ignored" if ignores else ""
    how = "states the values" if classes.states_values else "numbers the classes"
    as_listed = Decision(labels, "numbers", f"{classes.path.name} {how}{ending}")
    if not values or any(label.rest for label in labels):
        return as_listed
    named = [label for label in labels if label.codes]  # labelme's first line has no value
    if not classes.states_values and len(values) == len(named) and not {*values} <= listed:
        return _in_order(root, classes, numbers, named)
    unused = [label for label in labels if not label.ignored and not {*label.codes} & {*values}]
    solid = [value for value in values if value not in numbers.edge_values()]
    one_for_each = unused and len(named) in (2, len(values), len(solid))
    if ignores and (others in ([], [0]) or one_for_each or _stray(numbers)):
        refuse_blends(root, classes, numbers)
        raise class_or_ignored(root, numbers, labels)
    count = len(named)
    if not classes.states_values and others and {*others} <= {*range(1, count + 1)}:
        if count not in others and len(named) == len(labels) and not classes.numbers_from_0:
            raise from_0_or_1(root, classes, numbers)
        if count in others:
            shifted = tuple(replace(label, codes=(place,)) for place, label in enumerate(named, 1))
            return Decision(shifted, "numbers", f"{classes.path.name} names the values 1 to {count}{ending}")
    misfits = numbers.masks.total() - numbers.fitting({*listed, IGNORE})
    # 0 to K for K names: either 0 has none, or K is wrong; in one mask alone, the mask is
    from_one = not classes.states_values and 0 in others and max(others) == count and misfits > 1
    if from_one or misfits * 2 >= numbers.masks.total():
        refuse_blends(root, classes, numbers)
        raise beyond_the_list(root, classes, numbers)
    return as_listed


def _in_order(root: Path, classes: ClassList, numbers: Tally, named: Sequence[Label]) -> Decision:
    """As many values as names: the classes in ascending order, if they are no line numbers."""
    values = sorted(numbers.pixels)
    by_line = {code for label in named for code in label.codes}
    scaled = [round(place * IGNORE / max(1, len(named) - 1)) for place in range(len(named))]
    if IGNORE in values and any(abs(value - step) > 1 for value, step in zip(values, scaled, strict=True)):
        raise class_or_ignored(
            root, numbers, classes.labels
        )  # the last class of those that occur, or ignored
    refuse_blends(root, classes, numbers)
    from_one = values == [*range(1, len(named) + 1)]
    if numbers.edge_values() or not (from_one or by_line.intersection(values) <= {0}):
        raise in_order_or_strays(root, classes, numbers, named)
    labels = tuple(replace(label, codes=(value,)) for label, value in zip(named, values, strict=True))
    meaning = f"{classes.path.name} names the values {ranges(values)}, in this order"
    return Decision(labels, "numbers", meaning)


def _stray(numbers: Tally) -> bool:
    """Whether all values but 0 and 255 are few beside 255, or lie along edges: 255 may be the class then."""
    others = {value: count for value, count in numbers.pixels.items() if value not in (0, IGNORE)}
    few = sum(others.values()) < STRAY * numbers.pixels[IGNORE]
    return bool(others) and (few or {*others} <= {*numbers.edge_values()})


def _listed_colours(root: Path, classes: ClassList, masks: Survey) -> Decision:
    """By colour where the masks hold the list's colours, else by the numbers of its lines."""
    listed = {pack(label.colour) for label in classes.labels if label.colour} | {pack(VOID_COLOUR)}
    by_colour = Decision(classes.labels, "colours", f"{classes.path.name} states the colours")
    fitting = masks.colours.fitting(listed)
    if fitting == masks.masks or any(label.rest for label in classes.labels):
        return by_colour
    numbered = tuple(label for label in classes.labels if label.codes)
    if numbered and not masks.coloured:
        without = tuple(replace(label, colour=None) for label in numbered)
        plain = ClassList(classes.path, without, numbers_from_0=True)
        by_number = _listed_numbers(root, plain, masks.numbers)
        codes = {code for label in by_number.labels for code in label.codes}
        if masks.numbers.fitting(codes | {IGNORE}) >= fitting:
            labels = (
                replace(label, colour=before.colour)
                for label, before in zip(by_number.labels, numbered, strict=True)
            )
            return replace(by_number, labels=tuple(labels))
    if fitting * 2 <= masks.masks:
        raise unlisted_colours(root, classes, masks, listed)
    return by_colour


def _occurring_colours(root: Path, masks: Survey) -> Decision:
    """Without a class list: the colours that occur, but for that of VOC's ignored borders."""
    if not masks.greys <= masks.coloured:
        raise UserError(
            f"{root}: some masks hold numbers and some colours: list name:red,green,blue in "
            f"{root / 'labelmap.txt'}"
        )
    if error := blended_colours(root, masks):
        raise error
    colours = sorted({*masks.colours.pixels} - {pack(VOID_COLOUR)})
    if len(colours) > IGNORE:
        raise UserError(
            f"{root}: the masks hold {len(colours)} colours: list those that are classes in "
            f"{root / 'labelmap.txt'}, name:red,green,blue in each line"
        )
    labels = tuple(Label(text(unpack(colour)), (), unpack(colour)) for colour in colours)
    return Decision(labels, "colours", "no class list: the colours that occur are the classes")


def _keywords(decision: Decision, masks: Survey) -> dict[str, Any]:
    """A decision as the keywords of :class:`SegmentationSet`."""
    kept = [label for label in decision.labels if not label.ignored]
    ignored = [label for label in decision.labels if label.ignored]
    pixels = masks.numbers.pixels
    listed = {code for label in decision.labels for code in label.codes}
    free = (code for code in range(1 << 16) if code not in listed)
    codes: list[int] = []
    also: dict[int, int] = {}
    for place, label in enumerate(kept):
        # a prediction is written in that value of its class which most pixels of the masks have
        code = max(label.codes, key=lambda code: pixels[code]) if label.codes else next(free)
        codes.append(code)
        also.update({other: place for other in label.codes if other != code})
    dropped = [code for label in ignored for code in label.codes]
    # what is written for ignored pixels must not be what the masks have for something else
    spare = max({*range(IGNORE + 1)} - {*codes, *also, *dropped} - ({*pixels} - {IGNORE}), default=IGNORE)
    colours = colormap(256)
    palette = [label.colour or colours[code % 256] for label, code in zip(kept, codes, strict=True)]
    void_colour = next(each for each in (VOID_COLOUR, (255, 255, 255), *colours) if each not in palette)
    rest = next((label for label in decision.labels if label.rest), None)
    return {
        "classes": [label.name for label in kept],
        "codes": codes,
        "palette": palette,
        "void": [spare, *dropped],
        "void_colours": [void_colour, *(label.colour for label in ignored if label.colour)],
        "also": also,
        "rest": None if rest is None else IGNORE if rest.ignored else kept.index(rest),
        "read_as": decision.read_as,
        "meaning": decision.meaning,
    }
