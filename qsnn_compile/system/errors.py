"""What the tools say when something is wrong. Each class carries its exit code."""


class QsnnError(Exception):
    """Bad input. The message names the file or node, what was expected, and what to do."""

    exit_code = 2


class Unsupported(QsnnError):
    """The network is well formed, and not one that the core runs."""


class DoesNotFit(QsnnError):
    """The network needs more than the target has. The message lists what exceeds what."""

    exit_code = 3


class Mismatch(QsnnError):
    """Two engines disagree. The message is the first divergence."""

    exit_code = 1
