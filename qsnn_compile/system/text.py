"""What files and users call things, as a terminal may show it."""

import re

LONGEST = 120                   # characters of a name
LINE = 2000                     # of a message


def plain(text: str, longest: int = LONGEST) -> str:
    """*text* on one line: what is not printable escaped, the middle of more than *longest*
    characters left out."""
    shown = text if text.isprintable() else "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(shown) <= longest:
        return shown
    return f"{shown[:longest * 2 // 3]}…{shown[-(longest // 4):]}"


def line(message: str) -> str:
    """*message* as one line, long names in it shortened."""
    shown = re.sub(rf"\S{{{LONGEST + 80},}}", lambda match: plain(match.group()), message)
    return plain(shown, LINE)


def marked(text: str) -> str:
    """*text* for one of rich's tables or lines: plain, and none of it markup."""
    from rich.markup import escape
    return escape("\n".join(map(line, text.split("\n"))))
