"""`vgic decode`: the fields of a value, and the interrupts that it is about."""

import click

import vgic
from mmio import MapError, RegisterLayout
from vgic_tools.console import stdout, styled
from vgic_tools.decode.meaning import meaning
from vgic_tools.decode.names import Found, as_it_reads, find_by_address, find_by_name, find_record, value_of
from vgic_tools.errors import UsageError
from vgic_tools.fields import field_table
from vgic_tools.machines.options import machine_from_options, machine_options
from vgic_tools.numbers import number
from vgic_tools.terminal import fail

__all__ = ["decode_command"]


@click.command("decode", short_help="Show what a register, an ITS command or a table entry says.")
@click.argument("register", metavar="REGISTER|ADDRESS|RECORD")
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@machine_options
def decode_command(register: str, values: tuple[str, ...], **options: object) -> None:
    """Show the fields of a register, an ITS command, or an entry of a table, and which interrupts it is about.

    A register is given by name, or by its address on a machine: 4 vCPUs at the addresses of QEMU's virt machine
    unless told. A record is an ITS command, by its own name or as "command"; an entry of an ITS's tables (DTE, ITE,
    CTE, L1), in the format of the profile; a byte of an LPI pending table (pending+OFFSET) or of the LPI
    configuration table (LPI8192). A command or entry may be written as doublewords, in the order in which they are
    in memory.

    With --security two a register is shown as Secure accesses see it; GICD_CTLR_NS is what Non-secure ones see.

    \b
    vgic decode GICD_ISENABLER1 0x400
    vgic decode 0x8000004 0x37a0007
    vgic decode command 0x80000000a 0x200400000004 0x3 0
    vgic decode ITE 0x300008013 0x3ff --profile qemu
    vgic decode pending+0x404 0x11
    """
    try:
        bits = value_of(values)
        machine = machine_from_options(options, default_cpus=4)
        found = _find(register, bits, machine.config)
        if bits << found.shift >> found.layout.width:
            room = found.layout.width - found.shift
            raise UsageError(f"{found.title} has {room} bits; {' '.join(values)} does not fit")
    except (UsageError, MapError, vgic.VgicError) as error:
        fail(error)
    layout, value = found.layout, bits << found.shift
    console = stdout()
    part = f" from bit {found.shift}" if found.shift else ""
    access = f"  ({layout.access.value})" if isinstance(layout, RegisterLayout) else ""
    console.print(styled(found.title, "bold"), f"{part} = {value:#0{layout.width // 4 + 2}x}{access}", sep="")
    # The vCPUs of a machine that nobody named say nothing.
    known = any(options.values()) or number(register) is not None
    topology = machine.config.topology if known else None
    console.print(field_table(layout, value, topology))
    for sentence in meaning(found, value, topology):
        console.print(sentence)


def _find(register: str, bits: int, config: vgic.Config) -> Found:
    address = number(register)
    if address is not None:
        return find_by_address(address, vgic.Gic(config))
    found = find_record(register, bits, config.profile.its.entries) or find_by_name(register, config.two_states)
    return as_it_reads(found, bits)
