# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/declaration.py."""

from imgcore.declaration import Declaration, Field, table


def test_a_declaration_becomes_a_table_of_what_is_read_and_written() -> None:
    declared = Declaration(
        "greet",
        reads=(Field("image.name", str, "who | what", mandatory=True),),
        params=(Field("loud", bool, "shout"),),
        writes=(Field("image.greeting", "list of texts", "what was said"),),
    )
    assert table([declared]) == (
        "### greet\n\n| | field | what it is | |\n|---|---|---|---|\n"
        "| reads | `image.name` | text (mandatory) | who \\| what |\n"
        "| attribute | `loud` | true or false | shout |\n"
        "| writes | `image.greeting` | list of texts | what was said |\n"
    )


def test_fields_that_belong_together_have_one_line() -> None:
    assert Field("image.a, b", str, "both").names == ("image.a", "image.b")
    assert Field("status", str, "alone").names == ("status",)
    declared = Declaration("p", (Field("image.a, b", str, "both"),))
    assert "| reads | `image.a`, `image.b` | text | both |" in table([declared])
