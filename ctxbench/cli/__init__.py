"""The command line: parse, call the stage a verb is about, print. Imports no torch.

A file for each verb, named as the verb; each imports what it needs when it runs. What options of several
verbs mean stands in ``options`` and ``values``, what verbs print alike in ``shared``.
"""

from ctxbench.cli import (  # noqa: I001  --help has this order
    profile,  # noqa: F401
    list,  # noqa: F401
    explain,  # noqa: F401
    compare,  # noqa: F401
    choose,  # noqa: F401
    calibrate,  # noqa: F401
    report,  # noqa: F401
    probe,  # noqa: F401
    study,  # noqa: F401
    env,  # noqa: F401
    train,  # noqa: F401
    eval,  # noqa: F401
    attention,  # noqa: F401
    data,  # noqa: F401
    paper,  # noqa: F401
    decode,  # noqa: F401
    audit,  # noqa: F401
    sweep,  # noqa: F401
)
from ctxbench.cli.app import app, main

__all__ = ["app", "main"]
