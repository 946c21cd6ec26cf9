# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.plan import Password, System, User, UserGroup
from imgcore.creator.system import users
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import ACCOUNTS, a_build

#: Whoever runs the tests may give files to these.
UID = 1000 if os.geteuid() == 0 else os.getuid()
GID = 1000 if os.geteuid() == 0 else os.getgid()


def configured(top: Path, system: System, files: dict[str, str] | None = None) -> Tree:
    build, tree = a_build(top, ACCOUNTS | (files or {}), system)
    users.configure(build, tree)
    return tree


def entry(tree: Tree, path: str, name: str) -> list[str]:
    return next(line.split(":") for line in tree.lines(path) if line.startswith(f"{name}:"))


def refused(top: Path, system: System, files: dict[str, str] | None = None) -> str:
    with pytest.raises(BuildError) as caught:
        configured(top, system, files)
    assert caught.value.cause == "unsupported"
    return str(caught.value)


def test_a_plain_root_password_is_stored_as_a_sha512_hash_of_it(tmp_path: Path) -> None:
    tree = configured(tmp_path, System(root_password=Password("secret", line=5)))
    field = entry(tree, "/etc/shadow", "root")
    import crypt

    assert field[1].startswith("$6$") and crypt.crypt("secret", field[1]) == field[1]
    assert field[2] == str(1_700_000_000 // 86400)
    assert "secret" not in "".join(tree.read(path) for path in ACCOUNTS)


def test_the_same_plan_gives_the_same_hash_and_another_user_another_salt(tmp_path: Path) -> None:
    first = users.crypted(Password("x"), "img/root")
    assert first == users.crypted(Password("x"), "img/root")
    assert first.split("$")[2] != users.crypted(Password("x"), "img/me").split("$")[2]


def test_a_salt_says_nothing_of_the_password_and_differs_by_user_image_and_epoch(tmp_path: Path) -> None:
    def salt(name: str, password: str = "pw", **plan: object) -> str:
        top = tmp_path / f"{name}-{password}-{len(list(tmp_path.iterdir()))}"
        build, tree = a_build(top, ACCOUNTS, System(root_password=Password(password)))
        users.configure(replace(build, plan=replace(build.plan, name=name, **plan)), tree)
        return entry(tree, "/etc/shadow", "root")[1].split("$")[2]

    assert salt("a") == salt("a") == salt("a", "another password")
    assert len({salt("a"), salt("b"), salt("a", source_date_epoch=1)}) == 3


def test_a_crypted_password_is_taken_as_it_is_and_a_locked_one_is_locked(tmp_path: Path) -> None:
    assert users.crypted(Password("$6$abc$def", crypted=True), "s") == "$6$abc$def"
    assert users.crypted(Password("$6$abc$def", crypted=True, locked=True), "s") == "!$6$abc$def"
    assert users.crypted(Password(locked=True), "s") == "!"
    assert users.crypted(Password(""), "s").startswith("$6$")


def test_without_a_shadow_file_the_password_is_in_passwd(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, {"/etc/passwd": ACCOUNTS["/etc/passwd"], "/etc/group": ACCOUNTS["/etc/group"]},
                          System(root_password=Password("$6$a$b", crypted=True)))  # fmt: skip
    users.configure(build, tree)
    assert entry(tree, "/etc/passwd", "root")[1] == "$6$a$b"
    assert not tree.has("/etc/shadow")


def test_a_user_gets_number_group_shell_and_a_home_from_the_skeleton(tmp_path: Path) -> None:
    user = User("me", Password("pw"), uid=UID, gid=GID, groups=("audio", "video"), gecos="Me: too", line=7)
    skeleton = {"/etc/skel/.profile": "x\n", "/bin/bash": "", "/etc/login.defs": "HOME_MODE 0750\n"}
    tree = configured(tmp_path, System(users=(user,)), skeleton)
    assert entry(tree, "/etc/passwd", "me") == ["me", "x", str(UID), str(GID), "Me  too", "/home/me", "/bin/bash"]
    assert entry(tree, "/etc/shadow", "me")[1].startswith("$6$")
    assert entry(tree, "/etc/group", "me") == ["me", "x", str(GID), ""]
    assert entry(tree, "/etc/group", "audio")[3] == "me"
    assert entry(tree, "/etc/gshadow", "video")[3] == "me"
    home = tree.real("/home/me")
    assert home.stat().st_mode & 0o7777 == 0o750
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (home, home / ".profile")} == {(UID, GID)}


def test_a_user_without_a_number_gets_the_first_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    # Only root may give a file to any number.
    monkeypatch.setattr(os, "chown", lambda path, uid, gid, **options: given.append((uid, gid)))
    accounts = {
        "/etc/passwd": ACCOUNTS["/etc/passwd"] + "a:x:500:500::/:/bin/sh\n",
        "/etc/login.defs": "UID_MIN 500\n",
    }
    tree = configured(tmp_path, System(users=(User("me"), User("you", home="/srv/you", shell="/bin/zsh"))), accounts)
    assert entry(tree, "/etc/passwd", "me")[2:4] == ["501", "501"]
    assert entry(tree, "/etc/passwd", "you")[2:] == ["502", "502", "", "/srv/you", "/bin/zsh"]
    assert entry(tree, "/etc/shadow", "me")[1] == "!!"
    assert set(given) == {(501, 501), (502, 502)}


def test_a_group_is_added_with_its_number_or_the_first_free_one(tmp_path: Path) -> None:
    tree = configured(tmp_path, System(groups=(UserGroup("g", 77), UserGroup("h"))))
    assert tree.lines("/etc/group")[-2:] == ["g:x:77:", "h:x:1000:"]
    assert tree.lines("/etc/gshadow")[-2:] == ["g:!::", "h:!::"]


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (
            System(users=(User("me", groups=("wheel",), line=7),)),
            "line 7: the group wheel of user me is not in the image",
        ),
        (System(users=(User("root", line=7),)), "line 7: the user root is there already"),
        (System(users=(User("me", uid=0, line=7),)), "line 7: the user number 0 is taken"),
        (System(users=(User("a:b", line=7),)), "line 7: 'a:b' cannot be the name of a user"),
        (System(groups=(UserGroup("audio", line=8),)), "line 8: the group audio is there already"),
        (System(groups=(UserGroup("x", 63, line=8),)), "line 8: the group number 63 is taken"),
    ],
)
def test_an_account_that_cannot_be_made_is_refused_with_its_line(tmp_path: Path, system: System, words: str) -> None:
    assert refused(tmp_path, system).startswith(f"image.ks, {words}")


def test_an_image_without_passwd_is_told_what_to_install(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, {}, System(root_password=Password("x", line=5)))
    with pytest.raises(BuildError, match=r"line 5: the image has no /etc/passwd.*\(install the package setup\)"):
        users.configure(build, tree)


def test_the_mode_of_the_shadow_file_stays(tmp_path: Path) -> None:
    build, tree = a_build(tmp_path, ACCOUNTS, System(root_password=Password("x")))
    tree.real("/etc/shadow").chmod(0o600)
    users.configure(build, tree)
    assert tree.real("/etc/shadow").stat().st_mode & 0o7777 == 0o600
