# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages in docs/ tell to type works as it stands there; each page in a place that has what it speaks of."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from imgcore.executor.vm import bases
from tests.support import example, office, page, slow, small
from tests.support.broker import broker, engine
from tests.support.engine import Engine
from tests.support.farm import Farm
from tests.support.img import Home
from tests.support.page import Document
from tests.support.rabbitmq import Node
from tests.support.station import Station

pytestmark = pytest.mark.real

__all__ = ["broker", "engine"]

_BIN = Path(sys.executable).parent
_YAML = """
Repositories:
  - Name: small
    Url: {url}
Base:
  Repos: [small]
  ExtraPackages: [app]
  Mic2Options: -f fs
  Architecture: x86_64
Configurations:
  - Name: n900
    Inherit: [Base]
  - Name: tablet
    Inherit: [Base]
"""


def environment(home: Home, **more: str) -> dict[str, str]:
    """A person's who lives there, with `img` at hand."""
    return {**home.environment(), "PATH": f"{_BIN}:{home.environment()['PATH']}", **more}


@contextmanager
def farm_of_two(broker: Node, place: Path) -> Iterator[Farm]:
    """A farm whose records are kept, with one worker that is called worker-1."""
    farm = Farm(broker, place)
    with farm.keeper(), farm.worker("worker-1", "--slots=2"):
        yield farm


def test_the_first_image(home: Home) -> None:
    document = Document("docs/first-image.md")
    (making,) = document.take("make example").commands
    # What it does is done; setting up once more would change what other tests use.
    target = making.text.removeprefix("make ")
    subprocess.run(["make", "--dry-run", target], cwd=example.CHECKOUT, check=True, capture_output=True)
    example.repository()
    (home.path / "build").symlink_to(example.CHECKOUT / "build")
    for block in document.rest():
        page.run(block, home.path, environment(home))
    document.end()
    made = [(each["name"], each["image_type"], each["status"]) for each in home.records()]
    good = ("first", "fs", "DONE")
    assert made == [good, ("disk", "raw", "DONE"), ("first", "fs", "ERROR"), good]


def test_kickstarts_from_yaml(home: Home, repository: Path) -> None:
    (home.path / "images.yaml").write_text(_YAML.format(url=repository.as_uri()))
    document = Document("docs/kickstarter.md")
    page.run(document.take("img ks generate"), home.path, environment(home))
    document.end()
    assert {each.name for each in (home.path / "kickstarts").iterdir()} == {"n900.ks", "tablet.ks"}
    assert [each["status"] for each in home.records()] == ["DONE"]


def test_steering(broker: Node, tmp_path: Path) -> None:
    document = Document("docs/steering.md")
    place = tmp_path / "small"
    with farm_of_two(broker, tmp_path / "farm") as farm:
        # A repository that goes away, and comes back: why builds fail and are tried again.
        small.repository(place)
        kickstart = farm.home.kickstart(small.kickstart(place), "device.ks")
        farm.until(farm.submit(kickstart), "DONE")
        place.rename(tmp_path / "away")
        farm.until(farm.submit(kickstart), "ERROR")
        (tmp_path / "away").rename(place)
        editor = "sed -i s/^app$/extra/"
        page.run(document.take("img jobs"), farm.home.path, environment(farm.home, VISUAL=editor))
        page.run(document.take("img gc"), farm.home.path, environment(farm.home))
    document.end()


def test_operations(broker: Node, tmp_path: Path, repository: Path) -> None:
    document = Document("docs/operations.md")
    with farm_of_two(broker, tmp_path / "farm") as farm:
        data = farm.home.data
        kickstart = farm.home.kickstart(small.kickstart(repository), "device.ks")
        for each in (document.take("img config check"), document.take("tar -czf")):
            if not data.exists():
                image_id = farm.submit(kickstart)
                farm.until(image_id, "DONE")
                farm.home.images.mkdir()
            page.run(each, data, environment(farm.home))
        before = farm.job(image_id)
        shutil.rmtree(farm.home.spool)
        *_, jobs = page.run(document.take("tar -xzf"), data, environment(farm.home))
        assert image_id in jobs
        assert farm.job(image_id) == before
        for beginning in ("img doctor", "img queue", "img worker drain"):
            page.run(document.take(beginning), data, environment(farm.home))
    # The password, where RabbitMQ is.
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "password").write_text("the old one\n")
    (etc / "password").chmod(0o640)
    with office.made(broker, "farm", "imager"):
        block = document.take("rm /etc/skynet/password")
        office.root(page.Block(block.page, block.heading, block.lines[1:]), broker, etc)
        old = (etc / "password").read_text()
        *_, said = office.root(block, broker, etc)
        assert "change_password" in said
        assert (etc / "password").read_text() not in ("", old)
    document.end()


def test_migration(home: Home, repository: Path) -> None:
    home.kickstart(small.kickstart(repository), "old.ks")
    document = Document("docs/migration.md")
    page.run(document.take("img ks check"), home.path, environment(home))
    document.end()


def test_configuration(home: Home) -> None:
    document = Document("docs/configuration.md")
    page.run(document.take("img config check"), home.path, environment(home))
    document.end()


