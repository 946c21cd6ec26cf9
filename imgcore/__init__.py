# SPDX-License-Identifier: GPL-2.0-or-later
"""Imager's core: from a job record to an image, its log, its manifest and its page.

Nothing in here knows about message brokers; see docs/developing.md for the stations a job passes.
"""

__version__ = "0.1.0"
