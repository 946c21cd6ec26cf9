# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.creator.plan import (
    Attachment,
    BootLoader,
    Desktop,
    Firewall,
    Group,
    Interface,
    Item,
    Partition,
    Password,
    Plan,
    Repository,
    Script,
    Services,
    User,
    UserGroup,
    from_json,
    to_json,
)
from imgcore.errors import InputError
from imgcore.kickstart import KickstartError, plan, read
from imgcore.kickstart.dialect import names
from imgcore.kickstart.judged import CARRIED, NO_MEANING, REFUSED

#: Two lines, so that what a test adds begins in line 3.
BASE = "repo --name=main --baseurl=http://x.org/main\npart / --size=100 --fstype=ext4\n"


def planned(text: str, image_type: str = "raw", base: str = BASE, **more: Any) -> tuple[Plan, tuple[str, ...]]:
    read_in = read((base + text).encode(), "x.ks")
    made, warnings = plan(read_in, name="image", arch="x86_64", image_type=image_type, **more)
    assert from_json(to_json(made)) == made
    return made, warnings


def made(text: str, image_type: str = "raw", base: str = BASE, **more: Any) -> Plan:
    found, warnings = planned(text, image_type, base, **more)
    assert warnings == ()
    return found


def refusal(text: str, image_type: str = "raw", base: str = BASE) -> InputError:
    with pytest.raises(InputError) as caught:
        planned(text, image_type, base)
    return caught.value


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("lang de_DE.UTF-8", "lang", Item("de_DE.UTF-8", 3)),
        ("keyboard us", "keyboard", Item("us", 3)),
        ("keyboard --vckeymap=de-latin1", "keyboard", Item("de-latin1", 3)),
        ("keyboard --vckeymap=us --xlayouts=us", "keyboard", Item("us", 3)),
        ("timezone --utc Europe/Berlin", "timezone", Item("Europe/Berlin", 3)),
        ("timezone Europe/Berlin", "clock_utc", False),
        ("timezone --isUtc UTC", "clock_utc", True),
        ("rootpw secret", "root_password", Password("secret", line=3)),
        ("rootpw --iscrypted $6$a$b", "root_password", Password("$6$a$b", crypted=True, line=3)),
        ("rootpw --lock", "root_password", Password(locked=True, line=3)),
        (
            "user --name=me --password=x --plaintext --groups=audio,video --uid=1000 --gid=1001 --homedir=/h"
            " --shell=/bin/sh",
            "users",
            (User("me", Password("x", line=3), 1000, 1001, ("audio", "video"), "/h", "/bin/sh", "", 3),),
        ),
        ("user --name=me --gecos='M E'", "users", (User("me", gecos="M E", line=3),)),
        ("user --name=me --lock", "users", (User("me", Password(locked=True, line=3), line=3),)),
        ("group --name=g --gid=7", "groups", (UserGroup("g", 7, 3),)),
        ("services --enabled=a,b --disabled=c", "services", Services(("a", "b"), ("c",), 3)),
        (
            "firewall --enabled --ssh --port=80:tcp,53:udp --trust=eth0 --service=mdns",
            "firewall",
            Firewall(True, ("80:tcp", "53:udp"), ("ssh", "mdns"), ("eth0",), 3),
        ),
        ("firewall --disabled", "firewall", Firewall(False, line=3)),
        ("firewall --use-system-defaults", "firewall", None),
        ("selinux --enforcing", "selinux", Item("enforcing", 3)),
        ("selinux --permissive", "selinux", Item("permissive", 3)),
        ("selinux --disabled", "selinux", Item("disabled", 3)),
        (
            "network --device=eth0 --bootproto=static --ip=10.0.0.2 --netmask=255.0.0.0 --gateway=10.0.0.1"
            " --nameserver=1.1.1.1,::1 --ipv6=fd00::2/64 --ipv6gateway=fd00::1 --mtu=1400 --onboot=no"
            " --hostname=h.x.org",
            "network",
            (
                Interface(
                    "eth0", "static", False, "10.0.0.2", "255.0.0.0", "10.0.0.1", ("1.1.1.1", "::1"), "fd00::2/64",
                    "fd00::1", "", 1400, "", "h.x.org", 3,
                ),
            ),
        ),
        ("network --hostname=h", "network", (Interface(boot_protocol="none", hostname="h", line=3),)),
        ("network --bootproto=dhcp", "network", (Interface("link", line=3),)),
        ("network --device=bootif --bootproto=dhcp", "network", (Interface("link", line=3),)),
        (
            "network --device=wlan0 --essid='my net' --noipv4",
            "network",
            (Interface("wlan0", "none", essid="my net", line=3),),
        ),
        (
            "desktop --autologinuser=me --session=/usr/bin/x --defaultdm=gdm",
            "desktop",
            Desktop("/usr/bin/x", "", "gdm", "me", False, 3),
        ),
        ("xconfig --startxonboot --defaultdesktop=GNOME", "desktop", Desktop("", "GNOME", "", "", True, 3)),
        ("auth --useshadow --enablemd5", "authentication", Item("--useshadow --enablemd5", 3)),
        ("authselect select minimal", "authentication", Item("select minimal", 3)),
        ("firstboot --enable", "first_boot", True),
        ("firstboot --disable", "first_boot", False),
    ],
)  # fmt: skip
def test_what_describes_the_system_is_carried_out(text: str, field: str, value: object) -> None:
    assert getattr(made(text).system, field) == value


