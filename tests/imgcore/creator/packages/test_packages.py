# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.plan import Group, Item, Packages, Plan, Repository
from tests.support.creator import EPOCH, Run, create
from tests.support.rpms import Entry, Rpm, make_repository

pytestmark = pytest.mark.real


def plan(repository: Path, *names: str, arch: str = "x86_64", **more: object) -> Plan:
    items = tuple(Item(name, 20 + number) for number, name in enumerate(names))
    packages = replace(Packages(names=items, core=False, line=19), **more)  # type: ignore[arg-type]
    return Plan(
        "img", arch, "fs", EPOCH, packages=packages, repositories=(Repository("r", f"file://{repository}", line=3),)
    )


def failure(run: Run) -> tuple[str, str]:
    assert run.status == 1
    assert run.error is not None, run.log
    assert not run.result
    return run.error.cause, str(run.error)


def test_a_package_brings_what_it_requires_but_not_what_it_recommends(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "app"))
    assert run.status == 0, run.log
    assert run.packages() == ["app", "base-files", "lib", "shell"]
    lib = next(package for package in run.result["packages"] if package["name"] == "lib")
    assert lib == {
        "name": "lib", "epoch": "", "version": "1.0", "release": "1", "arch": "noarch", "repository": "r",
    }  # fmt: skip
    assert run.text("/usr/share/app") == "app\n"
    assert run.text("/etc/app.made") == "made\n"
    assert "app is set up" in run.log


def test_a_package_can_be_named_by_version_glob_path_and_provide(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "lib-0.9", "ext*", "/usr/share/texts", "/bin/sh"))
    assert run.status == 0, run.log
    assert run.packages() == ["base-files", "extra", "lib", "shell", "texts"]
    assert run.text("/usr/lib/lib.txt") == "old\n"


def test_a_missing_package_is_told_with_its_line_and_the_nearest_name(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "app", "textz")))
    assert cause == "package-missing"
    assert text.startswith("image.ks, line 21: package textz is in none of the repositories")
    assert "did you mean texts?" in text


def test_a_missing_package_is_a_warning_with_ignoremissing(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "lib", "textz", ignore_missing=True))
    assert run.status == 0, run.log
    assert run.warnings == ["image.ks, line 21: package textz is in none of the repositories; ignored"]


def test_the_group_core_is_installed_unless_nocore(tmp_path: Path, repository: Path) -> None:
    with_core = create(tmp_path / "1", plan(repository, "clash", core=True))
    without = create(tmp_path / "2", plan(repository, "clash"))
    assert with_core.packages() == ["base-files", "clash"]
    assert without.packages() == ["clash"]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("required", ["base-files", "lib"]),
        ("default", ["base-files", "extra", "lib"]),
        ("all", ["base-files", "extra", "lib", "texts"]),
    ],
)
def test_a_group_brings_its_required_default_or_all_packages(
    tmp_path: Path, repository: Path, include: str, expected: list[str]
) -> None:
    run = create(tmp_path, plan(repository, groups=(Group("All Tools", include, 30),)))
    assert run.status == 0, run.log
    assert run.packages() == expected


def test_a_missing_group_is_told_with_its_line_and_the_nearest_name(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "lib", groups=(Group("tool", line=31),))))
    assert cause == "group-missing"
    assert text == "image.ks, line 31: package group tool is in none of the repositories (did you mean tools?)"


def test_an_excluded_package_is_left_out_of_a_group_and_missed_by_what_needs_it(
    tmp_path: Path, repository: Path
) -> None:
    without = plan(repository, groups=(Group("tools"),), excluded=(Item("extra", 40),))
    assert create(tmp_path / "1", without).packages() == ["base-files", "lib"]
    cause, text = failure(create(tmp_path / "2", plan(repository, "app", excluded=(Item("lib", 40),))))
    assert cause == "dependency-conflict"
    assert text.startswith("image.ks, line 20: the packages do not fit together")
    assert "lib" in text and "exclude" in text


def test_a_package_that_is_asked_for_and_excluded_names_both_lines(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "lib", excluded=(Item("li*", 41),))))
    assert cause == "package-missing"
    assert text.startswith("image.ks, line 20: package lib is asked for, but excluded by line 41")


