"""From a subject and a case to a built module.

A built-in module is given its channels, and (H, W) where its weights depend on it, as its own protocol says.
Of any other block that is found out by trial (:mod:`ctxbench.subject.binding`), in a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ctxbench.errors import UserError, in_one_line, in_users_code, is_out_of_memory
from ctxbench.subject import registry, resolve
from ctxbench.subject.binding.roles import is_required, parameters
from ctxbench.subject.bound import Binding
from ctxbench.subject.expression import SIZES
from ctxbench.subject.interface import Interface
from ctxbench.subject.registry import SINGLE

if TYPE_CHECKING:
    from torch import nn

    from ctxbench.subject.case import Case

PROTOCOL = ("channels", "size", "implementation")
"""What a built-in module is given by the conditions of a case."""
TRIAL_BATCH, TRIAL_SIZE = 2, (64, 64)
"""Of the input of trials, where none is said."""
TRIAL_LIMIT_S = 60.0
"""CPU time that the trials of one subject may take, its imports among them, before its process is ended."""
SEED = 0
"""Of the weights that a case's module is built with."""
Shape = tuple[int, int, int, int]


class Question(NamedTuple):
    """A subject whose arguments and inputs are to be found out, for a map of ``shape`` (N, C, H, W)."""

    subject: str
    options: Mapping[str, Any]
    asked: Interface | None
    shape: Shape


class Answer(NamedTuple):
    """What was found out; ``subject`` is its name with its place in full.

    ``binding`` is None where the trials ended their process, as a fault in native code does: ``died`` says
    how, and the case's own process will say so, in its row. ``forms`` are as of :func:`implementations`,
    and empty where they could not be known.
    """

    subject: str
    binding: Binding | None
    died: str = ""
    forms: tuple[str, ...] = ()


def is_built_in(subject: str) -> bool:
    """Whether it is one of our modules, by its name or an alias, with or without a call."""
    place, name, _ = resolve.parts(subject)
    return not place and registry.named(name) in registry.BUILT_IN


def options(name: str) -> dict[str, Any]:
    """The options a subject takes beyond channels and size, with their defaults."""
    target = resolve.load(name)
    if target.is_instance:
        return {}
    taken = PROTOCOL if is_built_in(name) else ("implementation",)
    return {
        key: None if is_required(parameter) else parameter.default
        for key, parameter in parameters(target.maker).items()
        if key not in taken
    }


def implementations(name: str) -> tuple[str, ...]:
    """``("fast", "published")``, or ``("single",)`` for a module that has one form. No built-in is loaded."""
    if is_built_in(name):
        return registry.BUILT_IN[registry.named(resolve.parts(name).name)].forms
    return _forms_of(resolve.load(name))


def _forms_of(target: resolve.Target) -> tuple[str, ...]:
    has_forms = not target.is_instance and "implementation" in parameters(target.maker)
    return ("fast", "published") if has_forms else (SINGLE,)


def ask(questions: Sequence[Question]) -> list[Answer]:
    """Find out by trial how subjects are built and called, in another process, which touches nothing here.

    Raises UserError as :func:`ctxbench.subject.binding.search.find` does.
    """
    from ctxbench.sandbox.child import in_child, in_new_process

    call = partial(_answer_all, tuple(questions))
    run = in_child if "torch" in sys.modules else in_new_process
    try:
        answers = run(call, TRIAL_LIMIT_S * len(questions))
    except UserError as error:  # one of them ended the process: the others are not to blame
        if len(questions) == 1:
            return [Answer(questions[0].subject, None, str(error))]
        return [answer for question in questions for answer in ask([question])]
    for answer in answers:
        if isinstance(answer, UserError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Answer)]


def _answer_all(questions: Sequence[Question]) -> list[Answer | UserError]:
    """In a process of its own, which may neither print nor fetch anything."""
    from ctxbench.sandbox.child import be_quiet_and_offline
    from ctxbench.sandbox.fake import without_modes
    from ctxbench.subject.binding.search import find

    be_quiet_and_offline()
    answers: list[Answer | UserError] = []
    with without_modes():
        for question in questions:
            try:
                target = resolve.load(question.subject)
                binding = find(target, question.options, question.asked, question.shape)
                answers.append(Answer(target.subject, binding, forms=_forms_of(target)))
            except UserError as error:
                answers.append(error)
    return answers


def layout_of(module: nn.Module, asked: Interface | None, shape: Shape) -> Binding:
    """How a module that is there already is called, found out by trial in another process.

    Raises UserError as :func:`ctxbench.subject.binding.search.find` does.
    """
    from ctxbench.sandbox.child import in_child

    answer = in_child(partial(_answer_for, module, asked, shape), TRIAL_LIMIT_S)
    if isinstance(answer, UserError):
        raise answer
    return answer


def _answer_for(module: nn.Module, asked: Interface | None, shape: Shape) -> Binding | UserError:
    from ctxbench.sandbox.child import be_quiet_and_offline
    from ctxbench.subject.binding.search import find

    be_quiet_and_offline()
    try:
        return find(resolve.Target(f":{type(module).__name__}", module, {}, {}), {}, asked, shape)
    except UserError as error:
        return error


def build(
    name: str,
    channels: int,
    size: tuple[int, int] | None = None,
    implementation: str | None = None,
    /,
    **chosen: Any,
) -> nn.Module:
    """Build a context module for (N, ``channels``, H, W) inputs.

    ``size`` is (H, W); it reaches only modules whose weights depend on it. What a block needs that is not
    built in is found out by trial. Raises UserError naming the option or the value that does not fit, or what
    the constructor raised.
    """
    shape = (TRIAL_BATCH, channels, *(size or TRIAL_SIZE))
    if not is_built_in(name):
        return _build_bound(name, chosen, implementation, shape, bound(name, chosen, None, shape))
    if size is None and "size" in parameters(resolve.load(name).maker):
        raise UserError(f"{name} needs a size (H, W): its weights depend on it")
    return _build_ours(name, chosen, implementation, shape)