def test_what_is_not_said_is_left_as_the_packages_make_it() -> None:
    system = made("").system
    assert system.lang is system.timezone is system.root_password is system.services is system.first_boot is None
    assert system.users == system.network == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("part /home --size=5", Partition("/home", 5, line=3)),
        ("part /b/ --size=5 --fstype=vfat --ondisk=/dev/sdb", Partition("/b", 5, "vfat", "sdb", line=3)),
        ("partition swap --size=64 --label=s", Partition("swap", 64, "swap", label="s", line=3)),
        ("part /boot/efi --size=64", Partition("/boot/efi", 64, "efi", line=3)),
        ("part /x --size=5 --align=8 --active", Partition("/x", 5, active=True, align=8, line=3)),
        ("part /x --size=5 --part-type=EF00", Partition("/x", 5, part_type="EF00", line=3)),
        ("part /x --size=5 --part-type=8300", Partition("/x", 5, part_type="8300", line=3)),
        (
            "part /x --size=5 --part-type=0x83 --fsoptions=noatime,ro",
            Partition("/x", 5, options="noatime,ro", part_type="0x83", line=3),
        ),
        ("part biosboot", Partition("biosboot", 1, "biosboot", line=3)),
    ],
)  # fmt: skip
def test_partitions_are_carried_out(text: str, part: Partition) -> None:
    assert made(text).partitions[1] == part


@pytest.mark.parametrize(
    ("text", "loader"),
    [
        ("", BootLoader()),
        ("bootloader --timeout=5 --append='a=b quiet'", BootLoader(timeout=5, append="a=b quiet", line=3)),
        ("bootloader --location=none", BootLoader("none", line=3)),
        ("bootloader --location=mbr --ptable=gpt", BootLoader(table="gpt", line=3)),
        ("bootloader --disabled", BootLoader("none", line=3)),
        (
            "bootloader --menus='s:A Title:x=y;t;'",
            BootLoader(menus=(("A Title", "s", "x=y"), ("t", "t", "")), line=3),
        ),
        ("part biosboot --size=1", BootLoader(table="gpt")),
        ("clearpart --disklabel=gpt", BootLoader(table="gpt")),
        ("bootloader --ptable=msdos\npart biosboot", BootLoader(line=3)),
    ],
)
def test_the_boot_loader_is_carried_out(text: str, loader: BootLoader) -> None:
    assert made(text).boot_loader == loader


def test_where_a_boot_loader_goes_does_not_matter_to_an_image_that_gets_none() -> None:
    assert made("bootloader --location=partition", "loop").boot_loader.location == "none"


@pytest.mark.parametrize(
    ("line", "repository"),
    [
        (
            "repo --name=a --baseurl=https://u:p@x/ --cost=5 --priority=3 --includepkgs=a,b* --excludepkgs=c --save"
            " --proxy=http://p:3128 --proxyuser=u --proxypasswd=s --gpgkey=file:///k --ssl_verify=no",
            Repository(
                "a", "https://u:p@x/", "", 5, 3, ("a", "b*"), ("c",), "http://p:3128", "u", "s", "file:///k", False,
                True, 3,
            ),
        ),
        ("repo --name=a --mirrorlist=http://m", Repository("a", mirrorlist="http://m", line=3)),
        ("repo --name=a --baseurl=http://x --gpgkey=/a,https://k/b,'/c d'", Repository(
            "a", "http://x", gpg_key="file:///a,https://k/b,file:///c%20d", line=3)),
        ("repo --name=a --metalink=https://m/metalink", Repository("a", mirrorlist="https://m/metalink", line=3)),
        ("repo --name=a --baseurl=/srv/r --noverifyssl", Repository("a", "file:///srv/r", ssl_verify=False, line=3)),
        ("repo --name=a --baseurl=http://x --install", Repository("a", "http://x", save=True, line=3)),
        ("url --url=http://x", Repository("install", "http://x", line=3)),
        ("url --mirrorlist=http://x", Repository("install", mirrorlist="http://x", line=3)),
    ],
)  # fmt: skip
def test_repositories_are_carried_out(line: str, repository: Repository) -> None:
    assert made(line).repositories[1] == repository


