"""Makes and checks private cache folders, for files loaded as code or read without checks.

On POSIX a folder is trusted if this user or root owns it, no one else may write to it or to
anything in it, and no one else can put another in its place: that holds for each folder above it
too, where one that others may write to must be sticky, as `/tmp` is. On Windows nothing is checked:
there the folders of a user's profile are the user's own by their access lists.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_ROOM = 16 << 20
"""Room that a folder must have to be written to, in bytes."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path) -> str | None:
    """Make a private folder (mode 0700) if missing; return why others could write to it, or None.

    Raises:
        OSError: it cannot be made.
    """
    missing = []
    place = Path(os.path.abspath(folder))  # noqa: PTH100 -- `resolve` would follow links
    while not os.path.lexists(place):
        missing.append(place)
        place = place.parent
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    return why_not_trusted(folder)


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a text file that others may not write to, whatever the umask, where it is made new."""
    return open(
        path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
    )


def close_to_others(folder: Path) -> None:
    """Take from others the right to write to the files of a folder, which the umask gave them."""
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & _OTHERS_WRITE:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS_WRITE)


def usable_folder(folder: Path, what: str, *, is_complete: bool = False) -> Path:
    """Return a cache folder that can be used: this one, else one private temporary folder.

    It is of no use where it cannot be trusted, cannot be written to or has no room; a warning says
    which, and that `what` is not kept. A temporary folder goes with the process.

    is_complete: whether all that is wanted is in it, so that nothing will be written.
    """
    try:
        reason = make_private(folder)
        if reason is None and not is_complete:
            reason = _why_not_writeable(folder)
    except OSError:
        reason = f"{folder} cannot be written to"
    if reason is None:
        return folder
    warnings.warn(f"{reason}: {what} are not kept", RuntimeWarning, stacklevel=2)
    temporary, owner = tempfile.mkdtemp(prefix="decoding-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not a child that was forked
            shutil.rmtree(temporary, ignore_errors=True)

    atexit.register(remove)
    return Path(temporary)


def why_not_trusted(folder: Path) -> str | None:
    """Return why other users may have written to a folder that exists; None if they cannot have.

    Raises:
        OSError: the folder cannot be looked at.
    """
    if os.name != "posix":
        return None
    place = Path(os.path.abspath(folder))  # noqa: PTH100 -- `resolve` would follow links
    if place.is_symlink():
        return f"{place} is a link"
    for path in (place, *_inside(place)):
        try:
            found = path.lstat()
        except FileNotFoundError:  # of another process, which is done with it
            if path is place:
                raise
            continue
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            return f"{path} is neither a folder nor a file"
        if reason := _why_not_ours(path, found):
            return reason
    # The way by name may lead over links, which are followed to where they lead.
    for above in dict.fromkeys([*place.parents, *place.resolve().parents]):
        found = above.lstat()
        is_sticky = bool(found.st_mode & stat.S_ISVTX) or stat.S_ISLNK(found.st_mode)
        if reason := _why_not_ours(above, found, may_be_written=is_sticky):
            return reason
    return None


def lock_file(file: IO[Any], *, waits: bool) -> bool:
    """Lock an open file until it is closed; False where another process holds its lock.

    The system releases the lock however the process ends. Where there are no locks, as on Windows
    and on some network file systems, the answer is True.

    waits: for the lock, however long.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _why_not_writeable(folder: Path) -> str | None:
    try:
        descriptor, probe = tempfile.mkstemp(prefix="probe-", dir=folder)
        os.close(descriptor)
        Path(probe).unlink()
    except OSError:
        return f"{folder} cannot be written to"
    if shutil.disk_usage(folder).free < _ROOM:
        return f"{folder} has no room for {_ROOM >> 20} MiB"
    return None


def _why_not_ours(path: Path, found: os.stat_result, *, may_be_written: bool = False) -> str | None:
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user"
    if found.st_mode & _OTHERS_WRITE and not may_be_written:
        return f"others may write to {path}"
    return None


def _inside(folder: Path) -> Iterator[Path]:
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(above, name)
