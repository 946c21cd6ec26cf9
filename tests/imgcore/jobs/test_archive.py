# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/archive.py: what is packed can be unpacked, and nothing else."""

from __future__ import annotations

import gzip
import io
import json
import secrets
import tarfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcore.errors import ImagerError, InputError
from imgcore.job import Status
from imgcore.jobs import archive, fsck
from imgcore.spool import Spool
from tests.support.records import KICKSTART, a_job, add, contents


@pytest.fixture
def packed(spool: Spool) -> bytes:
    add(
        spool,
        "tiny-1",
        tags=("nightly",),
        tokenmap={"A": "1"},
        request_step="a!b!c",
        request_digest="d",
        emails=("a@b",),
    )
    spool.log("tiny-1").write_text("line\n" * 1000)
    with spool.start("tiny-1") as claim:
        artifact = {"name": "tiny.raw", "kind": "image", "size": 5, "sha256": "ab" * 32}
        claim.finish(Status.DONE, directory="/srv/tiny-1", image_url="file:///x", step="a!b!d", artifacts=(artifact,))
    made = io.BytesIO()
    archive.pack(spool, "tiny-1", made)
    return made.getvalue()


def unpack(spool: Spool, content: bytes, image_id: str = "copy") -> Any:
    return archive.unpack(spool, io.BytesIO(content), image_id=image_id, who="me@here")


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, **changes: Any) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.USTAR_FORMAT) as target:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content) if kind == tarfile.REGTYPE else 0, kind
            for key, value in changes.items():
                setattr(member, key, value)
            target.addfile(member, io.BytesIO(content))
    return made.getvalue()


def record(**changes: Any) -> bytes:
    told = {"image_id": "tiny-1", "name": "tiny", "arch": "x86_64", "image_type": "raw", "status": "DONE"}
    return json.dumps({**told, **changes}).encode()


def test_the_request_and_what_came_of_it_are_taken_over_and_nothing_that_leads_to_here(
    spool: Spool, packed: bytes
) -> None:
    before, job = spool.read("tiny-1"), unpack(spool, packed)
    same = (
        "name",
        "arch",
        "image_type",
        "tags",
        "tokenmap",
        "emails",
        "status",
        "artifacts",
        "requested_at",
        "finished_at",
    )
    for field in same:
        assert getattr(job, field) == getattr(before, field), field
    for field in ("directory", "image_url", "request_step", "step", "request_digest", "worker", "retry_of"):
        assert not getattr(job, field), field
    assert spool.find("request_step", "a!b!c") == [before]
    assert spool.kickstart("copy") == KICKSTART
    assert spool.log("copy").read_bytes() == spool.log("tiny-1").read_bytes()
    assert fsck.check(spool) != []  # of the first, whose files never were
    assert [each for each in fsck.check(spool) if each.image_id == "copy"] == []
    assert "copy" in spool.ids(Status.DONE)
    assert spool.claim() is None


def test_an_id_that_is_taken_is_refused(spool: Spool, packed: bytes) -> None:
    with pytest.raises(InputError, match="taken"):
        unpack(spool, packed, "")


def test_a_job_that_has_not_ended_is_neither_packed_nor_unpacked(spool: Spool) -> None:
    add(spool)
    with pytest.raises(InputError, match="has not ended"):
        archive.pack(spool, "tiny-1", io.BytesIO())
    with pytest.raises(InputError, match="only jobs that have ended"):
        unpack(spool, tar(("x/job.json", record(status="IN QUEUE")), ("x/kickstart.ks", KICKSTART)))
    with pytest.raises(InputError, match="has not ended"):
        spool.adopt(a_job("b"), kickstart=b"")


GOOD = (("x/job.json", record()), ("x/kickstart.ks", KICKSTART))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a gzip file",
        gzip.compress(b"not a tar file" * 100),
        tar(),
        tar(GOOD[0]),
        tar(GOOD[1]),
        tar(*GOOD, ("x/other", b"")),
        tar(*GOOD, ("y/build.log", b"")),
        tar(*GOOD, ("x/../build.log", b"")),
        tar(*GOOD, GOOD[0]),
        tar(("/etc/passwd", b"x")),
        tar(("../job.json", record()), ("x/kickstart.ks", KICKSTART)),
        tar(GOOD[0], ("x/kickstart.ks", b""), kind=tarfile.SYMTYPE, linkname="/etc/shadow"),
        tar(GOOD[0], ("x/kickstart.ks", b""), kind=tarfile.LNKTYPE, linkname="/etc/shadow"),
        tar(GOOD[0], ("x/kickstart.ks", b""), kind=tarfile.DIRTYPE),
        tar(GOOD[0], ("x/kickstart.ks", b""), kind=tarfile.GNUTYPE_SPARSE),
        tar(GOOD[0], ("x/kickstart.ks", b""), kind=tarfile.XHDTYPE),
        tar(("x/job.json", b"{}"), GOOD[1]),
        tar(("x/job.json", b"[" * 100_000), GOOD[1]),
        *(
            tar(("x/job.json", record(**bad)), GOOD[1])
            for bad in (
                {"image_id": "../x"}, {"name": "a/b"}, {"prefix": "../.."}, {"arch": "<b>"}, {"status": "FINE"},
                {"extra_opts": ["--outdir=/"]}, {"tags": ["<script>"]}, {"artifacts": "x"},
                {"tokenmap": {"a b": "c"}},
            )
        ),
        tar(GOOD[0], ("x/kickstart.ks", b"")),
    ],
)  # fmt: skip
def test_whatever_no_export_makes_is_refused_and_nothing_is_recorded(spool: Spool, content: bytes) -> None:
    before = contents(spool.root)
    with pytest.raises(InputError):
        unpack(spool, content, "")
    assert contents(spool.root) == before


def test_a_size_that_is_too_large_is_refused_before_it_is_read(spool: Spool) -> None:
    member = tarfile.TarInfo("x/job.json")
    member.size = 1 << 32
    with pytest.raises(InputError, match="has 4294967296 bytes"):
        unpack(spool, gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + b"x" * 1000))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_an_archive_that_was_changed_anywhere_gives_a_job_or_an_error_for_people(
    spool: Spool, packed: bytes, data: st.DataObject
) -> None:
    plain = bytearray(gzip.decompress(packed))
    for _ in range(data.draw(st.integers(1, 3))):
        plain[data.draw(st.integers(0, min(len(plain), 6000) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(plain)))
    try:
        unpack(spool, gzip.compress(bytes(plain[:cut]) if data.draw(st.booleans()) else bytes(plain)), "copy")
    except ImagerError as error:
        assert error.message
    else:
        assert spool.read("copy").status is Status.DONE or spool.read("copy").image_id == "copy"
        spool.directory("copy").rename(spool.root / "tmp" / secrets.token_hex())