@pytest.mark.parametrize(
    ("first", "second", "lost"),
    [
        ("", "", ""),
        ("--gpgkey=/k --cost=3", "", ""),
        ("--ssl_verify=yes --save", "--install --ssl_verify=yes", ""),
        ("--cost=3 --gpgkey=/k", "--cost=4 --gpgkey=/k --save", "--cost, --save"),
        ("--noverifyssl", "--ssl_verify=yes", "--ssl_verify"),
        ("", "--proxyuser=u --excludepkgs=a", "--proxyuser, --excludepkgs"),
    ],
)  # fmt: skip
def test_of_a_repository_that_is_there_already_the_options_that_are_lost_are_told(
    first: str, second: str, lost: str
) -> None:
    line = "repo --name=a --baseurl=http://x"
    lost = f", and what this one has of {lost} is not used" if lost else ""
    made, warnings = planned(f"{line} {first}\n{line} {second}")
    assert warnings == (f"x.ks, line 4: repository a is there already, in line 3{lost}",)
    assert made.repositories[1] == planned(f"{line} {first}")[0].repositories[1]


@pytest.mark.parametrize(("first", "words"), [("", "without --gpgkey"), (" --gpgkey=/a", "with another --gpgkey")])
def test_a_repository_that_is_there_already_does_not_lose_its_key(first: str, words: str) -> None:
    line = "repo --name=a --baseurl=http://x"
    error = refusal(f"{line}{first}\n{line} --gpgkey=/b")
    assert error.message == f"x.ks, line 4: repository a is there already, in line 3, {words}"


def test_packages_are_carried_out() -> None:
    text = (
        "%packages --excludedocs --ignoremissing --inst-langs=en,de --exclude-weakdeps\n@core --nodefaults\n"
        "@My Group --optional\n"
        "vim*\n-nano\n-@games\n%end\n%packages --nocore\nmc\nmc\n%end\n%prepackages\nfilesystem\n%end\n"
        "%attachment\n/boot/vmlinuz*\nhw-packages\n%end"
    )
    found = made(text)
    packages = found.packages
    assert packages.names == (Item("vim*", 6), Item("mc", 11))
    assert packages.groups == (Group("core", "required", 4), Group("My Group", "all", 5))
    assert packages.excluded == (Item("nano", 7), Item("@games", 8))
    assert packages.first == (Item("filesystem", 15),)
    assert (packages.core, packages.exclude_docs, packages.ignore_missing) == (False, True, True)
    assert packages.languages == "en:de"
    assert found.attachments == (Attachment("/boot/vmlinuz*", 18), Attachment("hw-packages", 19))


def test_excluding_the_core_group_is_as_nocore() -> None:
    packages = made("%packages\n-@core\n%end").packages
    assert packages.core is False
    assert packages.excluded == ()
    assert made("%packages\n%end").packages.core is True


@pytest.mark.parametrize(
    ("lines", "installed"), [("vim\n-vim", False), ("-vim\nvim", True), ("@g\n-@g", False), ("-@g\n@g", True)]
)
def test_of_two_lines_about_a_package_the_later_one_counts_and_that_is_told(lines: str, installed: bool) -> None:
    found, warnings = planned(f"%packages\n{lines}\n%end")
    assert bool(found.packages.names or found.packages.groups) is installed
    assert bool(found.packages.excluded) is not installed
    assert len(warnings) == 1


