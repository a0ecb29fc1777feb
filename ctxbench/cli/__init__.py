"""The command line: parse, call the stage a verb is about, print. Imports no torch.

A file for each family of verbs; each verb imports what it needs when it runs.
"""

from ctxbench.cli import profile, train, evaluate, data, reproduce, paper  # noqa: F401, I001  --help has this order
from ctxbench.cli.app import app, main

__all__ = ["app", "main"]
