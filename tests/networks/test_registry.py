"""The registry of networks: names, what they are also called, and what each is trained with."""

import subprocess
import sys

import pytest
from torch import nn
from typer.main import get_command

from ctxbench.cli import app
from ctxbench.errors import UserError
from ctxbench.networks.losses import LOSSES
from ctxbench.networks.network import Segmenter, build_network, head_class
from ctxbench.networks.registry import NETWORKS, completed, find
from ctxbench.train.presets import configured


@pytest.mark.parametrize("name", NETWORKS)
def test_an_entry_is_whole(name: str) -> None:
    known = NETWORKS[name]
    assert issubclass(head_class(name), nn.Module)
    assert known.url.startswith("https://")
    assert 2015 <= known.year <= 2021
    assert known.losses.keys() <= LOSSES.keys()
    for word in (name, known.title, known.title.upper(), *known.aliases):
        assert find(word) is known


def test_no_two_networks_share_a_name() -> None:
    words = [word.lower() for known in NETWORKS.values() for word in {known.name, *known.aliases}]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("model", ["encent", "apcnt", "Anne"])
def test_a_name_that_there_is_not_is_answered_with_the_nearest(model: str) -> None:
    with pytest.raises(UserError, match=rf"no model '{model}'; one of reconet.*did you mean"):
        configured({"model": model})


def test_a_network_is_found_by_its_title_and_by_its_authors_name_for_it() -> None:
    assert configured({"model": "DeepLabV3+"}).model == "deeplabv3plus"
    assert configured({"model": "annn"}).title == "ann"
    assert isinstance(tiny("EncHead").head, head_class("encnet"))


def test_a_shell_completes_names() -> None:
    assert completed("dee") == ["deeplabv3plus"]
    assert completed("reconet,enc") == ["reconet,encnet"]
    assert set(completed("")) == set(NETWORKS)


def test_help_names_every_network_without_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from ctxbench.cli import app;"
        "CliRunner().invoke(app, ['train', '--help']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for verb in ("train", "profile"):
        parameters = get_command(app).commands[verb].params  # type: ignore[attr-defined]
        helps = [getattr(parameter, "help", None) for parameter in parameters]
        if verb == "train" and helps[0] is None:
            continue  # the oldest Typer drops what an argument is
        shown = " ".join(text or "" for text in helps)
        assert [name for name in NETWORKS if name not in shown] == []


@pytest.mark.parametrize(
    ("model", "aux_weight", "factor"),
    [
        ("reconet", 0.2, 10),
        ("pspnet", 0.2, 10),
        ("encnet", 0.2, 10),
        ("apcnet", 0.4, 1),
        ("cfnet", 0.2, 10),
        ("dmnet", 0.4, 1),
        ("ann", 0.4, 1),
        ("gcnet", 0.4, 1),
        ("dnlnet", 0.4, 1),
        ("isanet", 0.4, 1),
        ("ocrnet", 0.4, 1),
        ("spnet", 0.4, 10),
        ("hamnet", 0.2, 1),
        ("lighthamnet", 0.2, 10),
    ],
)
def test_a_preset_trains_a_network_as_published(model: str, aux_weight: float, factor: float) -> None:
    config = configured({"model": model, "dataset": "ade20k"})
    assert (config.aux_weight, config.head_lr_factor, config.lr) == (aux_weight, factor, 0.01)
    assert configured({"model": model, "aux_weight": 0.7, "dataset": "ade20k"}).aux_weight == 0.7
    assert configured({"model": model}).head_lr_factor == 1  # the generated set's schedule is ours


def tiny(model: str, **options: object) -> Segmenter:
    return build_network(model, 3, backbone="resnet-tiny", channels=16, crop=65, context_options=options)


def test_a_heads_own_options_are_its_networks() -> None:
    assert len(tiny("encnet", lateral=True).head.features.sides) == 2
    assert tiny("cfnet").losses == {}
    assert tiny("cfnet", se_loss=True).losses == {"presence": 0.2}
    for model, options, said in (
        (
            "encnet",
            {"laterl": True},
            "the head of encnet has no option 'laterl'; it has lateral, codes, impl",
        ),
        ("encnet", {"lateral": 3}, "lateral is true or false, not 3"),
        ("encnet", {"codes": 0}, "codes must be"),
        ("fcn", {"rank": 3}, "the head of fcn has no option 'rank'; it has none"),
        ("cfnet", {"se_loss": True, "with_enc": False}, "leave out with_enc=false"),
        ("apcnet", {"scales": ()}, "pool_scales must be"),
        ("dmnet", {"filters": (0,)}, "filter_size must be"),
        ("dmnet", {"filters": ()}, "filters are"),
        ("ann", {"implementation": "slow"}, "implementation must be"),
        ("gcnet", {"reduction": 0}, "reduction must be"),
        ("dnlnet", {"whiten": "pca"}, "whiten must be"),
        ("isanet", {"down_factor": 8}, "down_factor must be"),
        ("ocrnet", {"classes": 4}, "the head of ocrnet has no option 'classes'; it has region_channels"),
        ("ocrnet", {"region_channels": 0}, "region_channels must be"),
        ("spnet", {"pools": (0, 3)}, "pools must be"),
        ("hamnet", {"rank": "many"}, "rank must be"),
        ("lighthamnet", {"groups": 3}, "groups must divide"),
    ):
        with pytest.raises(UserError, match=said):
            tiny(model, **options)


def test_the_auxiliary_head_is_that_of_the_networks_authors() -> None:
    for model, width, bias, drop in (
        ("encnet", 64, False, nn.Dropout),
        ("apcnet", 64, False, nn.Dropout2d),
        ("ann", 128, True, nn.Dropout2d),
        ("gcnet", 128, False, nn.Dropout2d),
        ("isanet", 128, False, nn.Dropout2d),
        ("spnet", 64, False, nn.Dropout2d),
    ):
        auxiliary = tiny(model).auxiliary
        assert auxiliary is not None
        convolution = auxiliary.reduce[0]
        assert (convolution.out_channels, convolution.bias is not None) == (width, bias)
        assert isinstance(auxiliary.classify[0], drop)
