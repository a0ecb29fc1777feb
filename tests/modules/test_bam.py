from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.bam import BAM


class TestBAM(SingleFormContract):
    cls = BAM
    bad_options = ({"reduction": 0}, {"dilation": 0}, {"combine": "mean"})
    recordings: ClassVar = {"bam": {"combine": "product"}}
