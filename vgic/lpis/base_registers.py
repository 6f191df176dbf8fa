"""Registers that say where a table or queue in guest RAM is, and of which not every value is stored."""

from collections.abc import Mapping

from mmio import RegisterLayout

__all__ = ["Substitutes"]


class Substitutes:
    """What a register stores in place of some values of its fields.

    `fields` has values (keys) and their stand-ins by field name; fields that the register lacks are passed over.
    """

    def __init__(self, layout: RegisterLayout, fields: Mapping[str, Mapping[int, int]]) -> None:
        self._fields = [(field, fields[field.name]) for field in layout.fields if field.name in fields]

    def stored(self, value: int) -> int:
        """What is stored where `value` is written."""
        for field, values in self._fields:
            written = field.extract(value)
            value += (values.get(written, written) - written) << field.lsb
        return value
