"""What to say where a block cannot be bound: what is missing, which default does not fit, what failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from ctxbench.errors import UserError, ValuesNeededError, in_one_line, in_users_code
from ctxbench.subject import resolve
from ctxbench.subject.binding import roles
from ctxbench.subject.binding.candidates import Slot, combinations
from ctxbench.subject.expression import is_expression, shown

if TYPE_CHECKING:
    from ctxbench.subject.binding.attempts import Search
    from ctxbench.subject.binding.trial import Sizes
    from ctxbench.subject.bound import Binding

MAX_EXAMPLES, MAX_FILLINGS = 160, 12


def asks_for(search: Search, missing: list[Slot], others: list[Slot], sizes: Sequence[Sizes]) -> UserError:
    """All the arguments that have to be given, with an example that was tried."""
    name = resolve.label(search.target.subject)
    needed = _listed([slot.name for slot in missing])
    example = next(_examples(search, missing, others, sizes), None)
    if example is None:
        hint = " ".join(f"-o {slot.name}=VALUE" for slot in missing)
        if search.unknown_input:
            hint += f", and --inputs, such as {_with_unknown(search)}"
        reason = next(iter(search.failures.values()), search.failed_build)
        tried = f" (the examples tried did not run: {_why(reason)})" if reason else ""
        return ValuesNeededError(f"{name} needs {needed}: give {hint}{tried}")
    options = tuple(f"{key}={_typed(value)}" for key, value in example.items())
    text = " ".join(f"-o {shlex.quote(option)}" for option in options)
    only = "this runs; it is" if len(options) == 1 else "these run; they are"
    besides = [key for key in example if key not in [slot.name for slot in missing]]
    misfit = f", and a {besides[0]} that fits" if besides else ""
    return ValuesNeededError(
        f"{name} needs {needed}{misfit}; for example {text} ({only} not the authors' choice)", options
    )


def _examples(
    search: Search, missing: list[Slot], others: list[Slot], sizes: Sequence[Sizes]
) -> Iterator[dict[str, Any]]:
    """Values for the missing arguments with which the block runs, the likeliest first.

    Where none do, also a value for one argument whose default may not fit the map.
    """
    fillings = [dict(filling) for filling in islice(combinations(others), MAX_FILLINGS)]
    examples = list(islice(_fillings(missing), MAX_EXAMPLES))
    plain = [(filling, example) for filling in fillings[:3] for example in examples]
    plain += [(filling, example) for filling in fillings[3:] for example in examples[:6]]
    first = fillings[0] if fillings else {}
    changed = [
        (first, {**example, key: value})
        for key in _misfits(search, [slot.name for slot in missing])
        for value in (*roles.suggestions(key)[:3], *roles.LAST_RESORTS[:3])
        for example in examples[:4]
    ]
    without_map: list[dict[str, Any]] = []
    for candidates in (plain, changed):
        for at in sizes:
            for filling, example in candidates:
                if search.is_over:
                    break
                ran = search.attempt({**filling, **example}, at)
                if ran is not None and not search.runs_as_asked({**filling, **example}, ran):
                    continue
                if ran is not None and ran.is_map:
                    yield example
                elif ran is not None:
                    without_map.append(example)
        yield from without_map


def _misfits(search: Search, taken: Sequence[str]) -> Iterator[str]:
    """Arguments left to a default that may not fit a map."""
    for key, parameter in roles.parameters(search.target.maker).items():
        is_free = key not in taken and key not in search.given and not roles.is_required(parameter)
        if is_free and (roles.MISFITS.fullmatch(key) or _is_a_number_to_be(key, parameter.default)):
            yield key


def _is_a_number_to_be(key: str, default: Any) -> bool:
    """Whether a default of None stands for one of two alternatives, of which one has to be given."""
    return default is None and any(isinstance(value, int) for value in roles.suggestions(key)[:1])


def _fillings(missing: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    """Suggested values of all the arguments together, those with the fewest departures first."""
    values = [_to_try(slot) for slot in missing[:5]]
    ranked = sorted(
        product(*(range(len(options)) for options in values)), key=lambda choice: (sum(choice), max(choice))
    )
    for choice in ranked:
        filling = {
            slot.name: options[index] for slot, options, index in zip(missing, values, choice, strict=False)
        }
        yield filling | {slot.name: _to_try(slot)[0] for slot in missing[5:]}


def _to_try(slot: Slot) -> tuple[Any, ...]:
    """What an example may give an argument: what its name says of the map first."""
    named = (value for value in slot.values if is_expression(value))
    return tuple(dict.fromkeys((*named, *roles.suggestions(slot.name)[:6])))


def says_nothing(search: Search, binding: Binding) -> UserError:
    """Query, key and value without a number of channels run in any layout: heads would be read as C."""
    name = resolve.label(search.target.subject)
    return UserError(
        f"{name} takes several inputs and no number of channels, which any layout fits: give --inputs, "
        f"such as --inputs '{binding.inputs}'"
    )


def fits_several(search: Search, inputs: Sequence[str]) -> UserError:
    """Channels equal a side, and the block runs at no other size that would show its layout."""
    name = resolve.label(search.target.subject)
    layouts = " and ".join(text.partition(": ")[2] for text in inputs) or "none of the usual layouts"
    return UserError(
        f"{name} takes {layouts} where channels equal a side, and runs at no other size: give --inputs, such "
        "as --inputs 'x: N H W C'"
    )


def does_not_fit(search: Search, binding: Binding, sizes: Sizes) -> UserError:
    """What was bound runs at other sizes: name a default that does not fit these, and a value that does."""
    name, at = resolve.label(search.target.subject), f"{sizes['H']}\u00d7{sizes['W']}"
    reason = next(iter(search.failures.values()), None)
    if (found := _fitting(search, binding.arguments, [binding.inputs], sizes)) is not None:
        return _fits(search, *found, at)
    return UserError(
        f"{name} runs at other sizes, and not at {at} with {sizes['C']} channels: {_why(reason)}"
    )


def does_not_run(search: Search, wanted: list[Slot], shape: tuple[int, int, int, int]) -> UserError:
    """Nothing ran: name a default that does not fit, or what failed in the likeliest layout."""
    name = resolve.label(search.target.subject)
    sizes = dict(zip(("N", "C", "H", "W"), shape, strict=True))
    if search.unknown_input:
        return UserError(
            f"{name} takes an input {search.unknown_input!r} that cannot be made up: give --inputs, "
            f"such as {_with_unknown(search)}"
        )
    if not search.failures and search.failed_build is not None:
        if (found := _fitting(search, next(combinations(wanted), {}), None, sizes)) is not None:
            return _fits(search, *found, f"{shape[2]}\u00d7{shape[3]}")
        return UserError(f"{name} cannot be built: {_why(search.failed_build)}")
    for arguments in islice(combinations(wanted), 2):
        if (found := _fitting(search, arguments, None, sizes)) is not None:
            return _fits(search, *found, f"{shape[2]}\u00d7{shape[3]}")
    inputs, reason = next(iter(search.failures.items()), ("nothing", None))
    layouts = dict.fromkeys(text.partition(": ")[2] for text in search.failures)
    single = [layout for layout in layouts if not layout.startswith("[")]
    tried = ", ".join(single + ["lists of maps"] * (len(single) < len(layouts)))
    if search.asked is not None:
        return UserError(f"{name} fails on {inputs}: {_why(reason)}")
    return UserError(
        f"{name} fails on {inputs.partition(': ')[2]}: {_why(reason)}; tried: {tried}; "
        "give -o KEY=VALUE, or --inputs such as 'x: N (H W) C'"
    )


def _fitting(
    search: Search, arguments: Mapping[str, Any], inputs: Sequence[str] | None, sizes: Sizes
) -> tuple[str, Any, Any] | None:
    """An argument left to its default, that default, and a value with which the block runs; None if none."""
    if search.target.is_instance:
        return None
    defaults = roles.parameters(search.target.maker)
    for key in _misfits(search, list(arguments)):
        for value in dict.fromkeys((*roles.suggestions(key)[:4], *roles.LAST_RESORTS)):
            if search.is_over:
                return None
            ran = search.attempt({**arguments, key: value}, sizes, inputs)
            if ran is not None and ran.is_map:
                return key, defaults[key].default, value
    return None


def _fits(search: Search, key: str, default: Any, value: Any, at: str) -> UserError:
    option = f"{key}={_typed(value)}"
    return ValuesNeededError(
        f"{resolve.label(search.target.subject)}: {key}={default!r} (its default) does not fit {at}; "
        f"-o {shlex.quote(option)} runs",
        (option,),
    )


def _typed(value: Any) -> str:
    """A value as it is typed behind -o."""
    return shown(value).replace(" ", "") if not isinstance(value, str) or value.startswith("=") else value


def _with_unknown(search: Search) -> str:
    return f"--inputs 'x: N C H W; {search.unknown_input}: N C H W'"


def _why(error: BaseException | None) -> str:
    if error is None:
        return "nothing was raised"
    return in_one_line(error) + in_users_code(error)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
