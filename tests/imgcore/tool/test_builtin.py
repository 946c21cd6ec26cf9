# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/tool/builtin.py: what becomes of an order before the sandbox begins."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from imgcore.creator.plan import Plan, from_json
from imgcore.tool import Order, Prepared
from imgcore.tool.builtin import Builtin

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"
DISK = "part / --size=100 --fstype=ext4\n"


def prepared(kickstart: str, *extra_opts: str, **tokens: str) -> tuple[Prepared, Plan]:
    order = Order("id", "n", "i586", "raw", (DISK + kickstart).encode(), "x.ks", tokens, extra_opts, 1)
    made = Builtin().prepare(order)
    return made, from_json(made.inputs["plan.json"].decode())


def test_the_release_of_the_options_is_the_value_of_the_tokens() -> None:
    repo = "repo --name=a --baseurl=http://x/@RELEASE@/@BUILD_ID@\n"
    _, plan = prepared(repo, "--release=1.2.3")
    assert plan.repositories[0].url == "http://x/1.2.3/1.2.3"
    assert (plan.tokens["RELEASE"], plan.release) == ("1.2.3", "1.2.3")
    assert prepared(repo, "--release=1.2.3", RELEASE="9")[1].repositories[0].url == "http://x/9/9"
    assert prepared(repo)[1].repositories[0].url == "http://x/latest/latest"


def test_each_of_several_keys_is_shown_to_the_sandbox(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b c"
    for key in (one, two):
        key.write_text(KEY)
    made, plan = prepared(f"repo --name=a --baseurl=http://x --gpgkey='{one},{two.as_uri()}'\n")
    keys = plan.repositories[0].gpg_keys
    assert [each for each in keys if not each.startswith("file:///run/imager/")] == []
    assert [made.inputs[unquote(PurePosixPath(each).name)].decode() for each in keys] == [KEY, KEY]


def test_what_the_sandbox_finds_elsewhere_is_saved_as_the_kickstart_has_it(tmp_path: Path) -> None:
    (tmp_path / "repo/repodata").mkdir(parents=True)
    (tmp_path / "repo/repodata/repomd.xml").touch()
    (tmp_path / "key").write_text(KEY)
    given = f"repo --name=a --save --baseurl={tmp_path}/repo --gpgkey=file://{tmp_path}/key,http://x/key\n"
    repository = prepared(given)[1].repositories[0]
    assert repository.url == "file:///run/imager/readable/0"
    assert str(tmp_path) not in repository.gpg_key
    assert repository.as_given is not None
    assert repository.as_given.url == f"file://{tmp_path}/repo"
    assert repository.as_given.gpg_key == f"file://{tmp_path}/key,http://x/key"
    assert prepared("repo --name=a --save --baseurl=http://x\n")[1].repositories[0].as_given is None
