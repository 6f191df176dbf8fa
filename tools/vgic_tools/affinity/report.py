"""The report of an experiment: one HTML page that needs no other file."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Final, TypeVar

from vgic_tools.affinity.plots import Drawn
from vgic_tools.affinity.results import about, as_csv
from vgic_tools.affinity.study import Study, Summary

__all__ = ["write_report"]

PointT = TypeVar("PointT")
RowT = TypeVar("RowT")

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; } figcaption { color: #555; max-width: 45rem; }
p { max-width: 45rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; vertical-align: top; }
.summary td { white-space: nowrap; }
th { border-bottom: 1px solid #999; vertical-align: bottom; }
th:first-child, td:first-child, .columns td, .columns th { text-align: left; }
td:first-child { white-space: nowrap; }
tbody tr:nth-child(even) { background: #f6f6f6; }
pre { font-size: 12px; overflow: auto; max-height: 30rem; background: #f6f6f6; padding: .7rem; }
summary { cursor: pointer; } details { margin-bottom: 1rem; }
"""


def write_report(
    study: Study[PointT, RowT],
    rows: Sequence[RowT],
    figures: Sequence[Drawn],
    provenance: Mapping[str, str],
    output: Path,
) -> Path:
    """Write NAME.html into `output`; its path. `provenance` is what to say of where they come from."""
    body = [f"<h1>{escape(study.title)}</h1>"]
    body += [f"<p>{escape(paragraph.strip())}</p>" for paragraph in study.text.strip().split("\n\n")]
    for figure in figures:
        source, caption = b64encode(figure.svg.encode()).decode(), escape(figure.caption)
        body.append(
            f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{source}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    name, csv = study.csv_path(output).name, as_csv(study.row_type, rows)
    link = f"data:text/csv;charset=utf-8;base64,{b64encode(csv.encode()).decode()}"
    measured = ", ".join(item.name for item in fields(study.points[0]))  # type: ignore[arg-type]
    body += [
        "<h2>In short</h2>",
        _table(study.summary(rows)),
        "<h2>Where this comes from</h2>",
        _table(Summary((), list(provenance.items())), "columns"),
        "<h2>All rows</h2>",
        f'<p>{len(rows):,} rows: <a download="{escape(name)}" href="{link}">{escape(name)}</a>. A row is what was'
        f" measured at one combination of: {escape(measured)}.</p>",
        f"<details><summary>Show the file</summary><pre>{escape(csv)}</pre></details>",
        _table(Summary(("column", "what it holds"), list(about(study.row_type).items())), "columns"),
    ]
    path = output / f"{study.name}.html"
    path.write_text(_page(study.title, "\n".join(body)), encoding="utf-8")
    return path


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _table(table: Summary, kind: str = "summary") -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    head = f"<thead><tr>{head}</tr></thead>\n" if head else ""
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in table.lines
    )
    return f'<div class="wide"><table class="{kind}">\n{head}<tbody>\n{lines}\n</tbody></table></div>'
