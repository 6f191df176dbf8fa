"""What the documentation site adds to the pages of specs/: anchors for rules, their small print, and links to them.

mkdocs calls the `on_*` functions; see mkdocs.yml. A rule can be linked to as `distributor.md#STATE-15`; wherever
its id stands in a text, docstrings of the reference included, it is a link.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

__all__ = ["on_config", "on_page_content", "on_page_markdown", "with_links", "with_small_print"]

_RULE: Final = re.compile(r"^### (?P<id>[A-Z][A-Z0-9]*-\d+) (?P<title>.*)$", re.MULTILINE)
_SMALL_PRINT: Final = re.compile(
    r"^(?P<key>Source|Status|Test): (?P<text>.*(?:\n(?!Source:|Status:|Test:)\S.*)*)", re.MULTILINE
)
_TAG: Final = re.compile(r"(<[^>]*>)")
_ID: Final = re.compile(r"\b[A-Z][A-Z0-9]*-\d+\b")
_KEPT: Final = frozenset({"a", "code", "pre", "h1", "h2", "h3", "h4", "title"})
"""Elements in which no id becomes a link."""

_pages: dict[str, str] = {}
"""The page of each rule, as a path below the site."""


def on_config(config: Any) -> None:
    """Find out which rules there are."""
    for page in Path(config["docs_dir"]).glob("*.md"):
        for rule in _RULE.finditer(page.read_text()):
            _pages[rule["id"]] = f"{page.stem}.html"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Give rules their anchors and their small print."""
    return with_small_print(markdown) if _RULE.search(markdown) else markdown


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Link the ids of rules."""
    return with_links(html, _pages, page.file.dest_uri)


def with_small_print(markdown: str) -> str:
    """The page with an anchor for each rule, and source, status and tests of each as a list below it."""
    anchored = _RULE.sub(r"### \g<id> \g<title> { #\g<id> }", markdown)
    return re.sub(
        r"(?:^(?:Source|Status|Test): .*\n(?:(?!\n).*\n)*)+", _as_list, anchored + "\n", flags=re.MULTILINE
    )


def _as_list(block: re.Match[str]) -> str:
    lines = []
    for line in _SMALL_PRINT.finditer(block[0]):
        text = " ".join(line["text"].split())
        lines.append(f"* {line['key']}: " + (f"`{text}`" if line["key"] == "Test" else text))
    return '\n<div class="small-print" markdown>\n\n' + "\n".join(lines) + "\n\n</div>\n\n"


def with_links(html: str, pages: dict[str, str], here: str) -> str:
    """The page, itself at `here` below the site, with a link wherever it names a rule of `pages`."""
    depth = 0
    parts = _TAG.split(html)
    for index, part in enumerate(parts):
        if index % 2:
            name = part.strip("</>").split(maxsplit=1)[0].lower() if part.strip("</>") else ""
            if name in _KEPT:
                depth += -1 if part.startswith("</") else 1
        elif depth == 0:
            parts[index] = _ID.sub(lambda found: _link(found[0], pages, here), part)
    return "".join(parts)


def _link(rule: str, pages: dict[str, str], here: str) -> str:
    if rule not in pages:
        return rule
    target = posixpath.relpath(pages[rule], posixpath.dirname(here) or ".")
    return f'<a href="{target}#{rule}">{rule}</a>'
