# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pykickstart importable without the HTTP client that it would load kickstarts from the network with.

Nothing here reads a kickstart from a URL, and that client takes longer to load than all the rest. It is left out
for the length of one import; whoever imports it elsewhere gets the real one. To be imported before pykickstart.
"""

from __future__ import annotations

import sys
import types

__all__ = ["prepare"]

_CLIENT, _ERRORS = "requests", "requests.exceptions"


def prepare() -> None:
    """Import pykickstart's loader with a stand-in for its client, unless either is there already."""
    if _CLIENT in sys.modules or "pykickstart.load" in sys.modules:
        return
    client, errors = types.ModuleType(_CLIENT), types.ModuleType(_ERRORS)
    vars(errors).update(RequestException=OSError, SSLError=OSError)
    sys.modules |= {_CLIENT: client, _ERRORS: errors}
    try:
        import pykickstart.load  # noqa: F401
    except ImportError:
        pass  # one that wants more of its client gets it by the import that follows
    finally:
        del sys.modules[_CLIENT], sys.modules[_ERRORS]


prepare()
