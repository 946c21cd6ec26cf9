# SPDX-License-Identifier: GPL-2.0-or-later
"""Which executor a configuration means: the named one, or for `auto` the first that this machine lets us use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from imgcore.config import Config
from imgcore.executor import Executor, kernel
from imgcore.executor.local import can_pass_the_door, direct, sudo, vm

__all__ = ["executor", "root_may_mount", "user_namespaces_work"]


def executor(config: Config) -> Executor:
    """The executor for jobs of this configuration. `direct` where nothing works: it tells why."""
    if config.executor == "sudo":
        return sudo()
    if config.executor == "vm":
        return vm(config.commands, config.vm)
    if config.executor == "direct" or os.geteuid() == 0 or user_namespaces_work():
        return direct(config.commands)
    return sudo() if can_pass_the_door() else direct(config.commands)


def user_namespaces_work() -> bool:
    """Whether the kernel gives this process a user namespace; tried in a child that ends at once."""
    return _works(kernel.NEW_USER | kernel.NEW_MOUNTS | kernel.NEW_PIDS, kernel.read_only_everywhere)


def root_may_mount() -> bool:
    """Whether this process, which is root, may make mounts (in a container it often may not); tried likewise."""
    return _works(kernel.NEW_MOUNTS, kernel.move_to_own_root)


def _works(namespaces: int, then: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(namespaces)
            then()
            os._exit(0)
        except OSError:
            os._exit(1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return os.waitpid(child, 0)[1] == 0
