# SPDX-License-Identifier: GPL-2.0-or-later
"""An authority, a server's certificate for 127.0.0.1 and a client's: made by openssl, valid for a day."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["make"]


def make(place: Path) -> None:
    """Write ca.pem, server.pem, client.pem and their keys (server.key, …) into the directory."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True, timeout=60)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=test authority"
    )
    (place / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "1", "-extfile", "san"),
        )
