"""`vgic rules`: asks GICs for the rules of specs/, and shows who obeys which."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vgic_tools.errors import UsageError
from vgic_tools.judges.errors import JudgeError, MissingJudgeError
from vgic_tools.progress import progress
from vgic_tools.terminal import BAD_INPUT, complain, fail, note, print_json

if TYPE_CHECKING:
    from vgic_tools.rules.scenario import Check
    from vgic_tools.rules.table import Column, Table

__all__ = ["rules_command"]


@click.command("rules", short_help="Show which GIC obeys which rule: QEMU, KVM, the model.")
@click.argument("judges", nargs=-1, metavar="[JUDGE]...")
@click.option("--rule", "wanted", multiple=True, metavar="ID", help="Ask for this rule alone; may be given again.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the table to a file, as a web page.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table to a file, in Markdown.")
@click.option("--json", "as_data", is_flag=True, help="Print the table as JSON, with the operations of each check.")
def rules_command(
    judges: tuple[str, ...], wanted: tuple[str, ...], html: Path | None, markdown: Path | None, as_data: bool
) -> None:
    """Ask each JUDGE, another GIC or the model, for the rules of specs/: it obeys, differs, or cannot be asked.

    A judge is qemu, qemu:PATH, qemu:newer, kvm:6.1, kvm:6.12, kvm:newest, kvm:PATH, or model:arch with arch, kvm or
    qemu for a profile. Unless told, all that are at hand are asked; where one is missing a sentence says so, and
    the table goes without it. Exits with 2 where no judge can be asked.

    \b
    vgic rules
    vgic rules qemu kvm:6.12 --html rules.html
    vgic rules model:arch qemu --rule CPU-2 --json
    """
    from vgic_tools.rules.book import read_rules
    from vgic_tools.rules.checks import CHECKS
    from vgic_tools.rules.judges import USUAL
    from vgic_tools.rules.table import table_of

    try:
        checks = [check for check in CHECKS if not wanted or check.rule in wanted]
        for rule in wanted:
            if all(check.rule != rule for check in checks):
                raise UsageError(f"no rule {rule!r} can be asked")
        asked = [_asked(word, checks, fetch=bool(judges)) for word in judges or USUAL]
        columns = [column for column in asked if column is not None]
    except UsageError as error:
        fail(error)
    if not columns:
        complain("there is no judge to ask")
        sys.exit(BAD_INPUT)
    table = table_of(columns, checks, read_rules())
    if html is not None or markdown is not None:
        _write(table, html, markdown)
    if as_data:
        from vgic_tools.rules.report import as_json

        print_json(as_json(table))
    else:
        from vgic_tools.console import stdout
        from vgic_tools.rules.report import print_table

        print_table(stdout(), table)


def _asked(word: str, checks: "list[Check]", fetch: bool) -> "Column | None":
    """The answers of a judge, None where there is no such judge here; a sentence has said so."""
    from vgic_tools.rules.engine import ask_all
    from vgic_tools.rules.judges import opened
    from vgic_tools.rules.table import column_of

    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        advance()

    try:
        with opened(word, fetch=fetch) as judge, progress(word, len(checks), lambda: done) as advance:
            return column_of(judge, ask_all(judge, checks, tick))
    except MissingJudgeError as error:
        note(f"{word} is left out: {error}")
    except JudgeError as error:
        complain(f"{word} is left out, it gives no answer: {error}")
    return None


def _write(table: "Table", html: Path | None, markdown: Path | None) -> None:
    from vgic_tools.rules.pages import html_page, markdown_page

    for path, page in ((html, html_page), (markdown, markdown_page)):
        if path is None:
            continue
        try:
            path.write_text(page(table), encoding="utf-8")
        except OSError as error:
            fail(UsageError(f"{path} cannot be written: {error.strerror}"))