def test_scripts_are_carried_out_in_their_order() -> None:
    text = (
        "%pre\na\n%end\n%post --erroronfail --log=/l --interpreter=/usr/bin/python3\nb\n%end\n"
        "%post --nochroot\nc\n%end\n%pack\nd\n%end\n%post\ne\n%end"
    )
    assert made(text).scripts == (
        Script("pre", "a\n", "/bin/bash", False, line=3),
        Script("post", "b\n", "/usr/bin/python3", True, True, "/l", 6),
        Script("post", "c\n", "/bin/bash", False, line=9),
        Script("pack", "d\n", "/bin/bash", False, line=12),
        Script("post", "e\n", "/bin/sh", True, line=15),
    )


def test_the_job_s_own_values_are_carried_out() -> None:
    found = made(
        "", tokens={"RELEASE": "4", "not a name": "x"}, extra_opts=["--pack-to=@NAME@-a.tar.xz", "--copy-kernel"],
        source_date_epoch=7, build_id="b",
    )  # fmt: skip
    assert (found.name, found.arch, found.image_type, found.kickstart) == ("image", "x86_64", "raw", "x.ks")
    assert (found.source_date_epoch, found.build_id, found.release) == (7, "b", "4")
    assert found.tokens == {"RELEASE": "4"}
    assert (found.pack_to, found.copy_kernel) == ("image-a.tar.xz", True)
    assert made("", extra_opts=["--compress-image=zst", "--release=5"]).compress == "zst"


def test_every_command_that_can_be_read_is_carried_out_of_no_meaning_or_refused() -> None:
    assert names() <= set(CARRIED) | set(NO_MEANING) | set(REFUSED)
    assert not set(CARRIED) & set(REFUSED)
    assert not set(NO_MEANING) & (set(REFUSED) | set(CARRIED))


