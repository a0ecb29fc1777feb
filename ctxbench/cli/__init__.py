"""The command line: parse, call :mod:`ctxbench.api` or :mod:`ctxbench.segment`, print. Imports no torch.

A file for each family of verbs; each verb imports what it needs when it runs.
"""

from ctxbench.cli import data, evaluate, paper, profile, reproduce, train  # noqa: F401  they add their verbs to the app
from ctxbench.cli.app import app, main

__all__ = ["app", "main"]
