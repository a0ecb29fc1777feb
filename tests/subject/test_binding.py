"""Strangers' blocks, bound by trial: what is found out, what is asked for, and what is said."""

from pathlib import Path

import pytest
import strangers
import torch
from torch import nn

import ctxbench
from ctxbench.cli.values import options
from ctxbench.errors import UserError, ValuesNeededError
from ctxbench.subject import bind
from ctxbench.subject.adapter import of_map
from ctxbench.subject.cases import cases
from ctxbench.subject.interface import Interface

FILE = strangers.__file__
C, H, W = 24, 16, 10
P = H * W
SHAPE = (1, C, H, W)


def found(
    name: str, *, channels: int = C, size: tuple[int, int] = (H, W), **more: object
) -> tuple[dict, Interface]:
    (case,) = cases(f"{FILE}:{name}", channels=channels, sizes=[size], **more)  # type: ignore[arg-type]
    assert case.binding is not None
    return dict(case.binding.arguments), case.interface


@pytest.mark.parametrize(
    ("name", "arguments", "interface", "macs"),
    [
        ("Kernel", {"dim": "=C"}, Interface(), 9 * C * P),
        ("Inner", {"in_channels": "=C"}, Interface(), 16 * C * P),
        ("OfAnImage", {"in_chans": "=C"}, Interface(), C * C * P),
        ("Tokens", {"d_model": "=C"}, Interface("x: N (H W) C; H; W"), C * C * P),
        ("PlainTokens", {"dim": "=C"}, Interface("x: N (H W) C"), C * C * P),
        ("Nhwc", {"dim": "=C", "input_resolution": "=(H, W)"}, Interface("x: N H W C"), C * C * P),
        (
            "Attention",
            {"embed_dim": "=C"},
            Interface("query: N (H W) C; key: query; value: query"),
            3 * C * C * P + 2 * C * P * P,
        ),
        ("Two", {"dim": "=C"}, Interface("x: N C H W; low: N C H W"), 2 * C * C * P),
        ("Maps", {"in_channels": "=[C]"}, Interface("x: [N C H W]"), C * C * P),
        ("Several", {"dim": "=C"}, Interface(output="out"), C * C * P),
        ("Activated", {"inp": "=C", "oup": "=C"}, Interface(), 2 * C * (C // 16) * P),
        ("Strided", {"dim": "=C"}, Interface(), 9 * C * C * P // 4),
        ("Looks", {"dim": "=C"}, Interface(), C * C * P),
        ("Fetches", {"dim": "=C", "pretrained": False}, Interface(), C * C * P),
        ("instance", {}, Interface(), C * C * P),
    ],
)
def test_a_block_is_bound_and_counted(name: str, arguments: dict, interface: Interface, macs: int) -> None:
    assert found(name) == (arguments, interface)
    assert ctxbench.count(f"{FILE}:{name}", SHAPE).macs == macs


@pytest.mark.parametrize("size", [(C, C), (C, 10), (16, C)])
@pytest.mark.parametrize(
    ("name", "inputs"), [("PlainTokens", "x: N (H W) C"), ("Nhwc", "x: N H W C"), ("Kernel", "x: N C H W")]
)
def test_channels_that_equal_a_side_do_not_hide_the_layout(
    name: str, inputs: str, size: tuple[int, int]
) -> None:
    assert found(name, size=size)[1].inputs == inputs


def test_a_square_alone_and_sides_that_were_given_are_bound_where_channels_equal_a_side() -> None:
    assert found("Square", size=(C, C)) == ({"dim": "=C", "fmap_size": "=H"}, Interface("x: N (H W) C"))
    assert found("Square", size=(C, C), options={"fmap_size": C})[1] == Interface("x: N (H W) C")
    with pytest.raises(UserError, match=r"takes N C H W and .* where channels equal a side.*--inputs"):
        found("Nhwc", size=(C, C), options={"input_resolution": (C, C)})


def test_a_block_that_is_built_when_the_time_is_gone_is_run_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ctxbench.subject.binding.attempts.BUDGET_S", -1.0)
    assert found("Kernel", channels=25) == ({"dim": "=C"}, Interface())


def test_a_number_that_is_ignored_is_said() -> None:
    (case,) = cases(f"{FILE}:Ignored", channels=C, sizes=[(H, W)])
    assert case.bound == f"bound: channels={C} (not used); input N C H W"


@pytest.mark.parametrize(
    ("name", "names"), [("make", ["ratio"]), ("Branch", ["conv_out_channels"]), ("Windows", ["num_heads"])]
)
def test_what_nobody_knows_is_asked_for_with_values_that_run(name: str, names: list[str]) -> None:
    with pytest.raises(ValuesNeededError, match="needs " + " and ".join(names)) as error:
        found(name)
    assert "not the authors' choice" in str(error.value)
    assert [option.partition("=")[0] for option in error.value.options][: len(names)] == names
    found(name, options=options(list(error.value.options)))


def test_a_number_of_positions_that_may_be_more_is_asked_for_with_the_map_s_own() -> None:
    with pytest.raises(ValuesNeededError, match="needs seq_len; for example -o 'seq_len=H\\*W'"):
        found("Longest")
    assert ctxbench.count(f"{FILE}:Longest(C, H*W)", SHAPE).macs == 2 * 4 * C * P


def test_an_input_that_cannot_be_made_up_is_named_beside_the_values_that_are_missing() -> None:
    with pytest.raises(UserError, match=r"-o tokens=VALUE, and --inputs.*; landmarks: N C H W'$"):
        found("Landmarks")
    asked = "x: N (H W) C; landmarks: N C C"
    assert found("Landmarks", options={"tokens": 2}, inputs=asked)[1].inputs == asked


def test_a_default_that_does_not_fit_is_named_with_a_value_that_does() -> None:
    with pytest.raises(ValuesNeededError, match=r"window_size=7 \(its default\) does not fit 16×10") as error:
        found("Windows", options={"num_heads": 2})
    key, value = error.value.options[0].split("=")
    assert found("Windows", options={"num_heads": 2, key: int(value)})[0] == {"dim": "=C"}


def test_what_is_given_wins_and_a_call_is_the_same_as_options() -> None:
    assert found("Inner", options={"channels": 4})[0] == {"in_channels": "=C"}
    for subject in ("Inner(C, 4)", "Inner(C, channels=4)", "Inner(channels=C//6)"):
        assert ctxbench.count(f"{FILE}:{subject}", SHAPE).macs == 8 * C * P
    gelu = ctxbench.count(f"{FILE}:Activated(C, C, act=nn.GELU, reduction=8)", SHAPE)
    assert gelu.macs == 2 * C * (C // 8) * P
    with pytest.raises(UserError, match="give it once"):
        found("Inner(C, 4)", options={"channels": 4})


def test_a_sweep_moves_what_a_call_says() -> None:
    swept = cases(f"{FILE}:make(C, 4)", channels=[8, 16], sizes=[4])
    assert [bind.build_case(case)[0].out_channels for case in swept] == [2, 4]  # type: ignore[index]


def test_inputs_and_output_may_be_said() -> None:
    asked = Interface("x: N H W C")
    assert found("PlainTokens", inputs=asked.inputs)[1] == asked
    assert found("Several", output="mean")[1] == Interface(output="mean")
    assert ctxbench.count(f"{FILE}:Several", SHAPE, output="mean").output_shape == (1, C)
    with pytest.raises(UserError, match="there is no output '3'"):
        found("Several", output="3")
    with pytest.raises(UserError, match="built in"):
        cases("emau", channels=C, sizes=[4], inputs="x: N H W C")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Wrong", r"fails on N C H W: RuntimeError: .*strangers.py:\d+\).*--inputs"),
        ("Unknowable", "an input 'timestep' that cannot be made up: give --inputs"),
        ("Missing", "'Missing' is not there"),
        ("Inner(C, 8, 9)", "too many positional arguments"),
        ("Inner(C, width=9)", "unexpected keyword argument 'width'"),
        ("Inner(C, open('x'))", "not taken as a value"),
        ("instance(3)", "takes no arguments"),
    ],
)
def test_a_refusal_is_one_line_that_helps(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        found(name)
    assert "\n" not in str(error.value)


def test_a_file_alone_means_its_one_class(tmp_path: Path) -> None:
    one = tmp_path / "one.py"
    one.write_text(
        "from torch import nn\n"
        "class Own(nn.Conv2d):\n"
        "    def __init__(self, dim):\n"
        "        super().__init__(dim, dim, 1)\n"
    )
    (case,) = cases(str(one), channels=C, sizes=[4])
    assert case.module == f"{one}:Own"
    with pytest.raises(UserError, match=r"defines \d+ modules: name one"):
        cases(FILE, channels=C, sizes=[4])
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(UserError, match="defines no class"):
        cases(str(empty), channels=C, sizes=[4])


def test_a_module_that_is_there_is_called_as_trials_find() -> None:
    layer = nn.TransformerEncoderLayer(C, 2, dim_feedforward=8, batch_first=True)
    assert ctxbench.count(layer, SHAPE).output_shape == (1, P, C)
    assert ctxbench.count(layer, (1, C, C, C)).output_shape == (1, C * C, C)
    assert ctxbench.count(layer, SHAPE, inputs="x: N W C").output_shape == (1, W, C)


def test_nothing_of_a_trial_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.random.get_rng_state()
    found("Fetches")
    assert torch.equal(torch.random.get_rng_state(), before)
    import socket

    assert socket.socket.connect.__qualname__ != "be_quiet_and_offline.<locals>.refuse"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["PlainTokens", "Nhwc", "Several", "Attention"])
def test_in_a_network_any_of_them_is_a_module_of_maps(name: str) -> None:
    module = bind.build_of_map(f"{FILE}:{name}", C, (H, W), {})
    x = torch.randn(2, C, H, W)
    assert module(x).shape == x.shape
    if name == "Nhwc":
        assert torch.allclose(module(x), module.block.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_what_is_no_map_is_refused_in_a_network() -> None:
    with pytest.raises(UserError, match=r"a block takes a map, and not N \(1 \+ H W\) C"):
        of_map(nn.Identity(), Interface("x: N (1 + H W) C"))
    flat = of_map(nn.Flatten(), Interface("x: N H W C"))
    with pytest.raises(UserError, match="keeps the map's sides"):
        flat(torch.zeros(SHAPE))
