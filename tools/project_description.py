"""The text that a package index shows: the README, whose links into the repository lead nowhere there."""

import re
from typing import Final

__all__ = ["project_description"]

_RELATIVE_LINK: Final = re.compile(r"!?\[([^\]]*)\]\((?!\w+:)[^)]*\)")
_NOTE: Final = (
    "The files named below come with the source distribution, the tests and recordings with the repository."
)


def project_description(readme: str) -> str:
    """The README with each link into the repository replaced by its text, and a note on where the files are."""
    title, blank, rest = readme.partition("\n\n")
    return f"{title}{blank}{_NOTE}{blank}{_RELATIVE_LINK.sub(lambda link: link[1], rest)}"
