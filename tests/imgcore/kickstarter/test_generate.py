# SPDX-License-Identifier: GPL-2.0-or-later
"""Which images are made, under which names, and what is told when none is."""

import os
import random
import time
from pathlib import Path

import pytest

from imgcore.errors import InputError
from imgcore.kickstarter import KickstarterError, Request, generate
from tests.support.described import mistakes, put

MANY = """\
Base: {Language: C}
Configurations:
  - {Name: One image, Inherit: [Base]}
  - {Name: Two, FileName: second, Active: False, Inherit: [Base]}
  - {Name: Three, FileName: third, Active: }
"""


def made(path: Path, name: str = "") -> list[tuple[str, str]]:
    return [(each.name, each.file_name) for each in generate(Request(path, name))[0]]


def test_all_active_images_are_made_and_any_that_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, {"a.yaml": MANY})
    assert made(path) == [("One image", "One_image"), ("Three", "third")]
    assert made(path, "Two") == made(path, "second") == [("Two", "second")]


def test_a_name_that_is_not_there_is_told_with_the_nearest_and_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no image Tow \(did you mean Two\?\).*One image.*second"):
        made(put(tmp_path, {"a.yaml": MANY}), "Tow")


def test_of_images_with_one_file_name_the_last_has_it(tmp_path: Path) -> None:
    text = "Configurations:\n  - {Name: The one, FileName: x}\n  - {Name: The other, FileName: x}\n"
    path = put(tmp_path, {"a.yaml": text})
    found, warnings = generate(Request(path))
    assert [each.file_name for each in found] == ["The_one", "x"]
    assert "x is the FileName of The other, too; this one is The_one" in str(warnings[0])
    with pytest.raises(InputError, match="x is the name of 2 images"):
        generate(Request(path, "x"))
    same = "Configurations: [{Name: x}, {Name: x}]\n"
    assert "give another one" in str(mistakes(tmp_path / "same", {"a.yaml": same})[0])


def test_all_mistakes_of_all_files_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    files = {
        "a.yaml": "ExternalConfigs: [base]\nConfigurations:\n  - {Name: a, Inherit: [Base], Desk: x}\n",
        "base/b.yaml": "Base: {Langauge: C}\nOther: {PartSize: big}\n",
        "base/c.yaml": "a: [\n",
    }
    found = mistakes(tmp_path, files)
    assert [(Path(each.spot.file).name, each.spot.line, each.key) for each in found] == [
        ("a.yaml", 3, "Desk"), ("b.yaml", 1, "Langauge"), ("b.yaml", 2, "PartSize"), ("c.yaml", 2, ""),
    ]  # fmt: skip


def test_the_error_itself_is_one_line_with_the_first_and_how_many_more(tmp_path: Path) -> None:
    path = put(tmp_path, {"a.yaml": "Base: {Langauge: C, Desk: x, Keybord: us}\n"})
    with pytest.raises(KickstarterError) as caught:
        generate(Request(path))
    assert str(caught.value).startswith(
        f"{path}:1:8: Langauge: there is no such key (did you mean Language?); 2 more"
    )
    assert caught.value.exit_code == 2


def test_a_mistake_of_an_image_that_is_not_asked_for_is_nobodys_business(tmp_path: Path) -> None:
    text = "Configurations:\n  - {Name: good}\n  - {Name: bad, Inherit: [Nothing], Repos: [r]}\n"
    assert made(put(tmp_path, {"a.yaml": text}), "good") == [("good", "good")]
    assert len(mistakes(tmp_path, {"a.yaml": text})) == 2


def test_what_is_not_there_is_ignored_and_told_when_lenient(tmp_path: Path) -> None:
    text = "Configurations:\n  - {Name: a, Boolloader: x, Inherit: [Nil], Repos: [nil], PostScripts: [nil]}\n"
    found, warnings = generate(Request(put(tmp_path, {"a.yaml": text}), lenient=True))
    assert len(found) == 1
    assert [each.key for each in warnings] == ["Boolloader", "Inherit", "PostScripts", "Repos"]
    assert all("it is ignored" in each.what for each in warnings)