def test_participants(broker: Node, engine: Engine, tmp_path: Path) -> None:
    document = Document("docs/participants.md")
    station = Station(broker, tmp_path / "station")
    (station.ksstore / "demo.ks").write_text(slow.kickstart())
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "conf").symlink_to(example.CHECKOUT / "conf")
    told = {**station.environment(), "PATH": f"{_BIN}:{station.environment()['PATH']}"}
    with ExitStack() as stack:
        # The first block is what hosting does, for one of the four.
        (hosting,) = document.take("skynet_exo").commands
        assert hosting.text == "skynet_exo conf/skynet/build_image.conf"
        stack.enter_context(station.hosting("request_image", "build_ks", "build_image", "update_image_status"))
        page.run(document.take("for name in request_image"), checkout, told)
        slow.until(lambda: any(job.name == "demo" and str(job.status) == "DONE" for job in station.spool.jobs()), 120)
        _processes(engine, checkout, told)
    etc = tmp_path / "etc"
    etc.mkdir()
    by_hand = ("NAME", "OPERATOR", "LAUNCHER")
    with ExitStack() as stack:
        for name in ("build_image", *by_hand):
            stack.enter_context(office.made(broker, "boss", name))
        office.root(document.take("img setup broker"), broker, etc)
        assert (etc / "build_image.password").stat().st_size > 20
        for name in by_hand:
            broker.control("add_user", name, "x")
        office.root(document.take("rabbitmqctl set_permissions"), broker, etc)
    greeter = _greeter(tmp_path / "greeter")
    (hosting,) = document.take("skynet_exo greeter.conf").commands
    with (tmp_path / "greeter.log").open("wb") as log:
        process = subprocess.Popen(hosting.text.split(), cwd=greeter, env=told, stdout=log, stderr=log)
    try:
        page.run(document.take("skynet register"), greeter, told)
        slow.until(lambda: engine.registered.get("greet.*") == "greeter", 60)
        wfid = engine.launch(["define", {"name": "x"}, [["greeter", {}, []]]], {"image": {"name": "demo"}})
        assert engine.ended(wfid, 60).fields["image"]["greeting"] == "hello demo"
    finally:
        process.terminate()
        process.wait(60)
    document.end()


def _processes(engine: Engine, checkout: Path, told: dict[str, str]) -> None:
    """What the page of the processes tells to launch."""
    document = Document("conf/processes/README.md")
    image = {"name": "n", "arch": "x86_64", "image_type": "fs", "kickstart": slow.kickstart(), "image_id": "n-1"}
    (checkout / "fields.json").write_text(json.dumps({"image": image}))
    before = len(engine.launched)
    block = document.take("skynet launch")
    page.run(block, checkout, told)
    assert len(engine.wait_for("launched", before + len(block.commands))) > before
    document.end()


def _greeter(place: Path) -> Path:
    """The participant that the page has as an example."""
    place.mkdir()
    source = example.CHECKOUT / "docs/participants.md"
    (place / "greeter.py").write_text(page.blocks(source, "Write one of your own", "python")[0])
    text = page.blocks(source, "Host it", "ini")[0]
    (place / "greeter.conf").write_text(text.replace("[greeter]", f"journal = {place}/journal\n[greeter]"))
    return place


@pytest.mark.vm
@pytest.mark.timeout(3600)
def test_virtual_machines(home: Home) -> None:
    document = Document("docs/vm.md", "Building in a virtual machine")
    text = (example.EXAMPLE / "tiny.ks").read_text().replace("@REPO@", example.repository())
    home.kickstart(text.replace("@GREETING@", "hello").replace("$RELEASE", "1.0"), "device.ks")
    home.config("[vm]\naccelerator = tcg\n", ".config/imager/imager.conf")
    page.run(document.take("img build"), home.path, environment(home), within=1800)
    document.end()
    assert [(each["status"], each["executor"]) for each in home.records()] == [("DONE", "vm")]


@pytest.mark.vm
@pytest.mark.full
@pytest.mark.timeout(3600)
def test_base_images(home: Home) -> None:
    document = Document("docs/vm.md", "Base images: another system than this one")
    text = (example.EXAMPLE / "tiny.ks").read_text().replace("@REPO@", example.repository())
    home.kickstart(text.replace("@GREETING@", "hello").replace("$RELEASE", "1.0"), "sdk.ks")
    home.kickstart("part / --size 100\n", "device.ks")
    home.config("[vm]\naccelerator = tcg\n[tool mic]\ncommand = mic\n", ".config/imager/imager.conf")
    block = document.take("img vm make-base bookworm")
    lines = tuple(line.replace("/srv", str(home.path)) for line in block.lines)
    first, rest = (page.Block(block.page, block.heading, part) for part in (lines[:1], lines[1:]))
    page.run(first, home.path, environment(home), within=1800)
    # The other system, with a mic of its own: the first, and what stands for mic.
    disk = home.path / "mic.img"
    shutil.copyfile(bases.read(home.data / "bases", "bookworm").file, disk)
    stand_in = example.CHECKOUT / "tests/support/mic_standin.py"
    for request in (f"write {stand_in} /usr/bin/mic", "sif /usr/bin/mic mode 0100755"):
        subprocess.run(["debugfs", "-w", "-R", request, disk], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, home.path / "mic.qcow2"], check=True)
    page.run(rest, home.path, environment(home), within=1800)
    document.end()
    assert [(each["tool"], each["status"]) for each in home.records()] == [("builtin", "DONE"), ("mic", "DONE")]
