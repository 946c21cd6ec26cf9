# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/vm/initramfs.py: what a machine begins with, and what it never gets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgcore.executor.vm import initramfs
from imgcore.executor.vm.initramfs import MODULES, Kernel, Unusable, build, find_kernel


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """An archive for this machine's kernel, with an /etc of the test's own."""
    etc = tmp_path / "etc"
    for name, mode in {
        "passwd": 0o644, "shadow": 0o640, "ssl/certs/ca.pem": 0o644, "ssl/private/key": 0o644,
        "skynet/skynet.conf": 0o644, "program": 0o755, "closed/inside": 0o644,
    }.items():  # fmt: skip
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode)
    (etc / "closed").chmod(0o750)
    (etc / "link").symlink_to("/usr/lib/os-release")
    (etc / "large").write_bytes(bytes(2 << 20))
    os.mkfifo(etc / "pipe", 0o644)
    content = build(find_kernel(), ("skynet", "ssl/private"), etc)
    place = tmp_path / "unpacked"
    place.mkdir()
    subprocess.run(["cpio", "-i", "--quiet", "--no-absolute-filenames"], cwd=place, input=content, check=True)
    return place


def test_of_etc_it_has_what_everybody_may_read_and_nobody_hides(unpacked: Path) -> None:
    found = {str(each.relative_to(unpacked / "etc")) for each in (unpacked / "etc").rglob("*") if not each.is_dir()}
    assert found == {"passwd", "ssl/certs/ca.pem", "program", "link"}
    assert (unpacked / "etc/program").stat().st_mode & 0o777 == 0o755
    assert str((unpacked / "etc/link").readlink()) == "/usr/lib/os-release"
    assert not (unpacked / "etc/skynet").exists()


def test_its_first_program_is_there_and_needs_no_other(unpacked: Path) -> None:
    told = subprocess.run([unpacked / "imager/busybox", "echo", "here"], capture_output=True, text=True, check=True)
    assert told.stdout == "here\n"
    assert os.access(unpacked / "init", os.X_OK)


def test_its_modules_are_there_in_the_order_in_which_they_need_each_other(unpacked: Path) -> None:
    names = (unpacked / "modules/list").read_text().split()
    assert all((unpacked / "modules" / name).stat().st_size for name in names)
    assert names.index("virtio.ko") < names.index("virtio_pci.ko") < names.index("9p.ko")
    assert len(names) == len(set(names))


def test_the_agent_and_the_sandbox_can_be_imported_from_it_alone(unpacked: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked / 'imager/lib')!r}); "
        "import imgcore.executor.vm.agent, imgcore.executor.vm.tunnel; "
        "import imgcore.executor.sandbox, imgcore.creator.main; "
        "print(imgcore.executor.vm.agent.__file__)"
    )
    done = subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(unpacked))


def test_for_a_base_image_it_has_nothing_of_etc_and_what_stands_for_the_base_lacks(tmp_path: Path) -> None:
    etc = tmp_path / "configuration"
    etc.mkdir()
    (etc / "passwd").write_text("here")
    content = build(find_kernel(), (), etc, base=True)
    subprocess.run(["cpio", "-i", "--quiet", "--no-absolute-filenames"], cwd=tmp_path, input=content, check=True)
    assert (tmp_path / "imager/modprobe").readlink() == Path("busybox")
    names = (tmp_path / "modules/list").read_text().split()
    assert names.index("jbd2.ko") < names.index("ext4.ko") and "crc32c-intel.ko" not in names
    assert not (tmp_path / "etc").exists()


def test_the_hosts_python_runs_by_its_own_linker_where_the_host_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initramfs, "_HOST", tmp_path)
    (tmp_path / "usr").symlink_to("/usr")
    script = tmp_path / "python"
    script.write_bytes(initramfs._python().replace(b"/imager/busybox", b"/bin/busybox"))
    script.chmod(0o755)
    code = "import ctypes, sys; print(sys.prefix, ctypes.CDLL(None).getpid() > 0)"
    told = subprocess.run([script, "-I", "-S", "-c", code], env={}, capture_output=True, text=True, check=True)
    assert told.stdout == f"{tmp_path}/usr True\n"


def kernels(tmp_path: Path, *versions: str) -> tuple[Path, Path]:
    boot, modules = tmp_path / "boot", tmp_path / "modules"
    boot.mkdir()
    for number, version in enumerate(versions):
        (boot / f"vmlinuz-{version}").write_text("kernel")
        os.utime(boot / f"vmlinuz-{version}", (number, number))
        (modules / version).mkdir(parents=True)
        built_in, others = MODULES[:2], MODULES[2:]
        (modules / version / "modules.builtin").write_text("".join(f"kernel/a/{each}.ko\n" for each in built_in))
        (modules / version / "modules.dep").write_text("".join(f"kernel/b/{each}.ko.xz: c.ko\n" for each in others))
    return boot, modules


def test_the_running_kernel_is_taken_before_a_newer_one(tmp_path: Path) -> None:
    boot, modules = kernels(tmp_path, os.uname().release, "99.0")
    assert find_kernel("", boot, modules).version == os.uname().release


def test_else_the_newest_that_has_its_modules_is_taken(tmp_path: Path) -> None:
    boot, modules = kernels(tmp_path, "1.0", "3.0", "2.0")
    (modules / "2.0" / "modules.dep").unlink()
    assert find_kernel("", boot, modules) == Kernel(boot / "vmlinuz-3.0", "3.0")


def test_the_kernel_that_is_wanted_is_taken_or_missed(tmp_path: Path) -> None:
    boot, modules = kernels(tmp_path, "1.0", "2.0")
    assert find_kernel(str(boot / "vmlinuz-1.0"), boot, modules).version == "1.0"
    with pytest.raises(Unusable, match=r"vmlinuz-7\.0 is no kernel"):
        find_kernel(str(boot / "vmlinuz-7.0"), boot, modules)


def test_a_kernel_that_cannot_share_directories_is_passed_over_else_named(
    tmp_path: Path,
) -> None:
    boot, modules = kernels(tmp_path, "1.0", "2.0-cloud")
    for listed in ("modules.dep", "modules.builtin"):
        path = modules / "2.0-cloud" / listed
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "9p" not in line))
    assert find_kernel("", boot, modules).version == "1.0"
    with pytest.raises(Unusable, match=r"2\.0-cloud has no module 9pnet_virtio, 9p$"):
        find_kernel(str(boot / "vmlinuz-2.0-cloud"), boot, modules)
    (boot / "vmlinuz-1.0").unlink()
    with pytest.raises(Unusable, match=r"2\.0-cloud has no module 9pnet_virtio, 9p$") as told:
        find_kernel("", boot, modules)
    assert told.value.remedy == "apt install linux-image-amd64"


def test_a_machine_without_a_kernel_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    with pytest.raises(Unusable) as told:
        find_kernel("", tmp_path / "boot", tmp_path)
    assert told.value.remedy == "apt install linux-image-amd64"


def test_a_kernel_without_the_modules_that_are_needed_is_refused() -> None:
    with pytest.raises(Unusable, match="no module virtio_pci"):
        build(Kernel(Path("/boot/vmlinuz-0.0"), "0.0"))


def test_a_busybox_that_needs_other_files_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "_BUSYBOX", ("/bin/ls",))
    with pytest.raises(Unusable) as told:
        initramfs.busybox()
    assert told.value.remedy == "apt install busybox-static"