def test_what_the_built_in_creator_refuses_is_told_when_it_is_to_build(tmp_path: Path) -> None:
    text = """\
    Repositories: [{Name: r, Url: http://e.org}]
    Configurations:
      - {Name: a, Repos: [r], Mic2Options: -f raw, PartSize: 100, FileSystem: xfs}
    """
    path = put(tmp_path, {"a.yaml": text})
    assert generate(Request(path, tool="mic"))[0]
    (mistake,) = mistakes(tmp_path, {"a.yaml": text}, tool="builtin")
    assert (mistake.spot.line, mistake.key) == (3, "PartSize")
    assert "xfs is not a file system" in mistake.what


@pytest.mark.parametrize("text", ["", "Base: {Language: C}\n", "Configurations: []\n", "Repositories: []\n"])
def test_a_file_without_images_is_refused_with_what_to_give(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="give the YAML file that has Configurations"):
        generate(Request(put(tmp_path, {"a.yaml": text})))


def test_a_file_that_is_one_image_of_a_description_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is one image of a description \(give the file whose ExternalConfigs"):
        generate(Request(put(tmp_path, {"a.yaml": "Name: a\nPlatform: B\n"})))


def test_a_section_that_stands_twice_is_told_and_the_one_nearer_to_the_main_file_used(tmp_path: Path) -> None:
    files = {
        "a.yaml": "ExternalConfigs: [b]\nS:\n  Language: C\nConfigurations: [{Name: a, Inherit: [S]}]\n",
        "b/b.yaml": "S: {Language: en_US.UTF-8}\n",
    }
    (found,), (warning,) = generate(Request(put(tmp_path, files)))
    assert "lang C\n" in found.text
    assert str(warning).startswith(
        f"{tmp_path}/b/b.yaml:1:1: warning: S: the section is in {tmp_path}/a.yaml, line 2"
    )


@pytest.mark.parametrize("text", ["just text\n", "- a\n- b\n", "1\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "KEY: VALUE" in mistakes(tmp_path, {"a.yaml": text})[0].what


def test_the_same_files_give_the_same_bytes_wherever_and_in_whatever_order_they_were_written(tmp_path: Path) -> None:
    names = [f"base/{n:02}.yaml" for n in range(12)]
    files = {name: f"S{n}: {{ExtraPackages: [p{n}]}}\n" for n, name in enumerate(names)}
    main = (
        "ExternalConfigs: [base]\nConfigurations: [{Name: a, Inherit: ["
        + ", ".join(f"S{n}" for n in range(12))
        + "]}]\n"
    )
    texts = set()
    for seed in range(4):
        order = list(files.items())
        random.Random(seed).shuffle(order)
        place = tmp_path / str(seed) / "deep"
        put(place, {"main.yaml": main, **dict(order)})
        os.utime(place / "main.yaml", (seed, seed))
        texts.add(generate(Request(place / "main.yaml"))[0][0].text)
    assert len(texts) == 1


def chain(length: int) -> str:
    sections = "".join(f"S{n}: {{Inherit: [S{n + 1}]}}\n" for n in range(length))
    return f"{sections}Configurations: [{{Name: a, Inherit: [S0]}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(chain(10_000), id="a chain of sections"),
        pytest.param("B: {ExtraPackages: [" + "p, " * 45_000 + "]}\nConfigurations:\n"
                     + "".join(f"- {{Name: n{n}, Inherit: [B]}}\n" for n in range(5_000)), id="one list"),
        pytest.param("B: &b {ExtraPackages: [" + ", ".join(f"p{n}" for n in range(9_000)) + "]}\nConfigurations:\n"
                     + "".join(f"- {{Name: n{n}, Inherit: [B]}}\n" for n in range(9_000)), id="values"),
        pytest.param("".join(f"Ab{n}: {{Inherit: [Ac{n}]}}\n" for n in range(9_000)) + "Configurations:\n"
                     + "".join(f"- {{Name: n{n}, Inherit: [Ab{n}]}}\n" for n in range(5_000)), id="missing sections"),
        pytest.param("Repositories: [{Name: r, Url: '" + "0123456789" * 20 + "'}]\n"
                     + "RepositoryURLVariables: {" + ", ".join(f'"{n}": "{"9" * 40}"' for n in range(9)) + "}\n"
                     + "Configurations: [{Name: a, Repos: [r]}]\n", id="a URL that grows"),
    ],
)  # fmt: skip
def test_a_hostile_description_is_refused_in_bounded_time(tmp_path: Path, text: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError):
        generate(Request(put(tmp_path, {"a.yaml": text})))
    assert time.monotonic() - start < 60
