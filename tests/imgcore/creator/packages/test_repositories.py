# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import configparser
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.packages.repositories import save, split_credentials
from imgcore.creator.plan import Plan, Repository
from tests.imgcore.creator.packages.test_packages import failure, plan
from tests.support.creator import create
from tests.support.rpms import Rpm, make_repository
from tests.support.trees import a_build
from tests.support.web import serve

pytestmark = pytest.mark.real


def with_repositories(names: Sequence[str], *repositories: Repository) -> Plan:
    return replace(plan(Path("/"), *names), repositories=repositories)


def two_versions(top: Path) -> tuple[Path, Path]:
    """Two repositories with `lib`; the second has the newer one."""
    old = make_repository(top / "old", [Rpm("lib", version="1"), Rpm("only-old")])
    return old, make_repository(top / "new", [Rpm("lib", version="2"), Rpm("only-new")])


def version(run: object) -> str:
    packages = run.result["packages"]  # type: ignore[attr-defined]
    return next(package["version"] for package in packages if package["name"] == "lib")


def test_credentials_are_taken_out_of_a_url() -> None:
    assert split_credentials("https://u%40x:p%2Fw@host:8/a?b") == ("https://host:8/a?b", "u@x", "p/w")
    assert split_credentials("http://host/a") == ("http://host/a", "", "")


@pytest.mark.parametrize(
    ("url", "cause", "words"),
    [
        ("http://127.0.0.1:9/", "repository-unreachable", "cannot be reached: Failed to connect to 127.0.0.1 port 9"),
        ("http://no-such-host.invalid/", "repository-unreachable", "cannot be reached: Could not resolve host"),
        ("file:///no/such/directory", "repository-unreachable", "is not there: no such directory"),
    ],
)
def test_a_repository_that_is_not_there_is_told_with_its_line(
    tmp_path: Path, url: str, cause: str, words: str
) -> None:
    found, text = failure(create(tmp_path, with_repositories(["lib"], Repository("main", url, line=5))))
    assert found == cause
    assert text.startswith(f"image.ks, line 5: repository main ({url}) {words}")


def test_a_directory_without_metadata_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty repository"
    empty.mkdir()
    cause, text = failure(
        create(tmp_path / "1", with_repositories(["lib"], Repository("main", empty.as_uri(), line=5)))
    )
    assert cause == "repository-invalid"
    assert "has no repodata/repomd.xml (run createrepo_c in it)" in text


