from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.volo import OutlookAttention


class TestOutlookAttention(SingleFormContract):
    cls = OutlookAttention
    bad_options = ({"heads": 3}, {"stride": 0}, {"stride": 4})
    recordings: ClassVar = {"outlook_attention": {"heads": 4}}


class TestOutlookAttentionOfEachPosition(SingleFormContract):
    """A window a position, and two heads."""

    cls = OutlookAttention
    options: ClassVar = {"stride": 1, "heads": 2}
