"""How the releases of a network name its modules: its authors', and mmsegmentation's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

ANY = "*"
"""Stands for one number in a module's path."""


@dataclass(frozen=True)
class Names:
    """How one release names the modules of a network; a head's class has those known in ``RELEASED``.

    ``modules`` has the path of each in the release, without the wrapper ``module.``, and what it is in a
    :class:`~ctxbench.networks.network.Segmenter`: a parameter, a layer, or a module whose inner names are the
    same. An asterisk stands for one number, on both sides the same. Two modules that are one here may both
    stand. The backbone is in a map only where its names are no ResNet's.
    """

    release: str
    """Whose."""
    modules: Mapping[str, str]
    zero: tuple[str, ...] = ()
    """Layers whose bias the release has not, because a batch norm follows: 0 here."""
    note: str = ""
    """What no key shows, in a clause: in what the release's network may be another function."""
    dilations: tuple[int, ...] | None = None
    """Of the blocks of Res-5, where they are not the backbone's own."""
    absent: tuple[str, ...] = ()
    """Our keys that no file of the release has, because it draws anew what is kept here."""
    rewrite: Callable[[dict[str, Tensor]], None] | None = None
    """Changes what is laid out otherwise, in a state dict of our keys."""

    def key(self, theirs: str) -> str:
        """Our key for one of the release's; empty where no module of it has that."""
        parts = theirs.split(".")
        for end in range(len(parts), 0, -1):  # the longest path first
            path, numbers = _pattern(parts[:end])
            for asked, found in ((".".join(parts[:end]), []), (path, numbers)):
                if (ours := self.modules.get(asked)) is not None:
                    for number in found:
                        ours = ours.replace(ANY, number, 1)
                    return ".".join([ours, *parts[end:]])
        return ""


def _pattern(parts: list[str]) -> tuple[str, list[str]]:
    """A path whose first number is any, and that number."""
    place = next((n for n, part in enumerate(parts) if part.isdecimal()), None)
    if place is None:
        return ".".join(parts), []
    return ".".join([*parts[:place], ANY, *parts[place + 1 :]]), [parts[place]]


MULTI_GRID = (2, 8, 16)
"""The dilations of Res-5 in the code of EMANet and HamNet."""


def numbered_resnet(theirs: str) -> dict[str, str]:
    """The names in the code of EMANet and HamNet: a sequence, in which ReLU and pooling are numbered too."""
    layers = {f"{theirs}.{number + 3}": f"backbone.layer{number}" for number in range(1, 5)}
    return {f"{theirs}.0": "backbone.conv1", f"{theirs}.1": "backbone.bn1", **layers}


def mmsegmentation(
    modules: Mapping[str, str],
    *,
    zero: tuple[str, ...] = (),
    note: str = "",
    absent: tuple[str, ...] = (),
    rewrite: Callable[[dict[str, Tensor]], None] | None = None,
) -> Names:
    """Names of mmsegmentation for a head's modules, with the classifier and the auxiliary head."""
    return Names(
        "mmsegmentation",
        {
            "decode_head.conv_seg": "head.classify.1",
            **{f"decode_head.{theirs}": f"head.{ours}" for theirs, ours in modules.items()},
            "auxiliary_head.convs.0.conv": "auxiliary.reduce.0",
            "auxiliary_head.convs.0.bn": "auxiliary.reduce.1",
            "auxiliary_head.conv_seg": "auxiliary.classify.1",
        },
        zero,
        f"it resizes with align_corners=False{note and '; '}{note}",
        absent=absent,
        rewrite=rewrite,
    )


def conv_bn(theirs: str, ours: str) -> dict[str, str]:
    """A convolution with batch norm, by mmsegmentation's names and ours."""
    return {f"{theirs}.conv": f"{ours}.0", f"{theirs}.bn": f"{ours}.1"}
