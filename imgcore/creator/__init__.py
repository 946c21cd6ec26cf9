# SPDX-License-Identifier: GPL-2.0-or-later
"""The built-in image maker: packages, system, scripts, file systems, disks, boot loader, pack.

Runs inside a sandbox as a process of its own (`python3 -I …/imgcore/creator`), knows only a `Plan` and the
directories of `plan.Workplace`, and imports the standard library, `imgcore.errors`, `imgcore.run` and
`imgcore.progress` alone: a copy of these few files owned by root is all that a privileged build trusts.
"""
