# SPDX-License-Identifier: GPL-2.0-or-later
"""The message handlers: one file a participant, each deployable alone."""
