# SPDX-License-Identifier: GPL-2.0-or-later
"""Feeds kickstarts and YAML that a coverage-guided fuzzer makes (atheris) to everything that reads or changes them.

    fuzz.py kickstart|yaml SECONDS [CORPUS]...

Anything but an error for people is a crash; so is an input that takes more than 30 s or 2 GiB. Not part of the
tests: `make fuzz` installs the fuzzer and runs it for a while.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["imgcore.kickstart", "imgcore.kickstarter"]):
    from imgcore import kickstarter
    from imgcore.errors import InputError
    from imgcore.kickstart import Changes, change, decode, redact, redact_diff, scripts
    from imgcore.kickstart.compare import differences
    from imgcore.kickstart.convert import convert
    from imgcore.kickstart.describe import as_text, as_values
    from imgcore.kickstart.examine import examine
    from imgcore.kickstart.read import read_all
    from imgcore.kickstart.versions import dialect

_LONGEST = 8192
_CHANGES = Changes(
    packages=["a"], extra_repos=["http://e/"], exclude=["zz"], commands=["lang de"], sections=["%post\nx"],
    remove=["b"], remove_commands=["text", "lang"], tokens={"A": "b"},
)  # fmt: skip


def _kickstart(content: bytes) -> None:
    for what in (_examined, _changed, _converted, _compared):
        try:
            what(content)
        except InputError:
            continue


def _examined(content: bytes) -> None:
    examine(content, "x.ks")
    as_text(as_values(read_all(content, "x").kickstart))


def _changed(content: bytes) -> None:
    text = decode(content, "x")
    redact(text)
    once = change(text, _CHANGES)
    redact_diff(once.diff)
    if change(once.text, _CHANGES).text != once.text:
        raise AssertionError("the same change twice is not as once")


def _converted(content: bytes) -> None:
    convert(decode(content, "x"), "x", dialect("rhel9"))


def _compared(content: bytes) -> None:
    differences(read_all(content, "x").kickstart, read_all(content[: len(content) // 2], "x").kickstart)


def _yaml(content: bytes) -> None:
    place = Path(tempfile.gettempdir()) / "imager-fuzz"
    place.mkdir(exist_ok=True)
    (place / "x.yaml").write_bytes(content)
    try:
        kickstarter.generate(kickstarter.Request(place / "x.yaml"))
    except InputError:
        return


def main() -> None:
    """Fuzz until the time is over or something is found."""
    # A shell an input would be most of the time; what it is given is not parsed here.
    scripts.check = lambda *_: None
    kind, seconds, *corpora = sys.argv[1:]
    options = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=30", "-rss_limit_mb=2048"]
    with tempfile.TemporaryDirectory() as found:
        # The first directory gets what is new; those that are given are only read.
        atheris.Setup([sys.argv[0], *options, found, *corpora], {"kickstart": _kickstart, "yaml": _yaml}[kind])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
