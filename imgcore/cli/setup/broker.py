# SPDX-License-Identifier: GPL-2.0-or-later
"""`img setup broker`: the vhost, user and rights at RabbitMQ that a farm or participants need, and no more."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from imgcore import atomic, inifile
from imgcore.cli import farm, options
from imgcore.cli.setup import rights
from imgcore.cli.setup.rabbitmqctl import Rabbitmqctl
from imgcore.cli.terminal import note
from imgcore.errors import InputError

__all__ = ["command", "with_boss"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VHOST = re.compile(r"/|[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
#: Who runs the services; with the packages, their group reads the password.
_SERVICE = "imager"


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    """The type of an option that takes what the pattern matches."""

    def text(value: str) -> str:
        if not pattern.fullmatch(value):
            raise click.BadParameter(f"{value[:60]!r} is not {what}.")
        return value

    return text


@click.command("broker")
@click.option(
    "--host",
    type=_matching(_HOST, "a host or HOST:PORT"),
    help="How the other machines reach this one: HOST or HOST:PORT  [default: as in skynet.conf, else localhost]",
)
@click.option("--vhost", type=_matching(_VHOST, "a name"), default="farm", show_default=True, help="The vhost.")
@click.option("--user", type=_matching(_NAME, "a name"), default="imager", show_default=True, help="The user.")
@click.option(
    "--role",
    "roles",
    type=click.Choice(list(rights.ROLES)),
    multiple=True,
    help="What the user is for, and has the rights for; may be repeated  [default: all of a farm]",
)
@click.option(
    "--password-file",
    type=options.path,
    help="The password's file; made if it is not there  [default: password beside skynet.conf]",
)
@click.option("--tls", is_flag=True, help="The broker speaks TLS.")
@click.option("--node", type=options.text, help="Another node than rabbitmqctl's own choice.")
@click.option("--write", is_flag=True, help="Write section boss of this machine's skynet.conf, too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@options.as_json
def command(
    host: str | None,
    vhost: str,
    user: str,
    roles: tuple[str, ...],
    password_file: Path | None,
    tls: bool,
    node: str | None,
    write: bool,
    dry_run: bool,
    json_wanted: bool,
) -> int:
    """Make the vhost, a user and its rights at RabbitMQ, on the broker's machine (as root, by rabbitmqctl).

    What is there already stays. The password is made and put into a file that only root and the services read; it is
    never shown. What other machines need to know is printed as section boss of their skynet.conf. Each role has the
    rights that docs/participants.md names.

    \b
    Exit codes: 0 all is there, 1 the broker refused something, 2 bad input.
    """
    done: list[str] = []

    def said(line: str) -> None:
        done.append(line)
        if not json_wanted:
            note(line)

    secret = (password_file or farm.directory() / "password").absolute()
    conf = farm.directory() / "skynet.conf"
    host = host or _host(conf)
    allowed = rights.of(roles or rights.FARM)
    broker = Rabbitmqctl(node, said, dry=dry_run)
    if secret.exists():
        password = _password(secret) if not dry_run else "-"
    else:
        said(f"make the password: {secret}")
        password = _make(secret) if not dry_run else "-"
    broker.vhost(vhost)
    broker.user(user, password)
    broker.rights(vhost, user, allowed)
    boss = {"amqp_host": host, "amqp_user": user, "amqp_pwd_file": str(secret), "amqp_vhost": vhost}
    boss |= {"amqp_tls": "yes"} if tls else {}
    if write:
        _write(conf, boss, said, dry=dry_run)
    if json_wanted:
        told = {"boss": boss, "rights": vars(allowed), "done": done, "dry_run": dry_run}
        click.echo(json.dumps(told, indent=1))
    elif not write:
        click.echo("\n".join(["[boss]", *(f"{name} = {value}" for name, value in boss.items())]))
    return 0


def _host(conf: Path) -> str:
    """How the broker is called in skynet.conf. Raises InputError."""
    ini = inifile.read(conf, needed=False, strict=False)
    return (ini.sections.get("boss", {}).get("amqp_host", "") if ini else "") or "localhost"


def _password(path: Path) -> str:
    """The one line of a file that is closed to others. Raises InputError."""
    try:
        with path.open(encoding="utf-8") as file:
            closed = not os.fstat(file.fileno()).st_mode & stat.S_IRWXO
            found = file.read(4096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", "be root, or name another with --password-file"
        ) from error
    if not closed:
        raise InputError(f"{path} is open to everybody", f"chmod o= {path}")
    if not found or not found.isprintable():
        raise InputError(f"{path} is not one line of text", "write the password into it, or remove it")
    return found


def _make(path: Path) -> str:
    """A new password in a new file, for root and the services' group."""
    made = secrets.token_urlsafe(24)
    _make_directory(path.parent)
    atomic.write_new(path, f"{made}\n".encode(), 0o600)
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            os.chown(path, -1, grp.getgrnam(_SERVICE).gr_gid)
            path.chmod(0o640)
    return made


def _make_directory(path: Path) -> None:
    """The directory, if it is not there: whatever the umask, one that the services can enter."""
    if not path.exists():
        atomic.make_directory(path)
        path.chmod(0o755)


def _write(conf: Path, boss: Mapping[str, str], said: Callable[[str], None], *, dry: bool) -> None:
    """Have skynet.conf say it, and leave the rest of it, its owner and its mode as they are."""
    place = conf.resolve()
    try:
        old = place.read_text(encoding="utf-8") if place.exists() else ""
        status = place.stat() if place.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{conf} cannot be read: {error}", "correct or remove the file") from error
    new = with_boss(old, boss)
    if new == old:
        return
    said(f"write section [boss] of {conf}")
    if not dry:
        _make_directory(place.parent)
        mode = stat.S_IMODE(status.st_mode) if status else 0o644
        atomic.replace(place, new.encode(), mode)
        # Whatever the umask: the services read it.
        place.chmod(mode)
        if status and os.geteuid() == 0:
            os.chown(place, status.st_uid, status.st_gid)


def with_boss(text: str, boss: Mapping[str, str]) -> str:
    """The text of a skynet.conf with these options in its section boss, and no password beside its file."""
    left = dict(boss)
    lines: list[str] = []
    within = ever = False
    for line in text.splitlines():
        if header := re.match(r"\[(.+)\]", line):
            if within:
                lines += _options(left)
            within = header[1] == "boss"
            ever |= within
        option = re.match(r"(#?)(\w+)\s*[=:]", line) if within else None
        if option and option[2] in left:
            line = f"{option[2]} = {left.pop(option[2])}"
        elif option and not option[1] and (option[2] in boss or option[2] == "amqp_pwd"):
            line = f"#{line}" if option[2] in boss else "#amqp_pwd ="
        lines.append(line)
    if within or not ever:
        lines += [*([] if ever else ["[boss]"]), *_options(left)]
    return "\n".join(lines) + "\n"


def _options(left: dict[str, str]) -> list[str]:
    told = [f"{name} = {value}" for name, value in left.items()]
    left.clear()
    return told
