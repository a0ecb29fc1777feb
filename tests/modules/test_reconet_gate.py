"""TGM+TRM's kernel in Triton's interpreter on the CPU, and its compilation for GPUs that are not there."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="Triton, which torch with CUDA brings, is not installed",
)
INTERPRETED = """
import contextlib, json, sys, torch
from ctxbench_modules import reconet_gate
from ctxbench_modules.reconet import TGMTRM

n, c, h, w, rank, dtype, size = json.loads(sys.argv[1])
dtype = getattr(torch, dtype)
torch.manual_seed(0)
published = TGMTRM(c, size=size, rank=rank, implementation="published")
torch.nn.init.normal_(published.lambda_logits)
fused = reconet_gate.FusedTGMTRM(c, size=size, rank=rank)
fused.load_state_dict(published.state_dict())
x = torch.randn(n, c, h, w)
kernels, ran = reconet_gate.gate, []

def gate(*given):
    ran.append(True)
    return kernels(*given)

reconet_gate.gate = gate
with torch.no_grad():
    exact = published.double()(x.double())
    plain = fused.to(dtype)(x.to(dtype))
    assert not ran  # on the CPU it runs as its parent does
    reconet_gate.has_kernel = lambda x: True
    torch.cuda.device = lambda device: contextlib.nullcontext()
    y = fused(x.to(dtype))
    assert ran == [True]
assert y.dtype == dtype and y.shape == x.shape
print(json.dumps([float((found.double() - exact).norm() / exact.norm()) for found in (y, plain)]))
"""
COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from ctxbench_modules import reconet_gate as gate

blocks = {"BLOCK_C": gate.BLOCK_C, "BLOCK_P": gate.BLOCK_P, "BLOCK_R": gate.BLOCK_R}
for dtype in ("fp32", "bf16", "fp16"):
    signature = dict.fromkeys(("x", "y", "v_c", "v_h", "v_w"), f"*{dtype}")
    signature |= dict.fromkeys(("batch", "channels", "height", "width", "rank"), "i32")
    signature |= dict.fromkeys(blocks, "constexpr")
    source = ASTSource(gate.gate_kernel, signature, constexprs=blocks)
    for capability in (80, 90):
        kernel = compile(source, target=GPUTarget("cuda", capability, 32))
        print(capability, dtype, kernel.metadata.shared, "cubin" in kernel.asm)
"""


def ran(code: str, *arguments: str, **environment: str) -> str:
    """What a Python of its own prints; Triton reads the environment when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("shape", "rank", "dtype", "size", "most"),
    [
        ((1, 16, 4, 5), 5, "float32", (4, 5), 1e-6),
        ((2, 70, 9, 13), 64, "float32", (9, 13), 1e-6),  # tiles that are cut off in channels and positions
        ((1, 130, 16, 8), 33, "float32", (16, 8), 1e-6),  # and in ranks
        ((2, 16, 10, 4), 5, "float32", (7, 5), 1e-6),  # built for another size: resampled
        ((1, 16, 9, 7), 8, "float16", (9, 7), 2e-3),
    ],
)  # bfloat16 is not here: the interpreter's products do not know it
def test_it_equals_the_published_form_to_rounding(
    shape: Any, rank: int, dtype: str, size: Any, most: float
) -> None:
    given = json.dumps([*shape, rank, dtype, size])
    kernel, plain = json.loads(ran(INTERPRETED, given, TRITON_INTERPRET="1"))
    assert kernel < most
    assert kernel < 2 * plain


def test_it_compiles_for_gpus() -> None:
    lines = [line.split() for line in ran(COMPILED, TRITON_INTERPRET="0").splitlines()]
    assert len(lines) == 6
    assert all(has_code == "True" for *_, has_code in lines)
    assert max(int(shared) for _, _, shared, _ in lines) <= 99 * 1024  # what capability 8.6 has for a block
