"""Segmentation networks: a dilated ResNet, RecoNet's head with any context module, and its rivals.

The names of ``__all__`` are loaded when first used: :mod:`ctxbench.networks.registry` imports no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctxbench.networks.network import MODELS, Segmenter, build_network
    from ctxbench.networks.resnet import BACKBONES

__all__ = ["BACKBONES", "MODELS", "Segmenter", "build_network"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "resnet" if name == "BACKBONES" else "network"
    return getattr(import_module(f"{__name__}.{home}"), name)