@pytest.mark.parametrize(
    ("line", "message", "remedy"),
    [
        ("btrfs / --label=x", "btrfs is not something that the built-in creator does", "use part --fstype=btrfs"),
        ("autopart", "autopart is not something that the built-in creator does", "part lines"),
        ("raid / --device=md0 --level=1 raid.1 raid.2", "raid is not something", "part lines"),
        ("sshkey --username=root 'ssh-rsa x'", "sshkey is not something", "%post"),
        ("ostreesetup --osname=a --url=http://x --ref=y", "ostreesetup is not something", "repo line"),
        ("module --name=a --stream=1", "module is not something", "%packages"),
        ("lang en --addsupport=de", "--addsupport of lang is not something", "%packages"),
        ("timezone UTC --ntpservers=a", "--ntpservers of timezone is not something", "%post"),
        ("rootpw x --allow-ssh", "--allow-ssh of rootpw is not something", "%post"),
        ("network --device=a --noipv6", "--noipv6 of network is not something", "%post"),
        ("network --device=a --vlanid=3", "--vlanid of network is not something", "%post"),
        ("bootloader --location=partition", "bootloader: --location=partition is not something", "mbr or none"),
        ("bootloader --location=boot", "bootloader: --location=boot is not something", "mbr or none"),
        ("bootloader --password=x", "--password of bootloader is not something", "leave it out"),
        ("part /x --size=3 --encrypted", "--encrypted of part is not something", "leave it out"),
        ("part /x --size=3 --mkfsoptions=x", "--mkfsoptions of part is not something", "leave it out"),
        ("repo --name=b --baseurl=http://x --sslcacert=/x", "--sslcacert of repo is not something", "leave it out"),
        ("firewall --remove-service=x", "--remove-service of firewall is not something", "%post"),
        ("firstboot --reconfig", "firstboot: --reconfig is not something", "--enable"),
        ("%addon x\n%end", "%addon is not something that the built-in creator does", "%post"),
        ("%pre-install\n%end", "%pre-install is not something", "%pre or %post"),
        ("%certificate --filename=x --dir=/y\n%end", "%certificate is not something", "%post"),
        ("%packages --multilib\n%end", "--multilib of %packages is not something", "leave it out"),
        ("%packages --ignorebroken\n%end", "--ignorebroken of %packages is not something", "exclude"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name_and_line(line: str, message: str, remedy: str) -> None:
    error = refusal(line)
    assert error.message.startswith(f"x.ks, line 3: {message}")
    assert remedy in error.remedy


def test_environments_and_modules_are_refused_with_their_line() -> None:
    assert "line 4: the environment @^x is not" in refusal("%packages\n@^x\n%end").message
    assert "line 4: the module @x:1 is not" in refusal("%packages\n@x:1\n%end").message


@pytest.mark.parametrize(
    "line",
    [
        "install", "text", "cmdline", "reboot", "poweroff", "zerombr", "ignoredisk --only-use=sda", "eula --agreed",
        "logging --level=info", "cdrom", "sshpw --username=a b", "clearpart --all", "timezone --nontp UTC",
        "network --device=a --activate", "bootloader --extlinux", "%traceback\n%end", "%onerror\n%end",
        "%anaconda\n%end", "%packages --nobase\n%end", "repo --name=b --baseurl=http://x --disable",
        "lang en\nlang de",
        "part /x --size=1 --asprimary", "part /x --size=1 --grow", "keyboard --xlayouts=us,de", "repo --name=main --baseurl=http://x.org/main",
        "firewall --disabled --ssh",
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_told_in_a_warning_with_its_line(line: str) -> None:
    _, warnings = planned(line)
    assert len(warnings) == 1
    assert warnings[0].startswith("x.ks, line 3: ")


def test_of_two_lines_of_a_command_that_stands_once_the_last_is_used() -> None:
    assert planned("lang en\nlang de")[0].system.lang == Item("de", 4)


@pytest.mark.parametrize(
    "line", ["autopart", "bootloader", "zerombr", "clearpart --all", "ignoredisk --only-use=sda", "volgroup a pv.1"]
)
def test_a_file_tree_has_no_disk_to_lay_out(line: str) -> None:
    _, warnings = planned(line, "fs")
    assert warnings == (f"x.ks, line 3: {line.split()[0]} has no meaning for a file tree",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lang ../x", "'../x' is not a valid language"),
        ("timezone ../../etc", "'../../etc' is not a valid time zone"),
        ("keyboard a/b", "'a/b' is not a valid keymap"),
        ("user --name=a:b", "'a:b' is not a valid user name"),
        ("user --name=root", "root is there already"),
        ("user --name=''", "a user needs a name"),
        ("user --name=a --homedir=/a/../b", "'/a/../b' is not a valid path"),
        ("user --name=a --gecos=a:b", "is not a valid comment"),
        ("user --name=a --uid=-4", "--uid -4 is not a whole number from 0"),
        ("user --name=a --groups=b,-c", "'-c' is not a valid group name"),
        ("user --name=a --iscrypted --password=x:y", "characters that a password cannot have"),
        ("user --name=a\nuser --name=a", "a is there already, in line 3"),
        ("group --name=a\ngroup --name=a", "a is there already, in line 3"),
        ("services --enabled=a,-b", "'-b' is not a valid service"),
        ("services --enabled=a --disabled=a", "a is both enabled and disabled"),
        ("firewall --port=http", "'http:tcp' is not a valid port"),
        ("selinux", "selinux: it says nothing"),
        ("network --device=a --ip=300.1.1.1", "300.1.1.1 is not an IP address"),
        ("network --device=a --bootproto=static --ip=1.1.1.1", "needs --ip and --netmask"),
        ("network --device=a --bootproto=ibft", "--bootproto=ibft is not something"),
        ("network --device=../a", "'../a' is not a valid interface"),
        ("network --device=01:23:45:67:89:ab", "is a hardware address"),
        ("network --hostname=a_b", "'a_b' is not a valid host name"),
        ("network --device=a --mtu=x", "--mtu x is not a whole number"),
        ("network --device=a\nnetwork --device=a", "a is there already, in line 3"),
        ("part /x", "/x has no size"),
        ("part /x --size=0", "--size 0 is not a whole number from 1"),
        ("part /x --size=-5", "--size -5 is not a whole number from 1"),
        ("part /x --size=99999999999", "is not a whole number"),
        ("part / --size=5", "/ is there already, in line 2"),
        ("part /x --size=5 --fstype=xfs", "xfs is not a file system that the built-in creator makes"),
        ("part swap --size=5 --fstype=ext4", "swap cannot be ext4"),
        ("part /x --size=5 --fstype=swap", "/x cannot be swap"),
        ("part pv.1 --size=5", "pv.1: LVM is not something"),
        ("part x --size=5", "x is not a mount point"),
        ("part /a/../b/../../c --size=5 --label=x --fsoptions='a b'", "is not a valid mount options"),
        ("part '/a b' --size=5", "characters that a mount point cannot have"),
        ("part /x --size=5 --ondisk=../a", "'../a' is not a valid disk"),
        ("part /x --size=5 --label=a/b", "'a/b' is not a valid label"),
        ("part /x --size=5 --fstype=vfat --label=longer-than-11", "longer than the 11 characters"),
        ("part /x --size=5 --label=a\npart /y --size=5 --label=a", "the label a is there already, in line 3"),
        ("part /x --size=5 --align=0", "--align 0 is not a whole number"),
        ("part /x --size=5 --part-type=zz", "'zz' is not a valid partition type"),
        ("part /x --size=5 --uuid=1", "'1' is not a valid UUID"),
        ("bootloader --location=moon", "option --location of bootloader: invalid choice: 'moon'"),
        ("bootloader --timeout=-1", "--timeout -1 is not a whole number"),
        ("bootloader --menus='a:b\"c'", "characters that a menu cannot have"),
        ("repo --name=../x --baseurl=http://x", "'../x' is not a valid repository name"),
        ("repo --name=b", "b needs one of --baseurl, --mirrorlist and --metalink"),
        ("repo --name=b --baseurl=javascript:x", "is not a valid repository URL"),
        ("repo --name=b --baseurl=http://x --cost=-3", "--cost -3 is not a whole number"),
        ("repo --name=b --baseurl=http://x --excludepkgs=-a", "'-a' is not a package name"),
        ("repo --name=main --baseurl=http://other", "repository main is there already, in line 1, with another URL"),
        ("%packages --inst-langs='a b'\n%end", "'a b' is not a list of languages"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_a_mistake_with_its_line(text: str, words: str) -> None:
    error = refusal(text)
    assert words in error.message
    # A value that conflicts with an earlier line is told at the later one.
    assert error.message.startswith(f"x.ks, line {4 if 'in line 3' in words else 3}: ")


def test_all_refusals_come_at_once() -> None:
    error = refusal("btrfs / --label=x\nlang ../x\npart /x\n%addon y\n%end\n")
    assert isinstance(error, KickstartError)
    assert [mistake.place.line for mistake in error.mistakes] == [3, 4, 5, 6]


def test_a_raw_image_needs_a_root_partition() -> None:
    repo = "repo --name=a --baseurl=http://a\n"
    assert "x.ks, line 2: a raw image needs a root partition" in refusal("part /x --size=5", base=repo).message
    assert "a raw image needs a root partition" in refusal("", base=repo).message


def test_a_loop_image_has_one_root_partition_or_the_default_one() -> None:
    repo = "repo --name=a --baseurl=http://a\n"
    assert made("", "loop", repo).partitions == (Partition("/", 4096),)
    assert made("", "loop").partitions == (Partition("/", 100, line=2),)
    assert "line 3: part: a loop image has one partition" in refusal("part /x --size=5", "loop").message
    assert (
        "line 2: part: the partition of a loop image is / and not /x"
        in refusal("part /x --size=5", "loop", repo).message
    )


def test_a_file_tree_needs_no_partition() -> None:
    assert made("", "fs", "repo --name=a --baseurl=http://a\n").partitions == ()


def test_an_image_needs_a_repository() -> None:
    assert refusal("lang en", base="part / --size=1\n").message == "x.ks has no repo line"


def test_types_that_only_mic_makes_are_refused() -> None:
    assert "image type livecd is not one of the built-in creator" in refusal("", "livecd").message


def test_a_mistake_from_an_included_file_is_planned_with_the_line_that_includes_it(tmp_path: Any) -> None:
    (tmp_path / "a.ks").write_text("\n\n\nlang en\nautopart\n")
    read_in = read((BASE + "%include a.ks\n").encode(), "x.ks", root=tmp_path)
    with pytest.raises(KickstartError, match=r"^a.ks, line 5: autopart"):
        plan(read_in, name="a", arch="i586", image_type="raw")
    made_of, _ = plan(read_in, name="a", arch="i586", image_type="fs")
    assert made_of.system.lang == Item("en", 3)


_LINES = st.tuples(
    st.sampled_from(sorted(names())),
    st.lists(
        st.sampled_from(
            ["--name=a", "--size=3", "--size=-1", "/", "swap", "x", "--device=eth0", "--ip=1", "--enabled", "--url=http://x",
             "--baseurl=http://x", "--iscrypted", "--lock", "a=b", "--append=x", "--hostname=-", "--", "--timeout=3"]
        )
        | st.text(max_size=6),
        max_size=4,
    ),
).map(lambda parts: " ".join((parts[0], *parts[1])))  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(_LINES, max_size=6).map("\n".join), st.sampled_from(["fs", "loop", "raw"]))
def test_any_commands_are_planned_or_refused_with_an_input_error(text: str, image_type: str) -> None:
    try:
        planned(text, image_type)
    except InputError as error:
        assert str(error).isprintable()
