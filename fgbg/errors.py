"""The two kinds of failure this project raises on purpose.

Both carry one sentence for the person at the terminal: what is wrong, where, and the mend. The command line prints
that sentence without a traceback.
"""


class InputError(ValueError):
    """Wrong use or bad input: a flag, a picture or a weights file that the user can mend. Exit status 2."""


class RunError(RuntimeError):
    """A failure while running, such as a full disk or an output that cannot be written. Exit status 1."""