def build_case(case: Case, seed: int = SEED) -> nn.Module:
    """Build a case's module with seeded weights, in float32 on the CPU. Raises UserError as :func:`build`."""
    import torch

    torch.manual_seed(seed)
    form = None if case.implementation == SINGLE else case.implementation
    if is_built_in(case.module):
        return _build_ours(case.module, case.options, form, case.shape)
    binding = case.binding or bound(case.module, case.options, None, case.shape)
    if binding.interface != case.interface:  # found out too late: the case would call it in another way
        raise RuntimeError(f"{resolve.label(case.module)} takes the {binding.interface}, not one map")
    return _build_bound(case.module, case.options, form, case.shape, binding)


def build_of_map(name: str, channels: int, size: tuple[int, int], options: Mapping[str, Any]) -> nn.Module:
    """Build a block that is not ours as a module of one map (N, ``channels``, H, W), for use in a network.

    How it is built and called is found out by trial; one of tokens, or of (N, H, W, C), is wrapped. Raises
    UserError as :func:`ask` does.
    """
    from ctxbench.subject.adapter import of_map

    shape = (TRIAL_BATCH, channels, *size)
    binding = bound(name, options, None, shape)
    return of_map(_build_bound(name, options, None, shape, binding), binding.interface)


def _build_ours(name: str, chosen: Mapping[str, Any], form: str | None, shape: Shape) -> nn.Module:
    """A built-in module, which takes what is a condition of its case as its protocol says."""
    target = resolve.load(name)
    accepted = parameters(target.maker)
    conditions: dict[str, Any] = {"channels": shape[1]}
    if "size" in accepted:
        conditions["size"] = shape[2:]
    if _check_form(name, target, form):
        conditions["implementation"] = form
    if unknown := next((key for key in chosen if key not in accepted), None):
        raise UserError(
            f"{name} has no option {unknown!r}; its options: {', '.join(options(name)) or 'none'}"
        )
    values = _filled_in(target, {**chosen, **target.given}, shape)
    made = _made(target, {**conditions, **values})  # so that what is wrong with the call itself is said first
    # What a call says must be what the conditions say: one of the two would silently lose.
    for key in target.given:
        if key in chosen or conditions.get(key, values[key]) != values[key]:
            said, other = f"{values[key]!r} in {resolve.label(name)}", chosen.get(key, conditions.get(key))
            raise UserError(f"{key} is given twice: {said}, and {other!r} as a condition")
    return made


def _build_bound(
    name: str, chosen: Mapping[str, Any], form: str | None, shape: Shape, binding: Binding
) -> nn.Module:
    """A stranger's block, with what was bound."""
    from ctxbench.subject.binding.trial import without_cuda

    target = resolve.load(name)
    given = {**target.given, **chosen, **binding.arguments}
    if _check_form(name, target, form):
        given["implementation"] = form
    with without_cuda():
        return _made(target, _filled_in(target, given, shape))


def _check_form(name: str, target: resolve.Target, form: str | None) -> bool:
    """Whether a form is to be given to the constructor. Raises UserError where that takes none."""
    if form in (None, SINGLE):
        return False
    if target.is_instance or "implementation" not in parameters(target.maker):
        raise UserError(f"{name} has one implementation; {form!r} was asked for")
    return True


def _filled_in(target: resolve.Target, values: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Values with N, C, H and W as ``shape`` says."""
    from ctxbench.subject.binding.trial import filled_in

    sizes = dict(zip(SIZES, shape, strict=True))
    return {key: filled_in(value, sizes, target.names) for key, value in values.items()}


def _made(target: resolve.Target, arguments: Mapping[str, Any]) -> nn.Module:
    name = resolve.label(target.subject)
    try:
        return target.make(arguments)
    except UserError:
        raise
    except (ValueError, TypeError, SystemExit) as error:
        raise UserError(f"{name}: {error}{in_users_code(error)}") from error
    except Exception as error:
        # Among tensors without data (fake ones, the meta device) it may be about them alone: it comes through
        # as it is, and whoever made them then builds for real. Where memory ran out nothing is wrong with the
        # class, and its record says so.
        if is_out_of_memory(error) or not _tensors_hold_data():
            raise
        raise UserError(f"{name} cannot be built: {in_one_line(error)}{in_users_code(error)}") from error


def _tensors_hold_data() -> bool:
    """Whether a tensor that is made here and now has data; fake tensors and those on meta have none."""
    import torch

    probe = torch.empty(0)
    return type(probe) is torch.Tensor and not probe.is_meta


_known: dict[str, Binding] = {}
"""What :func:`bound` has found out."""


def bound(subject: str, options: Mapping[str, Any], asked: Interface | None, shape: Shape) -> Binding:
    """:func:`ask` for one subject; what this process has found out is not found out again."""
    digest = resolve.source_digest(subject) if "torch" in sys.modules else ""
    key = json.dumps([subject, {k: repr(v) for k, v in options.items()}, str(asked), shape, digest])
    if key not in _known or not digest:
        (answer,) = ask([Question(subject, options, asked, shape)])
        if answer.binding is None:  # no bad input: it costs the case's own row
            raise RuntimeError(f"{resolve.label(subject)} cannot be tried: {answer.died}")
        _known[key] = answer.binding
    return _known[key]