@pytest.mark.parametrize(
    ("names", "words"),
    [(("lib", "clash"), ("clash", "conflicts with lib")), (("broken",), ("nothing provides nothing-has-this",))],
)
def test_packages_that_do_not_fit_together_are_told_with_a_line(
    tmp_path: Path, repository: Path, names: tuple[str, ...], words: tuple[str, ...]
) -> None:
    cause, text = failure(create(tmp_path, plan(repository, *names)))
    assert cause == "dependency-conflict"
    assert text.startswith("image.ks, line 2")
    assert all(word in text for word in words)


def test_excludedocs_leaves_documentation_out(tmp_path: Path, repository: Path) -> None:
    with_docs = create(tmp_path / "1", plan(repository, "texts"))
    without = create(tmp_path / "2", plan(repository, "texts", exclude_docs=True))
    assert (with_docs.tree / "usr/share/doc/texts/README").exists()
    assert not (without.tree / "usr/share/doc/texts/README").exists()
    assert (without.tree / "usr/share/texts").exists()


@pytest.mark.parametrize(
    ("languages", "kept"), [(None, ["de", "fr"]), ("de:en", ["de"]), ("", [])], ids=["all", "some", "none"]
)
def test_only_the_chosen_languages_are_installed(
    tmp_path: Path, repository: Path, languages: str | None, kept: list[str]
) -> None:
    run = create(tmp_path, plan(repository, "texts", languages=languages))
    assert run.status == 0, run.log
    assert sorted(path.parent.name for path in run.tree.glob("usr/share/locale/*/texts")) == kept


def test_what_prepackages_names_is_there_before_any_scriptlet_runs(tmp_path: Path) -> None:
    early = Rpm("early", files={"/etc/early": "early\n"}, scripts={"post": "exit 1"})
    shell = {"/bin/busybox": Entry(source=Path("/bin/busybox"), mode=0o755), "/bin/sh": Entry(link="busybox")}
    # rpm has to install zz-user before early: only unpacking it first makes the file be there.
    user = Rpm("user", provides=["user-first"], files=shell, scripts={"post": "read x < /etc/early && echo found $x"})
    late = Rpm("late", requires=["early"])
    early = replace(early, requires=["user-first"], scripts={})
    repository = make_repository(
        tmp_path / "repository", [early, replace(user, provides=["user-first", "/bin/sh"]), late]
    )
    run = create(tmp_path / "1", plan(repository, "user", first=(Item("early", 9),)))
    assert run.status == 0, run.log
    assert "found early" in run.log
    assert run.packages() == ["early", "user"]
    assert not (run.tree / ".imager-first").exists()
    without = create(tmp_path / "2", plan(repository, "user", "early"))
    assert "found early" not in without.log


def test_the_database_is_where_the_images_own_rpm_looks(tmp_path: Path, repository: Path) -> None:
    old = create(tmp_path / "1", plan(repository, "lib"))
    new = create(tmp_path / "2", plan(repository, "lib", "new-rpm"))
    told = create(tmp_path / "3", replace(plan(repository, "lib"), rpm_dbpath="/var/db/rpm"))
    databases = [[str(path.parent.relative_to(run.tree)) for path in run.tree.rglob("rpmdb.sqlite*")]
                 for run in (old, new, told)]  # fmt: skip
    assert databases == [["var/lib/rpm"], ["usr/lib/sysimage/rpm"], ["var/db/rpm"]]
    assert not list(old.tree.rglob(".rpmdb"))


def test_a_mount_point_has_the_mode_of_its_package(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "lib"))
    assert (run.tree / "proc").stat().st_mode & 0o7777 == 0o555
    assert list((run.tree / "proc").iterdir()) == []


def test_packages_of_another_architecture_are_installed(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository, "foreign", arch="aarch64"))
    assert run.status == 0, run.log
    assert run.result["packages"][0]["arch"] == "aarch64"
    assert (run.tree / "usr/bin/foreign").exists()


def test_packages_of_another_architecture_are_not_there_for_this_one(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "foreign")))
    assert cause == "package-missing"
    assert text.startswith("image.ks, line 20: package foreign is there for aarch64 only, not for x86_64")


def test_an_unknown_architecture_is_told(tmp_path: Path, repository: Path) -> None:
    cause, text = failure(create(tmp_path, plan(repository, "lib", arch="z80")))
    assert (cause, text.partition(" (")[0]) == (
        "unsupported",
        "architecture z80 is not one that packages are built for",
    )


def test_no_packages_at_all_is_a_warning(tmp_path: Path, repository: Path) -> None:
    run = create(tmp_path, plan(repository))
    assert run.status == 0, run.log
    assert run.warnings == ["image.ks, line 19: no packages are selected"]
