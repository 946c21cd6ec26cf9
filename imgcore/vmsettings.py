# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be set about virtual machines. A leaf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["VmSettings"]


@dataclass(frozen=True)
class VmSettings:
    """What a virtual machine is like; conf/imager.conf explains each."""

    memory_bytes: int = 2 << 30
    #: 0: up to two, as the machine has.
    cores: int = 0
    #: none, repos or open.
    network: str = "repos"
    #: auto, kvm or tcg.
    accelerator: str = "auto"
    #: libvirt's URI; empty: the system's for root, the session's for others.
    libvirt: str = ""
    #: The kernel's image; empty: the running one, or the newest.
    kernel: str = ""
    #: The system that a machine has instead of this one, by its name among `bases`; empty: this one.
    base: str = ""
    #: Where base images are kept.
    bases: Path = Path("/var/lib/imager/bases")
    #: Whether a machine whose build failed is kept, with its job.
    keep_on_failure: bool = False
    share: tuple[str, ...] = ("/usr",)
    hide: tuple[str, ...] = ("skynet", "imager", "ssh", "ssl/private", "NetworkManager")
