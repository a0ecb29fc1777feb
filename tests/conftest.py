"""Two workers run the tests (pyproject.toml), each file in one of them: of two cores, each has one."""

import os

from hypothesis import settings

# before torch reads it, here and in the processes that tests start: on tensors of this size further threads
# cost more than they take over, wait for each other where other tests run too, and sum in another order
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile("ctxbench", deadline=None)  # no test asserts a time
settings.load_profile("ctxbench")
