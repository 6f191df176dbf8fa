"""The outcome of many replays as JUnit's XML, which every CI shows: a test case for each trace."""

from collections.abc import Sequence
from pathlib import PurePath
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from mmio.replacing import replacing_file
from vgic_tools.replay.batch import Row
from vgic_tools.terminal import visible

__all__ = ["write_junit"]

_ELEMENTS = {"diverged": "failure", "no verdict": "skipped", "unusable": "error"}


def write_junit(path: str, rows: Sequence[Row]) -> None:
    """Write the file, whole or not at all. Raises OSError where it cannot be written."""
    suite = Element("testsuite", name="vgic replay", tests=str(len(rows)))
    for verdict, counted in (("diverged", "failures"), ("unusable", "errors"), ("no verdict", "skipped")):
        suite.set(counted, str(sum(row.verdict == verdict for row in rows)))
    suite.set("time", f"{sum(row.seconds for row in rows):.3f}")
    for row in rows:
        trace = PurePath(row.trace)
        # XML has no place for control characters.
        case = SubElement(suite, "testcase", classname=visible(str(trace.parent)), name=visible(trace.name))
        case.set("time", f"{row.seconds:.3f}")
        if row.verdict in _ELEMENTS:
            SubElement(case, _ELEMENTS[row.verdict], message=visible(row.why), type=row.verdict)
        if row.machine:
            told = (
                f"{row.machine}: {row.events:,} events, {row.compared:,} values compared, {row.different:,} differ"
            )
            SubElement(case, "system-out").text = visible(told)
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    with replacing_file(path) as file:
        ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
