"""Draw the blocks that `ctxbench` is tried on: parsed from installed packages, never imported, never tried.

    /work/blocksvenv/bin/python reports/blocks/choose.py

reads the packages named in `packages.txt` from the site-packages of the Python that runs it and writes
`chosen.csv` beside this file. Rules, seed and order are fixed, so the same versions give the same rows.

A class is **block-like** when all of these hold:

* it derives, by the names in its package, from `nn.Module` (through bases of the same package, of another
  one listed, or of mmengine's `BaseModule`) and is public (no leading underscore);
* its own or an inherited `forward` has 1 to 4 required inputs and no required input named as in
  `FOREIGN_INPUTS`;
* its constructor names a channel width (`CHANNEL_WORDS`), or it takes no required argument at all;
* it is no loss, detector, data set, whole network, backbone, activation, norm, dropout, text or 1-D or 3-D
  layer by name, its module's path or its constructor (`NOT_BLOCKS`, `NOT_IN_PATH`, `NETWORK_ARGUMENTS`);
* it is not abstract: no `@abstractmethod`, and `forward` does more than raise or pass.

The **random** set is drawn by choosing a package at random, then one of its classes; the **context** set in
the same way among the classes of vision packages whose names match `CONTEXT` and not `NOT_CONTEXT`. Of
what is left, two more sets are drawn so, **held out**: nothing was mended after they were tried. No class is
in two sets; of classes of one name and constructor (copies between packages) one is drawn.
"""

from __future__ import annotations

import ast
import csv
import importlib.metadata
import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SEED = 20261129
RANDOM_BLOCKS = 140
CONTEXT_BLOCKS = 70
HELD_OUT_RANDOM, HELD_OUT_CONTEXT = 60, 40

CHANNEL_WORDS = re.compile(
    r"^(.*_)?(in_|inp_|input_|out_)?(channels?|planes?|chs?|features|dims?|embed_dims?|d_model|hidden_size|num_channels|inplanes"
    r"|outplanes|num_features|c1|c2|inp|oup|chan|c|nc|n_feats?|nf|width|filters|c_in|ch_in|in_c|out_c)$"
)
FOREIGN_INPUTS = re.compile(
    r"target|label|gt_|truth|img_metas|batch_data_samples|data_samples|input_ids|input_lengths|timestep|^t$|^time|temb|"
    r"points?$|xyz|coords|boxes|bbox|proposals|rois|edge|adj|text|tokens?_ids|pred|logits|mode|graph|offset|noise|sigma"
)
NOT_BLOCKS = re.compile(
    r"loss|criter|metric|dataset|detector|classifier$|backbone|wrapper|trainer|evaluat|matcher|assigner|sampler|"
    r"postprocess|preprocess|augment|tokeniz|discriminator|generator|ForImage|ForSeg|ForSem|ForMasked|PreTrained|"
    r"(net|former|model|unet|resnet|vit|pipeline|network|encoder\d*|autoencoder|vae|gan)(v\d+)?$|1d|3d|audio|speech|"
    r"(?<!con)text|bert|gpt|lstm|gru|rnn|embeddings?$|rotary|video|quantiz|router|experts?|moe|anchor|roi|bbox|keypoint|pose|points?|"
    r"[a-z]*lu$|swish|sigmoid|drop(path|block|out)|norm|affine|identity|^scale$|position|autoencoder|regnet|^mit$|bias$|"
    r"mlm|noise|timestep|schedul|lpips|inception$|transform$|head$|decoder$|output$",
    re.IGNORECASE,
)
NOT_IN_PATH = re.compile(
    r"loss|dataset|data/|metrics|tests?/|testing|detectors|trackers|classifiers|augmentation|transforms/|"
    r"pipelines/|schedulers|training/|export|feature_extract|(?<!con)text|audio|speech|language|nlp|lm/|1d|3d|tracking|reid|"
    r"necks/|roi_heads|dense_heads|selfsup|multimodal|auto/|legacy|deprecated|geometry|filters|convert|quant|onnx",
    re.IGNORECASE,
)
NETWORK_ARGUMENTS = {
    "num_classes", "n_classes", "nclass", "nr_classes", "vocab_size", "num_tokens", "backbone",
    "encoder", "encoder_name", "config", "cfg", "args", "image_size", "img_size", "net", "model",
    "decode_head", "max_seq_len", "arch", "layers", "depths", "num_stages", "weights", "pretrained",
}  # fmt: skip
CONTEXT = re.compile(
    r"[Aa]tt(ention|n|en)|Context|NonLocal|Pyramid|PSP|Psp|PPM|Ppm|ASPP|Aspp|ACM|EMA[A-Z]|EMA$|EMAU|OCR[A-Z]|OCR$|"
    r"(^|[a-z])(SE|Se)(Module|Block|Layer|Unit|$)|Squeeze|Excit|C?BAM|(^|[a-z])GC(B|Block|Module|$)|Lambda|Halo|Axial|"
    r"CrissCross|Hamburger|Involution|Selective|(^|[a-z])(SK|Sk)(Conv|Unit|Layer|Module|$)|ECA|Eca|Gather|"
    r"(?<![a-z])(Double|Dual|Global|Coord|Triplet)Att|GSA|MHSA|GlobalContext|Swin|Mixer|SpatialGat|ChannelGate|Ham\b"
)
NOT_CONTEXT = re.compile(
    r"Norm|Residual|Drop|Dropout|Conv$|Wrapper|Upsample|Downsample|Merging|Patch|Position|Bias"
)


