"""From a name to a module, and what each wrong name or option is answered."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import ctxbench
from ctxbench.errors import UserError
from ctxbench.subject import bind, registry, resolve
from ctxbench.subject.cases import _share_out, cases

BLOCK = """
import torch
from torch import nn
from helper_beside import SCALE

class Block(nn.Module):
    def __init__(self, in_channels, *, heads=2):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
        self.heads = heads

    def forward(self, x):
        return self.conv(x) * SCALE

class Sized(nn.Module):
    def __init__(self, dim, size, depth):
        super().__init__()
        self.dim, self.size, self.depth = dim, size, depth
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        return self.conv(x)

class NotAModule:
    pass
"""

RAISING = """
import torch
from torch import nn

class Refuses(nn.Module):
    def __init__(self, channels, kind="none"):
        super().__init__()
        self.table = {"some": 1}[kind]

class Reads(nn.Module):
    def __init__(self, channels):
        super().__init__()
        if torch.ones(channels).sum().item() < 1:
            raise KeyError(channels)
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.conv(x)

class Huge(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.table = torch.empty(2**50)

    def forward(self, x):
        return x
"""


class Identity(nn.Module):
    pass


@pytest.fixture
def block(tmp_path: Path) -> str:
    (tmp_path / "block.py").write_text(BLOCK)
    (tmp_path / "helper_beside.py").write_text("SCALE = 2\n")
    return str(tmp_path / "block.py")


@pytest.fixture
def raising(tmp_path: Path) -> str:
    (tmp_path / "raising.py").write_text(RAISING)
    return str(tmp_path / "raising.py")


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys, ctxbench.subject.registry as r; r.names(); print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("name", list(registry.SPECS))
def test_every_spec_names_a_class_that_builds_and_the_forms_it_has(name: str) -> None:
    for channels in (16, 24):
        module = bind.build(name, channels, (9, 7))
        assert module.in_channels == channels
        has_forms = "implementation" in inspect.signature(type(module)).parameters
        assert registry.SPECS[name].forms == (("fast", "published") if has_forms else (registry.SINGLE,))
        assert getattr(module, "implementation", registry.SINGLE) == registry.SPECS[name].forms[0]


def test_a_class_in_a_file_is_built_with_its_channels_and_options(block: str) -> None:
    module = bind.build(f"{block}:Block", 8, (4, 4), heads=4)
    assert (module.conv.in_channels, module.heads) == (8, 4)
    assert bind.implementations(f"{block}:Block") == ("single",)
    assert bind.options(f"{block}:Block") == {"in_channels": None, "heads": 2}
    sized = bind.build(f"{block}:Sized", 8, (4, 5), size="=(H, W)", depth=3)
    assert (sized.size, sized.depth) == ((4, 5), 3)


def test_a_class_in_a_package_is_found() -> None:
    module = bind.build("torch.nn:Conv2d", 8, (8, 8), None, out_channels=4, kernel_size=1)
    assert (module.in_channels, module.out_channels) == (8, 4)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("reconett", {}, "did you mean reconet"),
        ("zzz", {}, "known: reconet, nonlocal"),
        ("nowhere.py:Block", {}, "no file 'nowhere.py'"),
        ("no.such.package:Block", {}, "cannot import 'no.such.package'"),
        ("{block}:Missing", {}, r"'Missing' is not there.*\(modules there: Block, Sized\)"),
        ("{block}:NotAModule", {}, "makes no torch.nn.Module"),
        ("{block}:Block", {"rank": 3}, "has no option 'rank'; its options: in_channels, heads"),
        ("{block}:Sized", {}, "needs size and depth; for example -o size=3 -o depth=2"),
        ("reconet", {"rank": 0}, "reconet: .*rank"),
        ("{block}:Sized", {"dim": 3, "size": 1, "depth": 1}, r"fails on N C H W: .*block.py:\d+\)"),
    ],
)
def test_wrong_names_and_options_are_answered_in_one_line(
    block: str, name: str, options: dict, said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        bind.build(name.format(block=block), 8, (4, 4), **options)
    assert "\n" not in str(error.value)


def test_the_input_channels_may_be_said_twice_alike(block: str) -> None:
    module = bind.build(f"{block}:Sized", 8, (4, 4), dim=8, size=1, depth=1)
    assert module.dim == 8
    (again,) = cases(f"{block}:Sized", channels=8, sizes=4, options={"dim": 8, "size": 1, "depth": 1})
    assert bind.build_case(again).dim == 8
    with pytest.raises(UserError, match="fails on N C H W"):
        cases(f"{block}:Sized", channels=8, sizes=4, options={"dim": 3, "size": 1, "depth": 1})


def test_a_constructor_that_raises_is_said_to(raising: str) -> None:
    why = r"^Refuses cannot be built: KeyError: 'none' \(raising.py:\d+\)$"
    shape = (1, 8, 4, 4)
    verbs: list[Callable[[], object]] = [
        lambda: bind.build(f"{raising}:Refuses", 8),
        lambda: ctxbench.count(f"{raising}:Refuses", shape),
        lambda: ctxbench.explain(f"{raising}:Refuses", shape),
        lambda: ctxbench.decode(f"{raising}:Refuses", "1G", shape=shape),
    ]
    for ask in verbs:
        with pytest.raises(UserError, match=why):
            ask()


def test_one_that_only_fails_without_data_is_built_with_it(raising: str) -> None:
    assert ctxbench.count(f"{raising}:Reads", (1, 8, 4, 4)).macs == 8 * 8 * 16
    for without_data in (FakeTensorMode(), torch.device("meta")):
        with without_data, pytest.raises(Exception, match=r"local_scalar_dense|meta") as error:
            bind.build(f"{raising}:Reads", 8)
        assert not isinstance(error.value, UserError)


def test_memory_that_runs_out_in_a_constructor_is_no_fault_of_the_class(raising: str) -> None:
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        bind.build(f"{raising}:Huge", 8)


def test_a_file_that_does_not_import_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(UserError, match=r"broken.py cannot be imported: ModuleNotFoundError"):
        bind.build(f"{tmp_path}/broken.py:Block", 8)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_classes", {})


@pytest.mark.usefixtures("registered")
def test_registered_classes_are_known_by_name_and_by_place_and_names_are_unique() -> None:
    registry.register("test-identity", title="Identity", complexity="O(1)")(Identity)
    assert registry.spec("test-identity").complexity == "O(1)"
    assert resolve.canonical("test-identity").endswith("Identity")
    for built_in in ("reconet", "head"):
        with pytest.raises(ValueError, match="taken"):
            registry.register(built_in)(Identity)


def test_a_class_that_no_other_process_could_import_is_refused() -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(UserError, match="define it in a file"):
        registry.place(Local)


def test_published_of_a_module_with_one_form_is_refused(block: str) -> None:
    with pytest.raises(UserError, match="one implementation"):
        bind.build(f"{block}:Block", 8, (4, 4), "published")


def test_a_file_in_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    package = tmp_path / "author_package" / "blocks"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "own.py").write_text(
        "from torch import nn\nfrom ..sizes import K\nclass Own(nn.Module):\n    k = K\n"
    )
    (package.parent / "sizes.py").write_text("K = 7\n")
    assert resolve.load(f"{package}/own.py:Own").make({}).k == 7


def test_a_neighbour_may_be_imported_when_the_block_is_built(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "from torch import nn\n"
        "class Late(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        from late_neighbour import K\n"
        "        self.k = K\n"
    )
    (tmp_path / "late_neighbour.py").write_text("K = 7\n")
    assert resolve.load(f"{tmp_path}/late.py:Late").make({}).k == 7


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("ccnet", "rcca"),
        ("CrissCrossAttention", "rcca"),
        ("criss-cross attention", "rcca"),
        ("MHSA", "botnet"),
        ("swin", "window"),
        ("Swin-Transformer", "window"),
        ("CBAM", "cbam"),
        ("non_local", "nonlocal"),
        ("squeeze and excitation", "se"),
        ("psa", "psa"),
        ("LinearAttention", "linear"),
        ("swin.py", "swin.py"),
        ("torch.nn:Identity", "torch.nn:Identity"),
        ("", ""),
    ],
)
def test_an_alias_stands_for_the_one_module_it_is_of(alias: str, name: str) -> None:
    assert registry.named(alias) == name


@pytest.mark.parametrize("spec", registry.SPECS.values(), ids=lambda spec: spec.name)
def test_what_a_module_is_called_leads_to_it_or_to_a_choice_of_it(spec: registry.Spec) -> None:
    """Its class and aliases, in other spellings too; what is another's name is that module's."""
    for call in (spec.title, spec.target.partition(":")[2], *spec.aliases, spec.name.upper()):
        for spelled in (call, call.lower(), call.replace("-", "_")):
            try:
                choice = [registry.named(spelled)]
            except UserError as error:
                choice = str(error).partition(": name ")[2].split(" or ")
            assert spec.name in choice or choice[0] == call.lower()


def test_an_alias_of_two_modules_is_refused_with_the_choice() -> None:
    with pytest.raises(UserError, match="'danet' is more than one module: name pam or cam"):
        ctxbench.count("danet", (1, 8, 4, 4))
    with pytest.raises(UserError, match="'EMA' is more than one module: name emau or ema_multiscale"):
        bind.implementations("EMA")
    with pytest.raises(UserError, match="'ANN' is more than one module: name afnb or apnb"):
        bind.build("ANN", 8)


def test_an_alias_builds_the_module_under_the_modules_own_name() -> None:
    assert resolve.canonical("CrissCrossAttention(16)") == "rcca(16)"
    (case,) = cases("swin", channels=8, sizes=4, options={"swin.window": 2})
    assert (case.module, case.options) == ("window", {"window": 2})
    assert _share_out({"CBAM.kernel_size": 3}, ["CBAM(reduction=4)"]) == {
        "CBAM(reduction=4)": {"kernel_size": 3}
    }
    (case,) = cases("EMA unit", preset="table10", channels=64, sizes=4)
    assert case.module == "emau"
    counted = ctxbench.count("swin", (1, 8, 4, 4))
    assert counted.macs == ctxbench.count("window", (1, 8, 4, 4)).macs
    assert "W-MSA" in str(counted)
    assert bind.implementations("ccnet") == ("fast", "published")
    assert bind.is_built_in("ccnet")


def test_all_stands_for_every_module_or_every_one_of_a_preset() -> None:
    every = cases("all", channels=64, sizes=9)
    assert [case.module for case in every] == [resolve.canonical(name) for name in registry.names()]
    assert len(cases(["all", "se"], channels=64, sizes=8)) == len(registry.names())
    eight = cases("all", preset="table10", channels=64, sizes=8)
    assert eight == cases(preset="table10", channels=64, sizes=8)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("crisscros", r"did you mean rcca \(CrissCrossAttention\)\?"),
        ("disentangled", r"did you mean dnl \(DisentangledNonLocal\)"),
        ("emuu", "did you mean emau"),
    ],
)
def test_a_name_like_an_alias_is_answered_with_the_module_it_is_of(typed: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolve.canonical(typed)


@pytest.mark.usefixtures("registered")
def test_a_registered_name_comes_before_an_alias() -> None:
    registry.register("swin-transformer")(Identity)
    assert registry.named("swin-transformer") == "swin-transformer"
    assert registry.named("swin transformer") == "window"
