"""The networks: what is known of each without building it, and where its head is. Imports no torch.

To add a network: its head in a file of :mod:`ctxbench.networks.rivals`, and its entry in the file of its year
here. The command line's help and completion, the training's settings and the tables follow.
"""

from __future__ import annotations

from difflib import get_close_matches

from ctxbench.errors import UserError
from ctxbench.networks.registry import of_2019, since_2020, until_2018
from ctxbench.networks.registry.spec import Auxiliary, Network

__all__ = ["NETWORKS", "Auxiliary", "Network", "completed", "find"]

_ENTRIES = (since_2020.RECONET, *until_2018.ENTRIES, *of_2019.ENTRIES, *since_2020.ENTRIES)
NETWORKS: dict[str, Network] = {network.name: network for network in _ENTRIES}
"""By name, in the order in which they are listed."""


def find(name: str) -> Network:
    """The network of a name, of an alias, or of its title, whatever the case.

    Raises UserError, with all names and the nearest ones, where there is none.
    """
    known = {
        _plain(word): network
        for network in NETWORKS.values()
        for word in (network.name, network.title, *network.aliases)
    }
    if found := known.get(_plain(name)):
        return found
    close = get_close_matches(_plain(name), known, n=3, cutoff=0.6)
    near = list(dict.fromkeys(known[word].name for word in close))
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"no model {name!r}; one of {', '.join(NETWORKS)}{hint}")


def completed(incomplete: str) -> list[str]:
    """What a shell may complete a network's name to; in a comma list, its last."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in NETWORKS if name.startswith(last)]


def _plain(word: str) -> str:
    """A name in small letters and digits alone: DeepLabV3+ is deeplabv3plus."""
    return "".join(filter(str.isalnum, word.lower().replace("+", "plus")))
