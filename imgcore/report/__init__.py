"""The spool as static HTML pages: an index and one page a job.

The pages need no server, no script and no request to anywhere: they open from file:// and from any web server
at any path. Everything is derived from the job records (and the manifest that a job published), so the whole
site can be deleted and written anew. Nothing here writes to the spool.
"""

from __future__ import annotations

from imgcore.report.site import Site, write

__all__ = ["Site", "write"]
