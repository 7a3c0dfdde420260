"""A pytest plugin for `coverage run`: lines are booked on the test that runs them, whatever its
parameters. (coverage's own ``test_function`` books hypothesis's examples on hypothesis.)"""

from collections.abc import Iterator

import coverage
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    measured = coverage.Coverage.current()
    assert measured is not None
    measured.switch_context(item.nodeid.partition("[")[0])
    try:
        return (yield)
    finally:
        measured.switch_context("")
