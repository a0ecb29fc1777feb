from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from modules.contract import (
    IMPLEMENTATIONS,
    RTOL,
    ModuleContract,
    assert_same,
    load_recording,
    released_state,
)

from ctxbench_modules.reconet import TGMTRM


class TestTGMTRM(ModuleContract):
    cls = TGMTRM
    sized = True
    options: ClassVar = {"rank": 5}
    bad_options = ({"rank": 0}, {"size": (0, 5)}, {"size": (7,)})
    recordings: ClassVar = {"reconet_tgm_trm": {"rank": 8}}

    def released_form(self, module):
        """The released map has height and width exchanged."""
        return lambda x: torch.cat([x, torch.relu(x * module.attention_map(x).transpose(2, 3))], dim=1)

    def test_released_map(self, implementation):
        data = load_recording("reconet_tgm_trm")
        x = data["x"]
        module = TGMTRM(32, size=(12, 12), rank=8, implementation=implementation).double()
        module.load_released(released_state(data))
        attention = module.attention_map(x).detach()
        assert_same(attention, data["alt:T"].transpose(2, 3))
        assert_same(torch.cat([x, torch.relu(x * attention)], dim=1), data["alt:y_corrected"])

    @pytest.mark.parametrize("size", [(7, 5), (10, 4)])
    def test_attention_is_the_weighted_sum_of_sub_attentions(self, size, implementation):
        module, x = self.built(implementation), self.sample(size=size)
        scale = module.lambda_logits.softmax(0)
        total = sum(scale[i] * module.sub_attention(x, i) for i in range(5))
        assert_same(module.attention_map(x).detach(), total.detach())
        assert_same(module(x).detach(), (total * x).detach())

    def test_lambda_is_trained(self, implementation):
        module, x = self.built(implementation), self.sample()
        module(x).square().sum().backward()
        assert bool((module.lambda_logits.grad != 0).all())
        # A soft-max has no gradient along its shift.
        assert abs(float(module.lambda_logits.grad.sum())) <= 1e-12 * float(
            module.lambda_logits.grad.abs().sum()
        )

    def test_weights_of_the_sigmoid_form_are_refused(self, implementation):
        """λ was once σ(``logits``): read as logits of a soft-max those weights would say something else."""
        module = self.built(implementation)
        state = module.state_dict()
        state["logits"] = state.pop("lambda_logits")
        with pytest.raises(RuntimeError, match="lambda_logits"):
            module.load_state_dict(state)

    def test_another_size_resamples_alike(self):
        x = self.sample(size=(10, 4))
        fast, published = (self.built(implementation)(x).detach() for implementation in IMPLEMENTATIONS)
        assert_same(fast, published)

    def test_constant_input_is_unchanged_by_resampling(self, implementation):
        """Where every row and column has one mean, resampling it is exact."""
        module = self.built(implementation, size=(1, 1))
        x = torch.full((1, 16, 1, 1), 0.3, dtype=torch.float64)
        y = module(x.expand(1, 16, 4, 6))
        assert_same(y.detach(), module(x).detach().expand_as(y))

    def test_sub_attention_index(self, implementation):
        with pytest.raises(ValueError, match="index"):
            self.built(implementation).sub_attention(self.sample(), 5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(logits=st.lists(st.floats(-8, 8), min_size=5, max_size=5), shift=st.floats(-8, 8))
def test_attention_is_a_weighted_mean(logits, shift, implementation):
    """Equation 3's words: A lies between the least and the largest A_i, and λ is normalised."""
    contract = TestTGMTRM()
    module, x = contract.built(implementation, size=(3, 4)), contract.sample(n=1, size=(3, 4))
    with torch.no_grad():
        module.lambda_logits.copy_(torch.tensor(logits))
        terms = torch.stack([module.sub_attention(x, i) for i in range(5)])
        mean = module.attention_map(x)
        assert bool((mean >= terms.amin(0) - RTOL).all())
        assert bool((mean <= terms.amax(0) + RTOL).all())
        module.lambda_logits.add_(shift)
        assert_same(module.attention_map(x), mean)


@pytest.mark.parametrize(("rank", "expected"), [(1, 1.0), (2, 0.5), (64, 1 / 64)])
def test_lambda_starts_uniform(rank, expected):
    scale = TGMTRM(8, size=(3, 3), rank=rank).lambda_logits.softmax(0)
    assert scale.shape == (rank,)
    torch.testing.assert_close(scale, torch.full((rank,), expected))


def test_a_single_released_rank_has_weight_one():
    module = TGMTRM(8, size=(3, 3), rank=1).double()
    module.load_released(
        {f"conv1_{i}.0.0.weight": torch.zeros(n, n, 1, 1) for i, n in ((1, 8), (2, 3), (3, 3))}
    )
    assert module.lambda_logits.softmax(0).tolist() == [1.0]


def test_published_leaves():
    """64 × 3 convolutions and sigmoids, and one product leaf for every outer product."""
    module = TGMTRM(8, size=(3, 5), rank=4, implementation="published")
    calls = []
    for leaf in module.modules():
        if not list(leaf.children()):
            leaf.register_forward_hook(lambda leaf, _, y: calls.append((type(leaf).__name__, tuple(y.shape))))
    module(torch.zeros(1, 8, 3, 5))
    assert [name for name, _ in calls[:24]] == ["Conv2d", "Sigmoid"] * 12
    assert calls[24:] == [("MatMul", (1, 8, 3)), ("MatMul", (1, 24, 5))] * 4
