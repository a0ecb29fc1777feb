from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.axial import AxialAttention


class TestAxialAttention(SingleFormContract):
    cls = AxialAttention
    sized = True
    bad_options = ({"groups": 0}, {"groups": 3}, {"size": (0, 5)})
    recordings: ClassVar = {"axial": {"groups": 4}}

    def test_a_map_of_another_size_is_resampled_to_that_of_the_weights(self) -> None:
        module = AxialAttention(16, size=(4, 6)).eval()
        assert module(self.sample(size=(9, 5)).float()).shape == (2, 16, 9, 5)
