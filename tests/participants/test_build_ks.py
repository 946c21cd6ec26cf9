"""Proves participants/build_ks.py."""

from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import InputError
from participants.build_ks import ParticipantHandler
from RuoteAMQP import Workitem

KICKSTART = "# mine\nrepo --name=a --baseurl=http://a/\n%packages\nbase\n%end\n"


def build(store: Path | None, **image: Any) -> Workitem:
    handler = ParticipantHandler()
    handler.config = Config(ksstore=store)
    item = Workitem({"fields": {"image": image}})
    handler.handle_wi(item)
    return item


def test_a_kickstart_gets_what_is_asked_for_and_keeps_the_rest(tmp_path: Path) -> None:
    item = build(
        None, kickstart=KICKSTART, name="n", packages=["more"], groups='["core"]', extra_repos=["b=http://b/"]
    )
    text = item.fields.image.kickstart
    assert text.startswith("# mine\nrepo --name=a --baseurl=http://a/\n")
    assert "--name=b --baseurl=http://b/" in text
    assert "more\n" in text and "@core\n" in text
    assert item.result is True


def test_a_kickstart_of_the_store_is_found_and_gives_its_name(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "phone.ks").write_text("%include parts.ks\n" + KICKSTART)
    (tmp_path / "team" / "parts.ks").write_text("lang C\n")
    item = build(tmp_path, ksfile="team/phone.ks")
    assert item.fields.image.name == "phone"
    assert "lang C\n" in item.fields.image.kickstart
    assert "%include" not in item.fields.image.kickstart


def test_what_the_header_says_fills_what_is_not_said(tmp_path: Path) -> None:
    header = "# -*-mic2-options-*- -f raw --arch=i586 -*-mic2-options-*-\n"
    image = build(None, kickstart=header + KICKSTART, name="n").fields.image
    assert (image.image_type, image.arch) == ("raw", "i586")
    image = build(None, kickstart=header + KICKSTART, name="n", image_type="fs").fields.image
    assert image.image_type == "fs"


@pytest.mark.parametrize(
    "path", ["../outside.ks", "/etc/passwd", "link.ks", "directory/../../outside.ks", "none.ks", ""]
)
def test_nothing_outside_of_the_store_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.ks").write_text(KICKSTART)
    store = tmp_path / "store"
    (store / "directory").mkdir(parents=True)
    (store / "link.ks").symlink_to(tmp_path / "outside.ks")
    with pytest.raises(InputError):
        build(store, ksfile=path)


def test_nothing_outside_of_the_store_is_included(tmp_path: Path) -> None:
    (tmp_path / "outside.ks").write_text("lang C\n")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.ks").write_text("%include ../outside.ks\n" + KICKSTART)
    with pytest.raises(InputError, match=r"a\.ks, line 1"):
        build(tmp_path / "store", ksfile="a.ks")


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"n\.ks, line 6.*fstype"):
        build(None, kickstart=KICKSTART + "part / --fstipe=ext4\n", name="n")
