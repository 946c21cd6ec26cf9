# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgcore.creator.plan import Repository
from tests.imgcore.creator.packages.test_packages import failure
from tests.imgcore.creator.packages.test_repositories import with_repositories
from tests.support.creator import create
from tests.support.web import serve

pytestmark = pytest.mark.real


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "shared cache"
    path.mkdir()
    return path


def test_a_repeated_build_takes_what_the_cache_has(tmp_path: Path, repository: Path, cache: Path) -> None:
    with serve(repository) as site:
        wanted = with_repositories(["app"], Repository("main", site.url))
        first = create(tmp_path / "1", wanted, cache=cache)
        assert first.status == 0, first.log
        assert site.count(".rpm") == 4
        second = create(tmp_path / "2", wanted, cache=cache)
        assert second.status == 0, second.log
    assert site.count(".rpm") == 4
    assert second.result["packages"] == first.result["packages"]
    assert [progress.done for progress in first.progress if progress.phase == "download"][-1] == 4
    assert list((cache / "packages/partial").iterdir()) == []


def test_a_package_that_was_changed_in_the_cache_is_loaded_again(
    tmp_path: Path, repository: Path, cache: Path
) -> None:
    with serve(repository) as site:
        wanted = with_repositories(["lib"], Repository("main", site.url))
        create(tmp_path / "1", wanted, cache=cache)
        for package in (cache / "packages").glob("*.rpm"):
            content = bytearray(package.read_bytes())
            content[-1] ^= 1
            package.write_bytes(content)
        again = create(tmp_path / "2", wanted, cache=cache)
    assert again.status == 0, again.log
    assert site.count(".rpm") == 4


def test_an_interrupted_download_goes_on_where_it_was(tmp_path: Path, repository: Path, cache: Path) -> None:
    size = next(repository.glob("shell-*.rpm")).stat().st_size
    with serve(repository, cut="shell-1.0-1.noarch.rpm", cuts=100) as site:
        wanted = with_repositories(["shell"], Repository("main", site.url, line=5))
        cause, text = failure(create(tmp_path / "1", wanted, cache=cache))
        assert cause == "repository-unreachable"
        assert text.startswith("image.ks, line 5: package shell-1.0-1.noarch cannot be loaded from repository main")
        begun = next((cache / "packages/partial").iterdir()).stat().st_size
        assert 0 < begun < size
        site.cuts = 0
        asked = len(site.requests)
        run = create(tmp_path / "2", wanted, cache=cache)
    assert run.status == 0, run.log
    assert f"GET /shell-1.0-1.noarch.rpm bytes={begun}-" in site.requests[asked:]


def test_a_package_that_is_not_what_the_metadata_says_is_told(tmp_path: Path, repository: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    package = copy / "lib-1.0-1.noarch.rpm"
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.write_bytes(content)
    with serve(copy) as site:
        cause, text = failure(
            create(tmp_path / "1", with_repositories(["lib"], Repository("main", site.url, line=5)))
        )
        assert cause == "repository-invalid"
        assert "package lib-1.0-1.noarch cannot be loaded from repository main" in text
        package.unlink()
        cause, text = failure(
            create(tmp_path / "2", with_repositories(["lib"], Repository("main", site.url, line=5)))
        )
    assert cause == "repository-invalid"
    assert "404" in text


def test_a_package_that_a_local_repository_lacks_is_told(tmp_path: Path, repository: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    (copy / "lib-1.0-1.noarch.rpm").unlink()
    cause, text = failure(
        create(tmp_path / "1", with_repositories(["lib"], Repository("main", copy.as_uri(), line=5)))
    )
    assert cause == "repository-invalid"
    assert text.startswith("image.ks, line 5: package lib-1.0-1.noarch is in the metadata of repository main, but ")


def test_a_local_repository_is_used_in_place(tmp_path: Path, repository: Path, cache: Path) -> None:
    run = create(tmp_path / "1", with_repositories(["app"], Repository("main", repository.as_uri())), cache=cache)
    assert run.status == 0, run.log
    assert not list(cache.rglob("*.rpm"))


def test_jobs_that_run_at_the_same_time_load_each_package_once(tmp_path: Path, repository: Path, cache: Path) -> None:
    with serve(repository) as site, ThreadPoolExecutor(6) as pool:
        wanted = with_repositories(["app", "texts"], Repository("main", site.url))
        runs = list(pool.map(lambda number: create(tmp_path / str(number), wanted, cache=cache), range(6)))
    assert [run.status for run in runs] == [0] * 6, "\n".join(run.log for run in runs)
    assert site.count(".rpm") == 5
    assert site.count("primary.xml.gz") == 1
