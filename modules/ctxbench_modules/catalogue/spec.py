"""What is known of a context module without building it.

Imports nothing, for which a named tuple or a dataclass would have to, so that listing stays fast.
"""


class Spec:
    """A context module as a catalogue entry.

    ``target`` is ``package.module:Class``; ``complexity`` is the order claimed by the paper for one forward
    pass (C channels, n = H·W positions, r ranks, d latent nodes, k bases, S sampled positions or units of a
    memory). ``forms`` are the forms there are, the quickest first: a module without a quicker exact one has
    its single form.
    ``cite`` is the paper's key in ``papers.bib``; empty for a module that is not built in. ``licence`` is
    that of the released code the module is held against, not the module's own; empty where that code has
    none. ``aliases`` are what else the module is called, beside its title, its class and its file: a network
    of its paper, its name in full, the authors' class. ``family`` follows from the file of this folder that
    has the entry.
    """

    def __init__(
        self,
        name: str,
        title: str,
        target: str,
        paper: str,
        year: int,
        url: str,
        complexity: str,
        forms: tuple[str, ...] = ("fast", "published"),
        cite: str = "",
        licence: str = "",
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.name, self.title, self.target = name, title, target
        self.paper, self.year, self.url = paper, year, url
        self.complexity, self.forms, self.cite, self.licence = complexity, forms, cite, licence
        self.aliases = aliases
        self.family = ""