@dataclass
class Class:
    """A class as its source says it."""

    package: str
    module: str
    path: str
    node: ast.ClassDef
    imports: dict[str, str]
    bases: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node.name

    def method(self, name: str) -> ast.FunctionDef | None:
        """Its own method `name`."""
        return next((n for n in self.node.body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression, or ''."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def parse(package: str, root: Path) -> Iterator[Class]:
    """The classes at the top level of every source file of `package`."""
    for path in sorted((root / package).rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            continue
        relative = path.relative_to(root)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        imports = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                imports |= {alias.asname or alias.name: alias.name for alias in node.names}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                yield Class(
                    package, module, str(relative), node, imports, [dotted(base) for base in node.bases]
                )


class Library:
    """All parsed classes; bases are looked up by name in the file, then the package, then anywhere."""

    def __init__(self, classes: list[Class]) -> None:
        self.by_name: dict[str, list[Class]] = {}
        for each in classes:
            self.by_name.setdefault(each.name, []).append(each)

    def base(self, child: Class, base: str) -> Class | None:
        """The class that `child` names as a base."""
        name = base.rpartition(".")[2]
        name = child.imports.get(name, name)
        found = [c for c in self.by_name.get(name, []) if c is not child]
        nearest = sorted(found, key=lambda c: (c.module != child.module, c.package != child.package))
        return nearest[0] if nearest else None

    def lineage(self, child: Class) -> Iterator[Class]:
        """The class and its bases, depth first, as far as their sources are there."""
        todo, seen = [child], set[int]()
        while todo:
            current = todo.pop(0)
            if id(current) in seen:
                continue
            seen.add(id(current))
            yield current
            found = [
                self.base(current, base)
                for base in current.bases
                if base not in ("nn.Module", "torch.nn.Module")
            ]
            todo[:0] = [each for each in found if each]

    def is_module(self, child: Class) -> bool:
        """Whether a base is torch's (or mmengine's) module."""
        return any(base in MODULES for each in self.lineage(child) for base in each.bases)

    def method(self, child: Class, name: str) -> ast.FunctionDef | None:
        """The method, own or inherited."""
        return next((found for each in self.lineage(child) if (found := each.method(name))), None)


MODULES = {"nn.Module", "torch.nn.Module", "Module", "BaseModule"}


def arguments(function: ast.FunctionDef) -> tuple[list[str], list[str]]:
    """(required, all) argument names of a method, without self."""
    positional = [a.arg for a in function.args.posonlyargs + function.args.args][1:]
    required = positional[: len(positional) - len(function.args.defaults)] if positional else []
    keyword = function.args.kwonlyargs
    required += [
        a.arg for a, default in zip(keyword, function.args.kw_defaults, strict=True) if default is None
    ]
    return required, positional + [a.arg for a in keyword]


def is_abstract(method: ast.FunctionDef) -> bool:
    """Whether a method only raises, passes or says that it is abstract."""
    if any("abstract" in dotted(d) for d in method.decorator_list):
        return True
    body = [s for s in method.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return not body or isinstance(body[0], ast.Raise | ast.Pass)


def block_like(each: Class, library: Library) -> bool:
    """The rules at the head of this file."""
    if each.name.startswith("_") or NOT_BLOCKS.search(each.name) or NOT_IN_PATH.search(each.path):
        return False
    if not library.is_module(each):
        return False
    forward, constructor = library.method(each, "forward"), library.method(each, "__init__")
    if forward is None or constructor is None or is_abstract(forward):
        return False
    inputs, _ = arguments(forward)
    if not 1 <= len(inputs) <= 4 or any(FOREIGN_INPUTS.search(name) for name in inputs):
        return False
    required, every = arguments(constructor)
    if NETWORK_ARGUMENTS & set(every):
        return False
    return not required or any(CHANNEL_WORDS.match(name) for name in every)


def draw(pool: list[Class], wanted: int, chance: random.Random) -> list[Class]:
    """`wanted` classes, each by a package at random and then one of its classes at random."""
    left: dict[str, list[Class]] = {}
    for each in pool:
        left.setdefault(each.package, []).append(each)
    drawn: list[Class] = []
    while left and len(drawn) < wanted:
        package = chance.choice(sorted(left))
        drawn.append(left[package].pop(chance.randrange(len(left[package]))))
        if not left[package]:
            del left[package]
    return drawn


def main() -> None:
    """Write `chosen.csv`."""
    root = Path(sysconfig.get_path("purelib"))
    versions, vision = {}, set()
    classes: list[Class] = []
    for line in (HERE / "packages.txt").read_text().splitlines():
        package, distribution, field_of_use = line.split()
        if field_of_use == "vision":
            vision.add(package)
        versions[package] = f"{distribution} {importlib.metadata.version(distribution)}"
        classes += parse(package, root)
    library = Library(classes)
    pool: dict[tuple[str, str], Class] = {}
    for each in classes:
        if block_like(each, library):
            constructor = library.method(each, "__init__")
            assert constructor is not None
            pool.setdefault((each.name, ast.dump(constructor.args)), each)
    blocks = list(pool.values())
    chance = random.Random(SEED)
    contexts = [
        b for b in blocks if CONTEXT.search(b.name) and not NOT_CONTEXT.search(b.name) and b.package in vision
    ]
    sets: dict[str, list[Class]] = {}
    for kind, among, count in (
        ("context", contexts, CONTEXT_BLOCKS),
        ("random", blocks, RANDOM_BLOCKS),
        ("context held out", contexts, HELD_OUT_CONTEXT),
        ("random held out", blocks, HELD_OUT_RANDOM),
    ):
        taken = {id(each) for drawn in sets.values() for each in drawn}
        sets[kind] = draw([b for b in among if id(b) not in taken], count, chance)
    with (HERE / "chosen.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["set", "target", "file", "package"])
        for kind, drawn in sets.items():
            for each in drawn:
                table.writerow([kind, f"{each.module}:{each.name}", each.path, versions[each.package]])
    numbers = ", ".join(f"{kind} {len(drawn)}" for kind, drawn in sets.items())
    print(f"{len(blocks)} of {len(classes)} classes are block-like; drawn: {numbers}")


if __name__ == "__main__":
    main()