def test_damaged_metadata_is_told_and_not_kept(tmp_path: Path, repository: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    cache = tmp_path / "cache"
    cache.mkdir()
    index = copy / "repodata/repomd.xml"
    good = index.read_text()
    index.write_text(good[: len(good) // 2])
    wanted = plan(copy, "lib")
    cause, text = failure(create(tmp_path / "1", wanted, cache=cache))
    assert cause == "repository-invalid"
    assert text.startswith("image.ks, line 3: the metadata of repository r (file://")
    index.write_text(good)
    assert create(tmp_path / "2", wanted, cache=cache).status == 0


def test_a_repository_on_a_server_that_lacks_it_is_told_with_the_status(tmp_path: Path) -> None:
    with serve(tmp_path) as site:
        run = create(tmp_path / "1", with_repositories(["lib"], Repository("main", site.url, line=5)))
    cause, text = failure(run)
    assert cause == "repository-unreachable"
    assert "404" in text


def test_a_repository_with_a_password_is_used_and_the_password_never_printed(
    tmp_path: Path, repository: Path
) -> None:
    with serve(repository, account="me@home:s3cret/pw") as site:
        host = site.url.removeprefix("http://")
        good = Repository("main", f"http://me%40home:s3cret%2Fpw@{host}/", line=5, save=True)
        run = create(tmp_path / "1", with_repositories(["lib"], good))
        assert run.status == 0, run.log
        wrong = Repository("main", f"http://me%40home:wr0ng-pw@{host}/", line=5)
        refused = create(tmp_path / "2", with_repositories(["lib"], wrong))
        none = create(tmp_path / "3", with_repositories(["lib"], Repository("main", site.url, line=5)))
    for each in (refused, none):
        cause, text = failure(each)
        assert cause == "repository-unreachable"
        assert "refuses access (status 401)" in text
        assert "user name and password" in text
    everything = run.log + refused.log + run.text("/etc/yum.repos.d/main.repo")
    assert "s3cret" not in everything and "wr0ng" not in everything
    written = [path.read_bytes() for path in run.place.cache.rglob("*") if path.is_file()]
    assert written and not any(b"s3cret" in content for content in written)


def test_a_proxy_with_a_password_is_used_and_the_password_never_printed(tmp_path: Path, repository: Path) -> None:
    with serve(repository) as site:
        through = Repository(
            "main", "http://far.invalid/", proxy=site.url, proxy_user="me", proxy_password="pr0xy-pw", line=5
        )
        run = create(tmp_path / "1", with_repositories(["lib"], through))
    assert run.status == 0, run.log
    assert site.requests[0].startswith("GET http://far.invalid/repodata/repomd.xml")
    assert "pr0xy-pw" not in run.log


def test_a_mirror_list_leads_to_a_mirror(tmp_path: Path, repository: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    with serve(repository) as site, serve(lists) as listing:
        (lists / "mirrors").write_text(f"http://127.0.0.1:9/\n{site.url}/\n")
        found = Repository("main", mirrorlist=f"{listing.url}/mirrors", line=5)
        run = create(tmp_path / "1", with_repositories(["lib"], found))
    assert run.status == 0, run.log
    assert run.packages() == ["base-files", "lib"]


def test_the_newest_package_wins_unless_a_repository_has_priority(tmp_path: Path) -> None:
    old, new = two_versions(tmp_path)
    repositories = (Repository("old", old.as_uri()), Repository("new", new.as_uri()))
    newest = create(tmp_path / "1", with_repositories(["lib"], *repositories))
    assert version(newest) == "2"
    assert newest.result["packages"][0]["repository"] == "new"
    first = (replace(repositories[0], priority=1), repositories[1])
    assert version(create(tmp_path / "2", with_repositories(["lib"], *first))) == "1"


def test_among_the_same_packages_the_cheaper_repository_wins(tmp_path: Path) -> None:
    first = make_repository(tmp_path / "a", [Rpm("lib")])
    second = make_repository(tmp_path / "b", [Rpm("lib")])
    for cheap in ("a", "b"):
        costs = {name: 10 if name == cheap else 2000 for name in ("a", "b")}
        run = create(
            tmp_path / f"cheap-{cheap}",
            with_repositories(
                ["lib"],
                Repository("a", first.as_uri(), cost=costs["a"]),
                Repository("b", second.as_uri(), cost=costs["b"]),
            ),
        )
        assert run.result["packages"][0]["repository"] == cheap


def test_include_and_exclude_lists_of_a_repository_hold(tmp_path: Path) -> None:
    old, new = two_versions(tmp_path)
    without = create(
        tmp_path / "1",
        with_repositories(
            ["lib"], Repository("old", old.as_uri()), Repository("new", new.as_uri(), exclude=("li*",))
        ),
    )
    assert version(without) == "1"
    only = with_repositories(["lib", "only-new"], Repository("old", old.as_uri()),
                             Repository("new", new.as_uri(), include=("only-new",)))  # fmt: skip
    run = create(tmp_path / "2", only)
    assert version(run) == "1"
    hidden = with_repositories(["only-old"], Repository("old", old.as_uri(), include=("lib",)))
    cause, text = failure(create(tmp_path / "3", hidden))
    assert cause == "package-missing"
    assert "is left out by the include or exclude list of its repository" in text


def test_a_plan_without_a_repository_is_told(tmp_path: Path) -> None:
    cause, text = failure(create(tmp_path, with_repositories(["lib"])))
    assert cause == "repository-invalid"
    assert text.startswith("image.ks has no repository")


def test_a_repository_to_save_is_left_in_the_image_as_a_file_that_dnf_reads(tmp_path: Path, repository: Path) -> None:
    saved = Repository("My Repo", repository.as_uri(), cost=7, priority=3, save=True)
    run = create(tmp_path, with_repositories(["lib"], saved, Repository("other", repository.as_uri())))
    assert run.status == 0, run.log
    assert [path.name for path in run.tree.glob("etc/yum.repos.d/*")] == ["My_Repo.repo"]
    parser = configparser.ConfigParser()
    parser.read_string(run.text("/etc/yum.repos.d/My_Repo.repo"))
    assert dict(parser["My_Repo"]) == {
        "name": "My Repo", "enabled": "1", "baseurl": repository.as_uri(),
        "cost": "7", "priority": "3", "gpgcheck": "0",
    }  # fmt: skip


def test_a_saved_repository_has_no_credentials_and_no_place_of_the_sandbox(tmp_path: Path) -> None:
    inside = Repository("a", "file:///run/imager/readable/0", gpg_key="file:///run/imager/readable/1/k", save=True)
    given = Repository("a", "file:///srv/a", gpg_key="file:///srv/k,https://me:s3cret@host/k")
    build, tree = a_build(tmp_path, {}, repositories=(replace(inside, as_given=given),))
    save(build, tree)
    lines = tree.lines("/etc/yum.repos.d/a.repo")
    assert "baseurl=file:///srv/a" in lines
    assert "gpgkey=file:///srv/k,https://host/k" in lines


def test_a_change_of_the_repository_is_seen_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    place = tmp_path / "r"
    make_repository(place, [Rpm("lib", version="1")])
    with serve(place) as site:
        wanted = with_repositories(["lib"], Repository("main", site.url))
        assert version(create(tmp_path / "1", wanted, cache=cache)) == "1"
        shutil.rmtree(place)
        make_repository(place, [Rpm("lib", version="2")])
        assert version(create(tmp_path / "2", wanted, cache=cache)) == "2"
        create(tmp_path / "3", wanted, cache=cache)
    # Each build asks; the second asks again for what it then loads, the third finds its metadata current.
    assert site.count("repomd.xml") == 4
    assert site.count("primary.xml.gz") == 2
