"""Where ``ctxbench`` starts. What takes no options is answered without Typer, which is slow to import."""

import atexit
import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line. Ctrl-C is exit code 130, whatever is being imported or put away just then."""
    try:
        _answer()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        atexit.register(_ignore_interrupts)  # registered last, and so called first


def _answer() -> None:
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


def _ignore_interrupts() -> None:
    """All is done and said; Python gives SIGINT back to the system on its way out, which ends it with -2."""
    import _signal  # what signal is made of: signal itself imports enum, a tenth of what listing takes

    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)


if __name__ == "__main__":
    main()
