# SPDX-License-Identifier: GPL-2.0-or-later
"""The kill matrix: whatever fails wherever a job is on its way, it is built to the end once, and everybody is told.

IMAGER_MATRIX_ROUNDS says how often all of it is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.faults_gate import Gate
from tests.support.faults_relay import Relay
from tests.support.matrix import Matrix, wait_until
from tests.support.rabbitmq import Node

pytestmark = pytest.mark.real

__all__ = ["broker", "engine"]

ROUNDS = int(os.environ.get("IMAGER_MATRIX_ROUNDS", "1"))
# A job's way, in its order.
ACCEPTING = ("received", "spooled", "claimed", "acknowledged")
BEGINNING = ("job recorded", "process started")
BUILDING = ("job claimed", "build started", "build half", "build ended", "record written")
ANSWERING = ("reply queued", "reply published", "confirm received", "reply settled", "step settled")
POINTS = (*ACCEPTING, *BEGINNING, *BUILDING, *ANSWERING)


@pytest.fixture(scope="module", params=range(ROUNDS), autouse=True)
def number(request: pytest.FixtureRequest) -> int:
    """The round's; one round is done before the next begins."""
    return int(request.param)


@pytest.fixture
def matrix(broker: Node, engine: Engine, tmp_path: Path) -> Iterator[Matrix]:
    """Nothing yet."""
    with Gate() as gate:
        made = Matrix(broker, gate, tmp_path, engine)
        try:
            yield made
        finally:
            made.close()


def one_at_each_point(matrix: Matrix, address: str = "", persistent: tuple[str, ...] = ()) -> None:
    """Workers with a job at each point, in both ways to run."""
    for point in POINTS:
        matrix.add(point, by_engine=False, address=address)
        # Where there is an answer, its end is the step's.
        if point != "step settled":
            matrix.add(point, by_engine=True, address=address, persistent=point in persistent)
    matrix.bring_all_to_their_points()


def all_is_well(matrix: Matrix, ends: Callable[[str], int] = lambda _: 1) -> None:
    matrix.wait_until_over()
    wrong = matrix.wrong(ends=ends)
    assert not wrong, "\n".join(wrong)


def wait_until_built(matrix: Matrix, *points: str) -> None:
    """Wait until the jobs that were at these points are built."""
    for job in matrix.jobs:
        if job.point in points:
            wait_until(job.built, job.told)


def start_all(matrix: Matrix) -> None:
    for job in matrix.jobs:
        job.holder.start()
    for job in matrix.jobs:
        job.holder.wait_ready()


@pytest.mark.parametrize("builds_too", [False, True], ids=["alone", "with its build"])
def test_a_worker_is_killed_at_each_point(matrix: Matrix, builds_too: bool) -> None:
    one_at_each_point(matrix)
    for job in matrix.jobs:
        job.holder.kill(builds=builds_too)
    start_all(matrix)
    matrix.let_all_go()
    # What had ended when nobody could write that down cannot be known to have ended.
    all_is_well(matrix, ends=lambda point: 2 if builds_too and point == "build ended" else 1)


def test_a_worker_is_stopped_at_each_point(matrix: Matrix) -> None:
    one_at_each_point(matrix)
    for job in matrix.jobs:
        job.holder.end()
    matrix.let_all_go()
    for job in matrix.jobs:
        assert job.holder.ended() == 0, job.told()
    start_all(matrix)
    all_is_well(matrix)


def test_the_broker_is_killed_at_each_point(matrix: Matrix) -> None:
    # What an engine sends is not persistent: a broker that dies while it alone has it takes that with it.
    one_at_each_point(matrix, persistent=("received",))
    matrix.node.kill()
    try:
        matrix.let_all_go()
        # Builds go on without a broker.
        wait_until_built(matrix, "process started", *BUILDING, *ANSWERING)
    finally:
        matrix.node.start()
    all_is_well(matrix)


def test_the_connection_is_cut_at_each_point(matrix: Matrix) -> None:
    with Relay(matrix.node.port) as relay:
        one_at_each_point(matrix, relay.address)
        relay.cut()
        matrix.let_all_go()
        all_is_well(matrix)


def test_the_brokers_disk_is_full_at_each_point(matrix: Matrix) -> None:
    one_at_each_point(matrix)
    matrix.node.control("eval", "rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []}).")
    try:
        matrix.let_all_go()
        wait_until_built(matrix, *POINTS)
    finally:
        matrix.node.control("eval", "rabbit_alarm:clear_alarm({resource_limit, disk, node()}).")
    all_is_well(matrix)


@pytest.mark.parametrize("fault", ["killed", "cut off", "left without a broker"])
def test_one_of_two_workers_is(fault: str, matrix: Matrix) -> None:
    with Relay(matrix.node.port) as relay:
        for point in ACCEPTING:
            for by_engine in (True, False):
                address = relay.address if fault == "cut off" else ""
                matrix.add(point, by_engine=by_engine, workers=2, address=address, persistent=True)
        matrix.bring_all_to_their_points()
        if fault == "killed":
            for job in matrix.jobs:
                job.holder.kill(builds=True)
        elif fault == "cut off":
            relay.cut()
        else:
            matrix.node.kill()
            matrix.node.start()
        for job in matrix.jobs:
            if job.point != "acknowledged":
                # The other is given it too.
                matrix.gate.wait_for(job.name, "received", times=2)
        if fault == "killed":
            for job in matrix.jobs:
                job.holder.start()
        matrix.let_all_go()
        all_is_well(matrix)
