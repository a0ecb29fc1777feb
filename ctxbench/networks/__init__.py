"""Segmentation networks: a dilated ResNet, RecoNet's head with any context module, and its rivals."""

from ctxbench.networks.network import MODELS, Segmenter, build_network
from ctxbench.networks.resnet import BACKBONES

__all__ = ["BACKBONES", "MODELS", "Segmenter", "build_network"]
