"""Web pages that need no other file. They are made from the templates beside this module, by Jinja."""

from typing import Final

from vgic_tools.errors import UsageError
from vgic_tools.terminal import visible

__all__ = ["check_pages", "rendered"]

_MISSING: Final = "--html needs Jinja: pip install 'vgic[report]'"


def check_pages() -> None:
    """Raise UsageError where pages cannot be made, before there is work to do for them."""
    try:
        import jinja2  # noqa: F401  # whether it is there
    except ImportError as error:
        raise UsageError(_MISSING) from error


def rendered(template: str, **values: object) -> str:
    """The page of a template. Every text is data: markup means nothing in it, and no character is invisible.

    Raises UsageError without Jinja.
    """
    check_pages()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vgic_tools.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # What is markup already is of a type of its own.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    return environment.get_template(template).render(**values)
