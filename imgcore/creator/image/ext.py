# SPDX-License-Identifier: GPL-2.0-or-later
"""An ext2, ext3 or ext4 file system with a directory's content, the same bytes every time.

mke2fs fills the file system without mounting it. What it takes from the machine is taken away from it: its
configuration (features, block size), its clock, its random UUID and hash seed. What is left are the inodes'
ctime and atime, which it copies from files that have just been made: `ext_inodes` sets them afterwards.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from imgcore.creator.image import ext_inodes, tools
from imgcore.creator.image.content import Amount

__all__ = ["LABEL_BYTES", "make", "needed"]

LABEL_BYTES = 16
_MIB = 1 << 20
_INODE = 256
#: One inode for so many bytes, unless the content needs more.
_BYTES_PER_INODE = 16384
#: Blocks of 1 KiB below, of 4 KiB from here on.
_SMALL = 32 * _MIB

# What Debian's mke2fs.conf of 2023 says, so that another machine's gives the same file system.
_CONFIGURATION = """\
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    default_mntopts = acl,user_xattr
    enable_periodic_fsck = 0
    blocksize = 4096
    inode_size = 256
    inode_ratio = 16384
[fs_types]
    ext3 = {
        features = has_journal
    }
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
"""


def make(
    file: Path,
    offset: int,
    size: int,
    fstype: str,
    content: Path,
    amount: Amount,
    label: str,
    identifier: uuid.UUID,
    epoch: int,
    scratch: Path,
) -> list[tuple[int, int]]:
    """Make it at `offset` of `file`, which is there and zero; return the byte ranges (from `offset`) in use.

    Raises CommandFailed with mke2fs's words where the content does not fit.
    """
    configuration = scratch / "mke2fs.conf"
    configuration.write_text(_CONFIGURATION)
    inodes = max(size // _BYTES_PER_INODE, _inodes_for(amount))
    extended = f"hash_seed={identifier},nodiscard,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
    argv = ["mke2fs", "-q", "-F", "-t", fstype, "-U", str(identifier), "-d", str(content)]
    argv += ["-b", str(_block(size)), "-N", str(inodes), "-E", f"{extended},offset={offset}" if offset else extended]
    argv += ["-L", label] if label else []
    # MKE2FS_SKIP_CHECK_MSG and the device checks have no say over a plain file that begins elsewhere.
    argv += [str(file), f"{size // 1024}k"]
    extra = {"MKE2FS_CONFIG": str(configuration), "E2FSPROGS_FAKE_TIME": str(epoch), "LC_ALL": "C"}
    tools.use(argv, epoch, f"makes {fstype} file systems", extra)
    return ext_inodes.settle(file, offset, epoch, content.lstat())


def needed(amount: Amount, fstype: str) -> int:
    """About how many bytes a file system for `amount` takes, in whole MiB, with little to spare."""
    inodes = _inodes_for(amount) * _INODE
    bare = amount.size + inodes + 96 * 1024
    journal = 0 if fstype == "ext2" or bare < 8 * _MIB else max(4 * _MIB, min(bare // 32, 64 * _MIB))
    spare = bare // 50
    return -(-(bare + journal + spare) // _MIB) * _MIB


def _inodes_for(amount: Amount) -> int:
    return amount.files + amount.files // 8 + 32


def _block(size: int) -> int:
    return 1024 if size < _SMALL else 4096
