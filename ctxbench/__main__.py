"""Where ``ctxbench`` starts. What takes no options is answered without Typer, which is slow to import."""

import os
import sys


def main() -> None:
    """Answer ``ctxbench``, ``ctxbench --help`` and ``ctxbench list``; leave all else to the command line."""
    arguments = sys.argv[1:]
    if "_CTXBENCH_COMPLETE" in os.environ:  # a shell asks for completions: its words are in the environment
        from ctxbench import cli

        cli.main()
    elif arguments in ([], ["--help"]):
        with open(__file__.replace("__main__.py", "help.txt"), encoding="utf-8") as page:
            sys.stdout.write(page.read())
    elif arguments == ["list"]:
        from ctxbench.subject.registry import catalogue

        sys.stdout.write(catalogue())
    else:
        from ctxbench import cli

        cli.main()


if __name__ == "__main__":
    main()
