# SPDX-License-Identifier: GPL-2.0-or-later
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.kickstart.document import lines_of, roles

_TEXT = st.text(alphabet=st.sampled_from("ab%\n\r\t <'\"@#-" + "\u2028\x0c"), max_size=200)


@settings(deadline=None)
@given(_TEXT)
def test_nothing_of_a_text_is_lost(text: str) -> None:
    assert "".join(line.text + line.end for line in lines_of(text, "x")) == text


@settings(deadline=None)
@given(_TEXT)
def test_every_line_has_one_role(text: str) -> None:
    lines = lines_of(text, "x")
    assert len(list(roles(lines))) == len(lines)


def test_lines_are_counted_as_editors_count_them() -> None:
    assert [line.place.line for line in lines_of("a\x0cb\u2028c\r\nd\n", "x")] == [1, 2]


def test_roles() -> None:
    text = "# c\nlang en\n%packages\na\n%end\n%include x\n%foo\n%post\n%bar\n%end\n"
    assert [f"{role.kind} {role.section}".strip() for role in roles(lines_of(text, "x"))] == [
        "blank",
        "command",
        "header %packages",
        "body %packages",
        "end %packages",
        "include",
        "header %foo",
        "header %post",
        "body %post",
        "end %post",
    ]
