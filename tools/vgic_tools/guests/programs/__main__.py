"""`python -m vgic_tools.guests.programs`: build the programs from their sources, and keep them."""

from pathlib import Path

from vgic_tools.errors import UsageError
from vgic_tools.guests.programs import NAMES, build
from vgic_tools.terminal import fail, print_line

if __name__ == "__main__":
    for name in NAMES:
        place = Path(__file__).parent / "built" / f"{name}.elf"
        try:
            build(name, place)
        except UsageError as error:
            fail(error)
        print_line(f"{name}: {place.stat().st_size:,} bytes")
