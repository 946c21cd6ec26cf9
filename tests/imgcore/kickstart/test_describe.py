# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/kickstart/describe.py: the table and the picture of what will be built."""

from imgcore.kickstart import read
from imgcore.kickstart.describe import as_text, as_values


def test_a_disk_is_a_row_of_boxes_as_wide_as_the_partitions_are_large() -> None:
    found = read(
        b"part /boot --size=100 --fstype=vfat\npart / --size=900 --grow\npart /x --size=5 --ondisk=sdb\n", "x"
    )
    text = as_text(as_values(found))
    boot, root = (len(cell) for cell in next(line for line in text.splitlines() if "/boot" in line).split("|")[1:3])
    assert root > 4 * boot
    assert "sda: 1000 MiB" in text
    assert "900 MiB +" in text
    assert "sdb: 5 MiB" in text


def test_many_partitions_without_a_size_are_drawn_too() -> None:
    text = "".join(f"part /a{number} --size=0\n" for number in range(40))
    assert "/a39" in as_text(as_values(read(text.encode(), "x")))


def test_a_size_below_nothing_is_drawn_as_nothing() -> None:
    assert "/a" in as_text(as_values(read(b"part / --size=-500\npart /a --size=100\n", "x")))


def test_everything_that_counts_is_there_without_secrets() -> None:
    text = (
        "repo --name=a --baseurl=http://me:hidden@x/ --priority=3\nuser --name=u --password=hidden\n"
        "%packages\nvim\n@core\n@^env\n-ed\n%end\n%prepackages\nfs\n%end\n%attachment\n/boot/x\n%end\n"
        "%post --erroronfail\ntrue\n%end\n%pack\ntrue\n%end\n"
    )
    values = as_values(read(text.encode(), "x"))
    assert values["repositories"] == [{"name": "a", "url": "http://***@x/", "save": False, "priority": 3}]
    assert (values["packages"], values["groups"], values["excluded"]) == (["vim"], ["@core", "@^env"], ["ed"])
    assert (values["prepackages"], values["attachments"]) == (["fs"], ["/boot/x"])
    assert [(each["kind"], each["in_image"], each["error_on_fail"]) for each in values["scripts"]] == [
        ("post", True, True),
        ("pack", False, False),
    ]
    assert "hidden" not in str(values) + as_text(values)
