"""TGM+TRM's reconstruction and gate as one kernel for NVIDIA's GPUs, in Triton, which this file alone needs.

A = Σ v_ci ⊗ v_hi ⊗ v_wi and Y = A ⊙ X of :mod:`ctxbench_modules.reconet`: the factors and X are read once and
Y is written once; A, as large as X, is never in memory, and neither is the product of v_h and v_w. For
inference; not timed on a GPU yet, and so not what ``reconet`` runs.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ctxbench_modules.reconet import TGMTRM

BLOCK_C, BLOCK_P, BLOCK_R = 64, 64, 32
"""Channels, positions and ranks that one program holds at a time."""


@triton.jit  # type: ignore[untyped-decorator]
def gate_kernel(  # type: ignore[no-untyped-def]
    x, y, v_c, v_h, v_w, batch, channels, height, width, rank,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Write one tile of y, ``BLOCK_C`` channels and ``BLOCK_P`` positions of one map."""
    n = tl.program_id(2)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    of_c, of_p = c < channels, p < height * width
    row, column = p // width, p % width
    attention = tl.zeros((BLOCK_C, BLOCK_P), dtype=tl.float32)
    for start in range(0, rank, BLOCK_R):
        r = start + tl.arange(0, BLOCK_R)
        of_r, vector = r < rank, r * batch + n  # the factors are (r, N, L): r·N vectors of L
        inside_c = of_c[:, None] & of_r[None, :]
        by_c = tl.load(v_c + vector[None, :] * channels + c[:, None], mask=inside_c, other=0.0)
        inside_p = of_r[:, None] & of_p[None, :]
        by_h = tl.load(v_h + vector[:, None] * height + row[None, :], mask=inside_p, other=0.0)
        by_w = tl.load(v_w + vector[:, None] * width + column[None, :], mask=inside_p, other=0.0)
        plane = (by_h.to(tl.float32) * by_w.to(tl.float32)).to(by_c.dtype)
        attention += tl.dot(by_c, plane, input_precision="ieee")
    place = (n.to(tl.int64) * channels + c[:, None]) * (height * width) + p[None, :]  # may be 2³¹ and more
    mask = of_c[:, None] & of_p[None, :]
    gated = attention * tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    tl.store(y + place, gated.to(y.dtype.element_ty), mask=mask)


def gate(x: Tensor, v_c: Tensor, v_h: Tensor, v_w: Tensor) -> Tensor:
    """A ⊙ X with A = Σ v_ci ⊗ v_hi ⊗ v_wi over the r ranks, λ_i being in v_ci.

    ``x`` is (N, C, H, W), contiguous; the factors are (r, N, C), (r, N, H) and (r, N, W), all of one dtype:
    float32, bfloat16 or float16. Sums are float32.
    """
    batch, channels, height, width = x.shape
    y = torch.empty_like(x)  # (N, C, H, W)
    grid = (triton.cdiv(height * width, BLOCK_P), triton.cdiv(channels, BLOCK_C), batch)
    gate_kernel[grid](
        x, y, v_c.contiguous(), v_h.contiguous(), v_w.contiguous(),
        batch, channels, height, width, v_c.shape[0], BLOCK_C=BLOCK_C, BLOCK_P=BLOCK_P, BLOCK_R=BLOCK_R,
    )  # fmt: skip
    return y


def has_kernel(x: Tensor) -> bool:
    """Whether the kernel runs on ``x``: in inference, a contiguous map on a GPU in a dtype it knows."""
    return (
        type(x) is Tensor  # a fake one has no data
        and x.is_cuda
        and x.is_contiguous()
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()  # which fuses by itself
    )


class FusedTGMTRM(TGMTRM):
    """TGM+TRM, in its fast form with the kernel where :func:`has_kernel`; else as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to A ⊙ X of the same shape; ValueError where ``x`` is not (N, ``channels``, H, W)."""
        if self.implementation == "published" or not has_kernel(x):
            return super().forward(x)
        v_c, v_h, v_w = self._fragments(x)  # (r, N, C), (r, N, H), (r, N, W)
        with torch.cuda.device(x.device):  # where Triton starts it
            return gate(x, v_c * self.lambda_logits.softmax(0)[:, None, None], v_h, v_w)  # (N, C, H, W)
