"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Bad input. Its message is one line: what was wrong, and what would be right.

    The CLI prints it without a traceback and exits with code 2.
    """
