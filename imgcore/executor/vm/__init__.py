# SPDX-License-Identifier: GPL-2.0-or-later
"""The executor `vm`: the sandbox of the other executors, inside a virtual machine that is thrown away.

    worker → launcher (holds the machine) → libvirt → QEMU → init → agent → sandbox → the tool

The launcher (imgcore.executor.vm.launcher) is started like the sandbox and speaks as it does: input on standard
input, frames on standard output, and the end of standard input ends the machine. The machine is a transient domain
with autodestroy, so it ends with the launcher, however that ends. Its root is this machine's own /usr, read-only,
and a copy of what everybody may read in /etc; so the tool is the one that is installed here.

What crosses the border does so as frames over a virtio-serial channel, checked on this side
(imgcore.executor.vm.border): the guest has no file of this machine to write. Two modules run inside:
`init.sh` from the initramfs, and `agent`.
"""
