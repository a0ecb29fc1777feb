"""Threads in a process of its own, since torch takes some of its settings once."""

import json
import subprocess
import sys

ASKED = 3
CODE = f"""
import json, os
from ctxbench.measure.threads import set_threads, threads
set_threads({ASKED})
print(json.dumps([threads(), os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]]))
"""


def test_every_library_takes_the_threads_that_it_is_told_to() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    taken, *variables = json.loads(ran.stdout)
    assert {"torch", "torch inter-op"} <= taken.keys()
    assert set(taken.values()) == {ASKED}
    assert variables == [str(ASKED)] * 2
