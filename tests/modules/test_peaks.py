"""No form wins time by more memory than the published form has at its peak."""

from collections.abc import Callable
from typing import Literal

import pytest
from torch import nn

from ctxbench.paper.offers.presets import configurations
from ctxbench.subject import bind
from ctxbench.tracing import trace, views
from ctxbench_modules import SPECS

TWO_FORMS = [name for name, spec in SPECS.items() if "fast" in spec.forms]
WEIGHTS: dict[tuple[str, str], Callable[[int], int]] = {
    ("parnet", "infer"): lambda c: 9 * c * c,  # the merged kernel, which is made in each pass
    ("efficient", "train"): lambda c: (c * c + c) // 2,  # the gradient of one layer is there before others
}
"""Numbers of the size of weights, not of maps, that a fast form of C channels has more at its peak."""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("shape", [(1, 512, 64, 64), (2, 256, 48, 80), (1, 512, 97, 97)], ids=str)
@pytest.mark.parametrize("preset", [None, "table10"])
@pytest.mark.parametrize("name", TWO_FORMS)
def test_the_fast_form_peaks_no_higher_than_the_published(
    name: str, preset: str | None, shape: tuple[int, int, int, int], mode: Literal["infer", "train"]
) -> None:
    options = {} if preset is None else configurations(shape[1]).get(name)
    if options is None:
        pytest.skip("the preset has no such block")

    def peak(form: str) -> int:
        def build() -> nn.Module:
            return bind.build(name, shape[1], shape[2:], form, **options)

        return views.peak_bytes(trace(build, shape, mode=mode))

    more = WEIGHTS.get((name, mode), lambda _: 0)(shape[1])
    assert 0 < peak("fast") <= peak("published") + 4 * more
