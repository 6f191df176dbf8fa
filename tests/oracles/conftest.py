"""The live hosts that are asked."""

from collections.abc import Iterator

import pytest

from live_hosts import KERNELS, kernel_at_hand
from vgic_tools.judges.kvm_host import KvmHost


@pytest.fixture(scope="module", params=KERNELS)
def host(request: pytest.FixtureRequest) -> Iterator[KvmHost]:
    """A live KVM of each kernel."""
    with KvmHost(kernel_at_hand(request.param)) as live:
        yield live
