"""qsnn report: a build's report."""

from types import SimpleNamespace

from . import options
from .frame import command
from .output import check_json, write_json


@command("report")
@options.build
@options.json
def report(given: SimpleNamespace) -> int:
    """Print a build's report."""
    from qsnn_compile.builds.report import print_report, read_report
    check_json(given.json)
    content = read_report(given.build)
    if given.json != "-":
        print_report(content)
    if given.json:
        write_json(content, given.json)
    return 0
