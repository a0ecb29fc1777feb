"""The catalogue: what is known of each context module without building it, by family.

A family is a file, or two where one would be long. Imports no torch.
"""

from ctxbench_modules.catalogue.channel import CHANNEL
from ctxbench_modules.catalogue.factorised import FACTORISED
from ctxbench_modules.catalogue.frequency import FREQUENCY
from ctxbench_modules.catalogue.global_ import GLOBAL
from ctxbench_modules.catalogue.graph import GRAPH
from ctxbench_modules.catalogue.kernel import KERNEL
from ctxbench_modules.catalogue.linear import LINEAR
from ctxbench_modules.catalogue.pyramid import PYRAMID
from ctxbench_modules.catalogue.sampled import SAMPLED
from ctxbench_modules.catalogue.spatial import SPATIAL
from ctxbench_modules.catalogue.spec import Spec
from ctxbench_modules.catalogue.window import WINDOW

__all__ = ["FAMILIES", "SPECS", "Spec"]

_BY_FAMILY = {
    "factorised": (*FACTORISED, *LINEAR),
    "global": (*GLOBAL, *SAMPLED),
    "channel": CHANNEL,
    "spatial": (*PYRAMID, *SPATIAL),
    "graph": GRAPH,
    "window": (*WINDOW, *KERNEL),
    "frequency": FREQUENCY,
}
FAMILIES = tuple(_BY_FAMILY)
SPECS: dict[str, Spec] = {spec.name: spec for specs in _BY_FAMILY.values() for spec in specs}
for _family, _specs in _BY_FAMILY.items():
    for _spec in _specs:
        _spec.family = _family
