"""What a machine costs in memory, measured: the whole, and what one more vCPU and one more SPI add."""

import gc
import tracemalloc
from dataclasses import dataclass, replace

import vgic
from vgic.config import MAX_SPIS

__all__ = ["Memory", "measure_memory"]

_FEW_SPIS = 32
_SAMPLE = 256
"""vCPUs of the machines that are compared: enough that what they share does not show."""


@dataclass(frozen=True)
class Memory:
    """Bytes of the model's own objects; the guest's memory and the interpreter are not counted."""

    total: int
    """The machine as it is."""
    per_vcpu: float
    per_spi: float


def measure_memory(config: vgic.Config) -> Memory:
    """Build machines like `config`, larger and smaller, and compare what they take."""
    small, large = (_bytes(_with_vcpus(config, cpus)) for cpus in (_SAMPLE, 2 * _SAMPLE))
    few, many = (_bytes(replace(config, spis=spis)) for spis in (_FEW_SPIS, MAX_SPIS))
    return Memory(
        total=_bytes(config),
        per_vcpu=(large - small) / _SAMPLE,
        per_spi=(many - few) / (MAX_SPIS - _FEW_SPIS),
    )


def _with_vcpus(config: vgic.Config, cpus: int) -> vgic.Config:
    return replace(config, topology=vgic.Topology.clusters(cpus, 16), redistributor_regions=())


def _bytes(config: vgic.Config) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        gic = vgic.Gic(config)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        del gic
