# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves docs/participants.md: what it says of fields, options and files is what the code says."""

import configparser
from pathlib import Path

import pytest

from imgcore.declaration import table
from participants.__main__ import NAMES, declarations
from SkyNET import configuration

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/participants.md").read_text()


def test_the_tables_are_those_that_python_m_participants_prints() -> None:
    _, _, rest = PAGE.partition("<!-- made by: python -m participants -->\n")
    assert rest.partition("<!-- end -->")[0] == table(declarations())


@pytest.mark.parametrize("name", NAMES)
def test_each_participant_has_a_configuration_whose_options_are_explained_and_have_their_defaults(
    name: str, tmp_path: Path
) -> None:
    own = ROOT / f"conf/skynet/{name}.conf"
    (tmp_path / "skynet.conf").write_text("[boss]\namqp_host = h\namqp_user = u\namqp_pwd = p\namqp_vhost = v\n")
    settings = configuration.load(own, tmp_path)
    assert settings.code == ROOT / f"participants/{name}.py" or settings.code.samefile(
        ROOT / f"participants/{name}.py"
    )
    # What is commented out changes nothing when it is not.
    text = own.read_text()
    options = configparser.ConfigParser()
    options.read_string(
        "\n".join(line.removeprefix("#") if line[:2] not in ("# ", "#") else "" for line in text.splitlines())
    )
    given = dict(options["participant"])
    assert set(given) >= {"name", "code", "queue", "regexp", "slots", "journal", "priorities"}
    assert (given["queue"], given["regexp"], given["priorities"]) == (settings.queue, settings.regexp, "no")


@pytest.mark.parametrize("name", NAMES)
def test_each_participant_is_on_the_page(name: str) -> None:
    assert f"| `{name}` |" in PAGE
    assert f"### {name}" in PAGE
