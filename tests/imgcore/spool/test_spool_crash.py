# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that a process that is killed at any step on the disk leaves a spool as before or after what it did.

Sequences of operations run in a child that is killed (SIGKILL) just before its n-th write, fsync, rename, unlink,
mkdir, … , for every n, and once more in the middle of every write. What is there afterwards is compared with
what the same sequence leaves when nobody kills it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imgcore.errors import Cancelled, InputError
from imgcore.job import Status
from imgcore.jobs import fsck
from imgcore.spool import Spool
from imgcore.spool.claim import Claim
from tests.support.crash import run_to
from tests.support.records import a_job, validate_spool
from tests.support.scratch import in_memory

#: What may be found after a crash; all of it can be repaired.
HARMLESS = {"stray-file", "dead-worker", "history", "index"}

Operation = tuple[str, str]


def perform(spool: Spool, operation: Operation, claims: dict[str, Claim]) -> None:
    """One operation; what the job's state does not allow is refused, as it is to anybody."""
    what, image_id = operation
    try:
        if what == "create":
            spool.create(a_job(image_id), kickstart=b"x" * 100, workitem=b'{"a": 1}')
        elif what == "tag":
            with spool.edit(image_id) as edit:
                edit.update(tags=(*edit.job.tags, "t"))
        elif what in ("cancel", "test"):
            with spool.edit(image_id) as edit:
                edit.move(Status.CANCELLED if what == "cancel" else Status.TESTED)
        elif what == "claim":
            if claim := spool.claim():
                claims[claim.image_id] = claim
        elif what == "start":
            claims[image_id] = spool.start(image_id)
        elif what == "abandon" and image_id in claims:
            claims.pop(image_id).close()
        elif what in ("fail", "requeue"):
            spool.recover(image_id, requeue=what == "requeue")
        elif image_id in claims and what == "progress":
            claims[image_id].update(progress=0.5, progress_detail="x" * 50)
        elif image_id in claims and what == "finish":
            claims.pop(image_id).finish(Status.DONE)
    except (InputError, Cancelled):
        pass


def snapshot(spool: Spool) -> dict[str, Any]:
    """What there is, but for the times."""
    return {
        job.image_id: [
            str(job.status),
            job.revision,
            list(job.tags),
            job.progress,
            [[event["seq"], event["from"], event["to"]] for event in spool.history(job.image_id)],
        ]
        for job in spool.jobs()
    }


def prove(operations: list[Operation]) -> int:
    """Kill at every step of the sequence; how often that was."""
    with in_memory() as base:
        roots = iter(base / str(number) for number in range(1_000_000))

        def sequence(root: Path, look: bool) -> Iterator[Any]:
            spool, claims = Spool(root), dict[str, Claim]()
            yield snapshot(spool) if look else None
            for operation in operations:
                perform(spool, operation, claims)
                yield snapshot(spool) if look else None

        whole = next(roots)
        states = run_to(None, lambda: sequence(whole, look=True)).told
        root = next(roots)
        steps = run_to(None, lambda: sequence(root, look=False)).steps
        kills = 0
        for number, step in enumerate(steps):
            for torn in (False, True) if step == "write" else (False,):
                root = next(roots)
                outcome = run_to(number, lambda root=root: sequence(root, look=False), torn=torn)  # type: ignore[misc]
                assert outcome.killed
                done = len(outcome.told)
                old, new = (states[done - 1] if done else {}), states[min(done, len(states) - 1)]
                check(root, old, new, f"killed at {step} {number} of {len(steps)}{' torn' * torn}")
                kills += 1
        return kills


def check(root: Path, old: dict[str, Any], new: dict[str, Any], when: str) -> None:
    spool = Spool(root)
    there = snapshot(spool)
    assert there in (old, new), when
    assert spool.damaged() == [], when
    assert len(spool.ids()) == validate_spool(root) == len(there), when
    for image_id, (status, *_rest) in there.items():
        assert image_id in spool.ids(Status(status)), f"{when}: the index has lost {image_id}"
    found = fsck.check(spool)
    assert {each.kind for each in found} <= HARMLESS, f"{when}: {found}"
    for finding in found:
        fsck.repair(spool, finding)
    assert fsck.check(spool) == [], when
    assert set(snapshot(spool)) == set(there), when
    assert Status.BUILDING not in {job.status for job in spool.jobs()}, when
    for image_id, (status, *_rest) in there.items():
        if status == Status.IN_QUEUE:
            spool.start(image_id).finish(Status.DONE)


def test_a_kill_at_any_step_of_every_operation_leaves_the_old_or_the_new_record() -> None:
    kills = prove(
        [
            ("create", "a"), ("create", "b"), ("create", "a"), ("tag", "a"), ("claim", ""), ("progress", "a"),
            ("progress", "a"), ("tag", "a"), ("finish", "a"), ("test", "a"), ("start", "b"), ("progress", "b"),
            ("abandon", "b"), ("requeue", "b"), ("claim", ""), ("cancel", "b"), ("finish", "b"), ("create", "c"),
            ("start", "c"), ("abandon", "c"), ("fail", "c"),
        ]
    )  # fmt: skip
    assert kills > 150


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "create",
                    "tag",
                    "cancel",
                    "claim",
                    "start",
                    "progress",
                    "finish",
                    "test",
                    "abandon",
                    "fail",
                    "requeue",
                ]
            ),
            st.sampled_from("ab"),
        ),
        min_size=2,
        max_size=9,
    ).map(lambda rest: [("create", "a"), *rest])
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_a_kill_at_any_step_of_random_operations_leaves_the_old_or_the_new_record(
    operations: list[Operation],
) -> None:
    assert prove(operations) > 10
