"""What the IR says when something is wrong."""


class IrError(ValueError):
    """A graph, its text form or its data breaks a rule. The message names where, the rule, and
    what came instead."""


def require(ok: bool, where: str, rule: str, value: object) -> None:
    """Raise IrError ``{where}: {rule}, not {value!r}`` unless *ok*."""
    if not ok:
        raise IrError(f"{where}: {rule}, not {value!r}")
