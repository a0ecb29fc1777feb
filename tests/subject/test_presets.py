"""Presets are offered by papers; each of theirs builds, whatever the width."""

import pytest

from ctxbench.errors import UserError
from ctxbench.subject import bind
from ctxbench.subject.presets import Preset, preset, presets

ROWS = [(one, row) for one in presets().values() for row in one.rows]


@pytest.mark.parametrize(("of", "row"), ROWS, ids=lambda value: getattr(value, "module", ""))
@pytest.mark.parametrize("channels", [16, 24])
def test_every_row_builds(of: Preset, row: object, channels: int) -> None:
    options = row.options(channels)
    for chosen in (options, {**options, **row.rule_options}):
        assert bind.build(row.module, channels, (9, 7), **chosen).in_channels == channels
    assert of.row(row.module) is row


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match="no preset named 'table99'; presets: table10"):
        preset("table99")
