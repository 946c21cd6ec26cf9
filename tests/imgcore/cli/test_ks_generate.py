# SPDX-License-Identifier: GPL-2.0-or-later
"""`img ks generate` and `img ks schema` as they are typed."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.described import put
from tests.support.img import Home

FILES = {
    "a.yaml": """\
        ExternalConfigs: [base]
        Configurations:
          - {Name: One, FileName: one, Inherit: [Base], Mic2Options: -f raw}
          - {Name: Two, FileName: two, Inherit: [Base], Schedule: '*'}
        """,
    "base/base.yaml": "Base: {Language: C, Architecture: i586, PostScripts: [base/x.post]}\n",
    "base/x.post": "echo x\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_kickstarts_are_put_where_they_belong_and_their_paths_are_printed(home: Home, tmp_path: Path) -> None:
    done = home.img("ks", "generate", put(tmp_path, FILES), "--outdir", tmp_path / "new/out")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path}/new/out/one.ks\n{tmp_path}/new/out/two.ks\n"
    assert "%post\necho x\n%end\n" in (tmp_path / "new/out/one.ks").read_text()


def test_without_a_place_they_are_put_here_and_with_a_dash_printed(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path, FILES)
    done = home.img("ks", "generate", path, "--name=one", directory=home.path)
    assert (done.code, done.out) == (0, "one.ks\n")
    printed = home.img("ks", "generate", path, "--name=One", "--outdir=-", directory=home.path)
    assert printed.out == (home.path / "one.ks").read_text()


def test_json_says_all_that_is_known(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path, FILES | {"a.yaml": FILES["a.yaml"].replace("Schedule: '*'", "BootloaderOptions: --nothing")})
    done = home.img("ks", "generate", path, "--outdir", tmp_path, "--json")
    assert done.code == 0
    one, two = done.record["kickstarts"]
    assert {key: one[key] for key in ("name", "file_name", "image_type", "arch", "sources", "path")} == {
        "name": "One", "file_name": "one", "image_type": "raw", "arch": "i586",
        "sources": ["a.yaml", "base/base.yaml", "base/x.post"], "path": f"{tmp_path}/one.ks",
    }  # fmt: skip
    assert Path(two["path"]).read_text() == two["text"]
    (warning,) = done.record["mistakes"]
    assert (warning["grade"], warning["rule"], warning["file"], warning["line"]) == ("warning", "yaml", str(path), 4)
    assert warning["message"].startswith("BootloaderOptions: ")


def test_all_mistakes_are_told_as_editors_read_them_and_nothing_is_written(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path, FILES | {"base/base.yaml": "Base:\n  Langauge: C\n  PartSize: big\n"})
    done = home.img("ks", "generate", path, "--outdir", tmp_path / "out")
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines() == [
        f"{tmp_path}/base/base.yaml:2:3: error: Langauge: there is no such key (did you mean Language?) [yaml]",
        f"{tmp_path}/base/base.yaml:3:13: error: PartSize: big is not a whole number of MiB [yaml]",
    ]
    assert not (tmp_path / "out").exists()
    as_json = home.img("ks", "generate", path, "--json")
    assert as_json.code == 2
    assert [each["line"] for each in as_json.record["mistakes"]] == [2, 3]


def test_mistakes_are_told_to_what_reads_sarif_and_to_github(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path, FILES | {"base/base.yaml": "Base:\n  Langauge: C\n"})
    done = home.img("ks", "generate", path, "--format", "github")
    assert done.code == 2
    assert done.out.startswith(f"::error file={tmp_path}/base/base.yaml,line=2,col=3,title=yaml::Langauge: ")
    (run,) = home.img("ks", "generate", path, "--format", "sarif").record["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 2
    both = home.img("ks", "generate", path, "--format", "sarif", "--outdir", "-")
    assert (both.code, both.out) == (2, "")
    assert "give another --outdir" in both.err


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = home.img("ks", "generate", put(tmp_path, FILES), "--outdir", tmp_path / "file")
    assert done.code == 1
    assert "cannot be written" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("dialect", ["mer", "meego"])
def test_the_schema_is_printed(home: Home, dialect: str) -> None:
    done = home.img("ks", "schema", dialect)
    assert done.code == 0
    assert home.img("ks", "schema", dialect, "--json").out == done.out
    jsonschema.Draft202012Validator.check_schema(json.loads(done.out))
