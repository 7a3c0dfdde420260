"""What the values of options may be. Each says what it must be, as every error does."""

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from .frame import meant


class _Kind(click.ParamType[Any]):
    """A type whose errors are ``must be X, not 'Y'``."""

    def refuse(self, what: str, value: Any, param: click.Parameter | None,
               ctx: click.Context | None, hint: str = "") -> NoReturn:
        self.fail(f"must be {what}, not {value!r}{hint}", param, ctx)


class Whole(_Kind):
    """A whole number, of *least* or more."""

    name = "N"

    def __init__(self, least: int | None = None) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.refuse("a whole number", value, param, ctx)
        if self.least is not None and number < self.least:
            self.refuse(f"{self.least} or more", number, param, ctx)
        return number


class Wholes(Whole):
    """Whole numbers between commas."""

    def convert(self, value: Any, param: click.Parameter | None,    # type: ignore[override]
                ctx: click.Context | None) -> list[int]:
        parts = value.split(",") if isinstance(value, str) else value
        return [super(Wholes, self).convert(part, param, ctx) for part in parts]


class Real(_Kind):
    """A number."""

    name = "X"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        try:
            return float(value)
        except ValueError:
            self.refuse("a number", value, param, ctx)


class Chance(Real):
    """A probability below 1."""

    name = "P"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number) or not 0 <= number < 1:
            self.refuse("from 0 to below 1", number, param, ctx)
        return number


class OneOf(click.Choice[str]):
    """One of some words; near misses are proposed."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> str:
        if value in self.choices:
            return str(value)
        hint = meant(str(value), self.choices).rstrip("? ")
        self.fail(f"must be one of {', '.join(self.choices)}, not {value!r}"
                  f"{f'; {hint}?' if hint else ''}", param, ctx)


FILE = click.Path(readable=False)       # a name; whoever reads or writes it says what is wrong
