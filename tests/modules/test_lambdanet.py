from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.lambdanet import LambdaLayer


class TestLambdaLayer(SingleFormContract):
    cls = LambdaLayer
    options: ClassVar = {"scope": 5}
    bad_options = ({"key_width": 0}, {"heads": 3}, {"depth": 0}, {"scope": 4})
    recordings: ClassVar = {"lambda_local": {"key_width": 8, "heads": 4, "depth": 2}}
