"""The documentation's own files: figures that a script makes, links that lead somewhere."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from qsnn_compile.cli import pages

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]


def figures():
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module             # dataclasses look there
    spec.loader.exec_module(module)
    return module.FIGURES


@pytest.mark.parametrize("name", figures())
def test_a_figure_is_what_its_script_draws(name):
    assert (DOCS / "figures" / f"{name}.svg").read_text() == figures()[name]().svg()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_that_a_page_names_are_there(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} leads to {target}"
    for path in re.findall(r"`((?:qsnn_compile|hw|sim|models|runtime|docs|tests)/[\w/.-]+\.\w+)`",
                           text):
        assert (DOCS.parent / path).exists(), f"{page.name} names {path}"


def test_the_page_of_commands_is_what_the_commands_say():
    assert (DOCS / "commands.md").read_text() == pages.page()
