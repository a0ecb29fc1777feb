"""Networks as they are counted: blocks in their authors' operation order, backbones without storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import nn

from ctxbench.networks.resnet import BACKBONES, ResNet
from ctxbench.subject import bind

PUBLISHED = "published"
_forced: ContextVar[bool] = ContextVar("forced", default=False)


@contextmanager
def in_published_form() -> Iterator[None]:
    """While this lasts, heads build their blocks in the published form, whatever form they are asked for."""
    token = _forced.set(True)
    try:
        yield
    finally:
        _forced.reset(token)


def block(name: str, channels: int, size: tuple[int, int], **options: Any) -> nn.Module:
    """Build a head's block from the registry of modules for (N, ``channels``, H, W); ``size`` is (H, W).

    In its fast form, unless the options or :func:`in_published_form` say otherwise. Raises UserError as
    :func:`ctxbench.subject.bind.build` does.
    """
    if _forced.get() and PUBLISHED in bind.implementations(name):
        options["implementation"] = PUBLISHED
    return bind.build(name, channels, size, **options)


@cache
def body(backbone: str) -> ResNet:
    """A backbone on the meta device, without storage: to ask for its channels and parameters alone."""
    with torch.device("meta"):
        return BACKBONES[backbone]()
