"""`vgic state`: look at state files, compare them, and ask whether a host can run what they hold."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import click

from vgic import VgicError
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.host.trap_plan import TrapPlan, trap_plan
from vgic.kvm.beyond import beyond_kvm
from vgic.state.saving import VmDescription
from vgic_tools.console import Output, Styled, Table, stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.fields import field_table
from vgic_tools.inputs import is_given_once, read_text, shown_name
from vgic_tools.kvm_order import check_log
from vgic_tools.numbers import number
from vgic_tools.snapshots.debugfs import Dump, ItsDump
from vgic_tools.snapshots.files import Saved, read_saved, read_snapshot
from vgic_tools.snapshots.snapshot import Snapshot
from vgic_tools.state_words import describe, device_of, difference, layout_of
from vgic_tools.terminal import DIFFERENT, fail, print_line

__all__ = ["state_group"]

ValueT = TypeVar("ValueT")

_MOST_AFFINITIES: Final = 8

_CTLR: Final = "ICC[0].ICC_CTLR_EL1"

_SHOWN_BY: Final = {"PREbits": "ICC[0].ICC_BPR0_EL1, its least value"}
"""What shows a guest a field of ICH_VTR_EL2, where it is not the field of that name in ICC_CTLR_EL1."""


@click.group("state", short_help="Look at saved VMs, compare them, and check them against a host.")
def state_group() -> None:
    """Look at saved states of VMs, whoever saved them. A file may be compressed; - is standard input.

    \b
    state files                  of this project
    migration streams            of QEMU (migrate "exec:cat > vm.mig"), or libvirt's save files, not compressed
    state.json                   of Cloud Hypervisor 37 to August 2026
    snapshot-editor's text       of Firecracker 1.x (info-vmstate vm-state), as of August 2026
    irqchip                      of crosvm, as of August 2026 (needs the extra vgic[snapshots])
    vgic-state, vgic-its-state   of a KVM host's debugfs, since Linux 4.16: show, and diff of vgic-state
    """


@state_group.command("show")
@click.argument("file", metavar="FILE")
@click.option(
    "--fields",
    "wanted",
    metavar="REGISTER",
    help="Show the fields of this register; without a device, of every one.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="PAGE",
    help="Write a web page instead (needs the extra vgic[report]).",
)
@click.pass_context
def show_command(context: click.Context, file: str, wanted: str | None, html: Path | None) -> None:
    """Show what a saved VM is in, device by device. A register that is not listed is zero.

    \b
    vgic state show vm.state
    vgic state show vm.state --fields GICR[1].GICR_WAKER
    vgic state show vm.state --html vm.html
    """
    if html is not None and wanted is not None:
        fail(UsageError("--html shows every register: leave --fields out"))
    saved, console = _read_saved(file), stdout()
    if not isinstance(saved, Snapshot):
        if html is not None or wanted is not None:
            fail(UsageError(f"{shown_name(file)}: what a KVM host says has no registers to show so"))
        _print_dump(console, shown_name(file), saved)
        return
    snapshot, state = saved, saved.state
    registers = state.data["registers"]
    if html is not None:
        _write_page(context, snapshot, file, html)
        return
    if wanted is not None:
        _show_fields(console, registers, wanted)
        return
    console.print(f"{shown_name(file)}: {snapshot.kind}")
    for note in (*snapshot.notes, *snapshot.findings):
        console.print(styled("note:", "yellow"), note)
    console.print()
    console.print(_vm_table(state.data["vm"]))
    for device in dict.fromkeys(map(device_of, registers)):
        console.print()
        console.print(styled(device, "bold"))
        shown = table("register", "value", "not zero", right=("value",))
        for name, value in registers.items():
            if device_of(name) == device:
                shown.add_row(name, f"{value:#x}", describe(name, value))
        console.print(shown)


def _print_dump(console: Output, name: str, saved: Dump | ItsDump) -> None:
    from vgic_tools.snapshots.debugfs_report import print_dump, print_its_dump

    if isinstance(saved, Dump):
        print_dump(console, name, saved)
    else:
        print_its_dump(console, name, saved)


def _write_page(context: click.Context, snapshot: Snapshot, file: str, html: Path) -> None:
    from vgic_tools.report.outputs import Outputs, origin, write_page
    from vgic_tools.report.state_page import state_page

    vm = snapshot.state.data["vm"]
    words = {key: text for key, text in _vm_texts(vm).items() if not key.startswith("affinities")}
    words = {"vCPUs": f"{len(vm['affinities'])}: {', '.join(vm['affinities'])}"} | words
    try:
        Outputs(html=html).check(file)
        write_page(html, state_page(snapshot, words, f"State of {shown_name(file)}", origin(context, file)))
    except UsageError as error:
        fail(error)


@state_group.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
def diff_command(a: str, b: str) -> None:
    """Show in which registers two states differ, and how. Exits with 0 where in none, 1 where in some."""
    try:
        is_given_once(a, b)
    except UsageError as error:
        fail(error)
    first, second = _read_saved(a), _read_saved(b)
    if isinstance(first, Dump) and isinstance(second, Dump):
        _diff_dumps(first, second)
        return
    for name, saved in ((a, first), (b, second)):
        if not isinstance(saved, Snapshot):
            fail(UsageError(f"{shown_name(name)}: what a KVM host says is compared with another vgic-state alone"))
    assert isinstance(first, Snapshot)
    assert isinstance(second, Snapshot)
    one, other = first.state.data, second.state.data
    shown = table("", "A", "B", "difference", right=("A", "B"))
    for key, was, is_now in _differing(_vm_texts(one["vm"]), _vm_texts(other["vm"])):
        shown.add_row(f"vm.{key}", was or "-", is_now or "-", "")
    for name, before, after in _differing(one["registers"], other["registers"]):
        old_value, new_value = before or 0, after or 0
        shown.add_row(name, f"{old_value:#x}", f"{new_value:#x}", difference(name, old_value, new_value))
    if not shown.row_count:
        print_line("no difference")
        return
    stdout().print(shown)
    sys.exit(DIFFERENT)


def _diff_dumps(one: Dump, other: Dump) -> None:
    from vgic_tools.snapshots.debugfs_report import differences

    found = differences(one, other)
    if not found:
        print_line("no difference")
        return
    shown = table("", "A", "B", right=("A", "B"))
    for row in found:
        shown.add_row(*row)
    stdout().print(shown)
    sys.exit(DIFFERENT)


@state_group.command("check", short_help="Say whether a host can go on with a saved VM.")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--order", metavar="LOG", help="Check a VMM's log of KVM calls instead of a state.")
@click.option(
    "--ram",
    "images",
    multiple=True,
    metavar="FILE@ADDRESS",
    help="The guest's RAM from this address on, to look for the tables of its ITS; may be given several times.",
)
@click.option(
    "--host-vtr", metavar="VALUE", help="ICH_VTR_EL2 of the host; the other options say what differs from it."
)
@click.option("--host-a3v/--host-no-a3v", default=None, help="The host has affinity level 3.")
@click.option("--host-priority-bits", type=int, metavar="N", help="Bits of virtual priority, 5 to 8.")
@click.option("--host-preemption-bits", type=int, metavar="N", help="Bits that decide preemption, 5 to 7.")
@click.option("--host-id-bits", type=int, metavar="N", help="Bits of a virtual INTID, 16 or 24.")
@click.option("--host-seis/--host-no-seis", default=None, help="SErrors can be generated locally.")
def check_command(
    file: str | None,
    order: str | None,
    images: tuple[str, ...],
    host_vtr: str | None,
    host_a3v: bool | None,
    host_priority_bits: int | None,
    host_preemption_bits: int | None,
    host_id_bits: int | None,
    host_seis: bool | None,
) -> None:
    """Say whether a host with hardware virtualisation can go on with a saved VM, and what it must trap for that.

    With --order, say instead what a VMM's log of KVM calls would lose, or have refused, under KVM's rules of order;
    `vgic_tools.kvm_order` tells how the log is written. Of a snapshot of a VMM, says first what is wrong with it or
    gets lost, which needs no host. Exits with 0 where all is well; 1 where no trap helps, KVM refuses the VM, or
    there are findings; 2 where the input cannot be used.

    \b
    vgic state check vm.state --host-vtr 0x90180003 --host-no-a3v
    vgic state check state.json --ram memory-ranges@0x40000000
    vgic state check --order vmm.log
    """
    if (file is None) == (order is None):
        fail(UsageError("say what to check: a state file, or --order LOG"))
    if order is not None:
        _check_order(order)
        return
    assert file is not None
    snapshot, console = _read(file), stdout()
    findings = [*snapshot.findings, *_missing_tables(snapshot, images)]
    for finding in findings:
        console.print(styled("finding:", "yellow"), finding)
    asked = any(
        option is not None
        for option in (host_vtr, host_a3v, host_priority_bits, host_preemption_bits, host_id_bits, host_seis)
    )
    try:
        # A state that no VM can have is not worth asking about.
        gic = snapshot.state.build()
    except VgicError as error:
        fail(error)
    lost = beyond_kvm(gic.config)
    if lost:
        what = f": the VM has {', '.join(lost)}, which Linux's KVM does not carry"
        console.print(styled("does not run", "bold red"), what, sep="")
        sys.exit(DIFFERENT)
    if (findings or images) and not asked:
        sys.exit(DIFFERENT if findings else 0)
    try:
        host = _host(host_vtr, host_a3v, host_priority_bits, host_preemption_bits, host_id_bits, host_seis)
        plan = trap_plan(CpuInterfaceView.from_ctlr(gic.save()["registers"][_CTLR]), host)
    except (UsageError, VgicError) as error:
        fail(error)
    _print_plan(console, plan)
    if findings or not plan.possible or _kvm_refuses(plan):
        sys.exit(DIFFERENT)


def _missing_tables(snapshot: Snapshot, images: tuple[str, ...]) -> list[str]:
    from vgic_tools.its import guest_ram
    from vgic_tools.snapshots.tables import missing_tables

    try:
        memory = guest_ram(images) if images else snapshot.memory
    except (UsageError, VgicError) as error:
        fail(error)
    return [] if memory is None else list(missing_tables(snapshot.state.data["registers"], memory))


def _check_order(log: str) -> None:
    try:
        findings = check_log(read_text(log).splitlines(), shown_name(log))
    except UsageError as error:
        fail(error)
    log = shown_name(log)
    for finding in findings:
        print_line(f"{log}:{finding.line}: {finding.verdict.name.lower()}: {finding.message}")
    if findings:
        sys.exit(DIFFERENT)
    print_line(f"{log}: KVM would lose and refuse nothing")


def _host(
    vtr: str | None,
    a3v: bool | None,
    priority_bits: int | None,
    preemption_bits: int | None,
    id_bits: int | None,
    seis: bool | None,
) -> HostCapabilities:
    """The host that the options describe. Raises UsageError, or ConfigError for one that cannot be."""
    if vtr is None and a3v is None:
        raise UsageError("say what the host can do: --host-vtr VALUE, or --host-a3v or --host-no-a3v and others")
    value = 0 if vtr is None else number(vtr)
    if value is None:
        raise UsageError(f"--host-vtr {vtr}: no number")
    host = HostCapabilities(a3v=False) if vtr is None else HostCapabilities.from_vtr(value)
    return replace(
        host,
        a3v=_given(a3v, host.a3v),
        priority_bits=_given(priority_bits, host.priority_bits),
        preemption_bits=_given(preemption_bits, host.preemption_bits),
        id_bits=_given(id_bits, host.id_bits),
        seis=_given(seis, host.seis),
    )


def _given(option: ValueT | None, default: ValueT) -> ValueT:
    return default if option is None else option


def _print_plan(console: Output, plan: TrapPlan) -> None:
    if not plan.differences:
        console.print(styled("runs", "bold green"), ": the host has what the guest saw", sep="")
        return
    shown = table("shown to the guest by", "field", "guest", "host", "traps", "reason", right=("guest", "host"))
    for item in plan.differences:
        traps: str | Styled = ", ".join(control.name for control in item.controls)
        shown.add_row(
            _SHOWN_BY.get(item.field, _CTLR),
            item.field,
            f"{item.guest:d}",
            f"{item.host:d}",
            traps or styled("none helps", "red"),
            item.reason,
        )
    console.print(shown)
    console.print()
    if plan.possible:
        controls = ", ".join(control.name for control in plan.controls)
        console.print(styled("runs", "bold green"), f" with ICH_HCR_EL2 {controls} set ({plan.hcr:#x})", sep="")
    else:
        stops = next(item for item in plan.differences if not item.controls)
        name = _SHOWN_BY.get(stops.field, f"{_CTLR}.{stops.field}")
        console.print(styled("does not run", "bold red"), f": {name} stops it", sep="")
    if _kvm_refuses(plan):
        console.print("Linux's KVM refuses to restore this ICC_CTLR_EL1 (EINVAL)")


def _kvm_refuses(plan: TrapPlan) -> bool:
    """Whatever could be trapped, the kernel that most hosts run does not restore the VM (HOST-12)."""
    return any(item.kvm_refuses for item in plan.differences)


def _show_fields(console: Output, registers: Mapping[str, int], wanted: str) -> None:
    names = [name for name in registers if wanted in (name, name.split(".")[-1])]
    if not names:
        near = difflib.get_close_matches(wanted, registers, n=4, cutoff=0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        fail(UsageError(f"{wanted} is zero, or no register{hint}"))
    for name in names:
        value = registers[name]
        layout = layout_of(name, value)
        console.print(styled(name, "bold"), f" = {value:#x}", sep="")
        console.print(describe(name, value) if layout is None else field_table(layout, value))


def _vm_table(vm: VmDescription) -> Table:
    affinities = vm["affinities"]
    shown = ", ".join(affinities[:_MOST_AFFINITIES]) + (", ..." if len(affinities) > _MOST_AFFINITIES else "")
    listed = table("VM", "")
    listed.add_row("vCPUs", f"{len(affinities)}: {shown}")
    for key, text in _vm_texts(vm).items():
        if not key.startswith("affinities"):
            listed.add_row(key, text)
    return listed


def _vm_texts(vm: VmDescription) -> dict[str, str]:
    """What a VM is, one text for each affinity and for each other property."""
    texts = {key: str(value) for key, value in vm.items() if key != "affinities"}
    texts["gicd_base"] = f"{vm['gicd_base']:#x}"
    texts["its"] = ", ".join(f"{base:#x}" for base in vm["its"]) or "none"
    texts["aarch32"] = ", ".join(map(str, vm["aarch32"])) or "none"
    texts["redistributor_regions"] = ", ".join(
        f"{region['count']} at {region['base']:#x}" for region in vm["redistributor_regions"]
    )
    return texts | {f"affinities[{cpu}]": text for cpu, text in enumerate(vm["affinities"])}


def _differing(
    one: Mapping[str, ValueT], other: Mapping[str, ValueT]
) -> Iterator[tuple[str, ValueT | None, ValueT | None]]:
    """The keys, in the order of their files, whose values differ; None stands for one that is left out."""
    for key in dict.fromkeys((*one, *other)):
        old, new = one.get(key), other.get(key)
        if old != new:
            yield key, old, new


def _read_saved(file: str) -> Saved:
    try:
        return read_saved(file)
    except (UsageError, VgicError) as error:
        fail(error)


def _read(file: str) -> Snapshot:
    try:
        return read_snapshot(file)
    except (UsageError, VgicError) as error:
        fail(error)
