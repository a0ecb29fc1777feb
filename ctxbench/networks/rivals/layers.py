"""What the heads have in common."""

from torch import Tensor, nn

from ctxbench.networks.heads import DROPOUT
from ctxbench.networks.resnet import conv_bn_relu, initialise

Channels = tuple[int, int, int, int]
"""Of C2 to C5."""
Size = tuple[int, int]
"""(h, w) of C5."""
ForTraining = tuple[Tensor, dict[str, Tensor]]
"""The logits, and by name what the network's further losses are of."""


def fresh(*layers: nn.Module) -> nn.Sequential:
    """Layers with weights drawn anew; a block from the registry has its own, and so is never in here."""
    sequence = nn.Sequential(*layers)
    initialise(sequence)
    return sequence


def conv(inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> nn.Sequential:
    """A convolution that keeps the size, batch norm and ReLU."""
    return fresh(*conv_bn_relu(inputs, outputs, kernel, bias=bias))


def classifier(channels: int, classes: int) -> nn.Sequential:
    """Dropout of whole channels, and a 1×1 with bias."""
    return fresh(nn.Dropout2d(DROPOUT), nn.Conv2d(channels, classes, 1))


def element_classifier(channels: int, classes: int) -> nn.Sequential:
    """Dropout of single elements, and a 1×1 with bias: PyTorch-Encoding's."""
    return fresh(nn.Dropout(DROPOUT), nn.Conv2d(channels, classes, 1))
