"""A mutant counts only where a test had to notice it."""

import pytest
from mutants_rooms import ROOMS, Mutant, Room, sample

CODE = """from functools import cache


@cache
def place(queue, *, kind: str):
    if not (first := queue[0]) or kind == "spikes":
        return first
    return first * 2


def first(queue):
    if item := queue[0]:
        return item
"""


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """The mutants of a text, at every place that it has."""
    monkeypatch.setitem(ROOMS, "room", Room(("*.py",), ()))

    def of(text: str, seed: int = 1) -> list[Mutant]:
        (tmp_path / "code.py").write_text(text)
        return sample(tmp_path, "room", 1000, seed)

    return of


@pytest.mark.parametrize("seed", range(20))
def test_python_takes_every_mutant(draw, seed):
    drawn = {(mutant.line, mutant.operator) for mutant in draw(CODE, seed)}
    lines = {line for line, _ in drawn}
    assert {6, 8} <= lines                  # the test, the product
    assert 4 not in lines                   # the decorator
    assert {change for line, change in drawn if line == 5} <= {     # of the signature's `*`
        "core/ReplaceBinaryOperator_Mul_Div"}                       # Python takes `/` alone
    assert (12, "core/AddNot") not in drawn     # `not item := …` is no Python
    assert not {(6, "core/ReplaceComparisonOperator_Eq_Is"),
                (6, "core/ReplaceComparisonOperator_Eq_IsNot")} & drawn     # a SyntaxWarning


def test_a_place_without_a_change_is_left_out(draw):
    assert draw("def first(queue):\n    if item := queue():\n        return item\n") == []


def test_a_seed_draws_the_same_mutants(draw):
    assert draw(CODE, 3) == draw(CODE, 3) != draw(CODE, 4)
