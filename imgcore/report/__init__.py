# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool as static HTML pages: an index, a page a job, one a name, the failures; and the same for programs.

The pages need no server, no script and no request to anywhere: they open from file:// and from any web server
at any path. Everything is derived from the job records (and what a job published), so the whole site can be
deleted and written anew. Nothing here writes to the spool.
"""

from __future__ import annotations

from imgcore.report.check import differing
from imgcore.report.site import Report, Site, write
from imgcore.report.watch import follow

__all__ = ["Report", "Site", "differing", "follow", "write"]
