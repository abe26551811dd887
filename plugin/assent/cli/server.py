"""`assent init`, `assent serve`, `assent worker`: set up and run an installation."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated

import psutil
import typer
from rich.console import Console

from assent.cli.imports import uncollected
from assent.core import telemetry
from assent.core.files import restrict_output
from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import open_pool
from assent.keys.installation import database, open_or_create_keys
from assent.tenants import CreatedTenant, init_tenant

RESTART_SECONDS = (0.2, 1.0, 5.0, 15.0)  # before the first, second … restart of a worker that keeps dying
NOT_RUNNING = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
READY = b"r"  # what a worker says when it is
STEADY_SECONDS = 60.0  # a worker that lived this long starts again at once


def init(
    tenant: Annotated[str, typer.Option(help="Name of the tenant: a-z, 0-9 and -.")] = "default",
    source: Annotated[
        str, typer.Option(help="Name of its webhook source, part of the webhook's address.")
    ] = "platform",
    deliver_to: Annotated[str | None, typer.Option(help="URL that decisions are sent to.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Create a tenant with an API key, a webhook source and its secret; the secrets are shown once."""
    restrict_output()
    settings = Settings()
    with database(settings) as url:
        migrate(url)
        with open_pool(url, size=2) as pool:
            created = init_tenant(pool, open_or_create_keys(settings, pool), tenant, source, deliver_to)
    if as_json:
        print(json.dumps(_as_json(created)))
    else:
        _show(settings, created)


def _as_json(created: CreatedTenant) -> dict[str, object]:
    values = asdict(created)
    endpoint = (
        {"name": created.endpoint, "url": created.deliver_to, "secret": created.endpoint_secret}
        if created.endpoint
        else None
    )
    return {
        "tenant": values["tenant"],
        "api_key": values["api_key"],
        "source": {"name": created.source, "secret": created.source_secret, "path": f"/v1/webhooks/{created.source}"},
        "endpoint": endpoint,
        "audit_key": values["audit_key"],
    }


def webhook_url(settings: Settings, source: str) -> str:
    """Returns the address to which a source sends, on the host and port that `assent serve` listens on."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}/v1/webhooks/{source}"


def _show(settings: Settings, created: CreatedTenant) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Tenant [bold]{created.tenant}[/] is ready. These secrets are shown only now:\n")
    rows = [
        ("API key", created.api_key),
        ("Webhooks go to", webhook_url(settings, created.source)),
        ("signed with", created.source_secret),
    ]
    if created.endpoint:
        rows += [("Decisions go to", str(created.deliver_to)), ("signed with", str(created.endpoint_secret))]
    rows += [("Audit log's key", created.audit_key)]
    for name, value in rows:
        console.print(f"  {name:<16} {value}", markup=False)
    console.print(f"\nKeys are in {settings.keys_dir}: back this folder up, apart from the database.")
    console.print("Start with: assent serve")


def serve(
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only the API; workers run elsewhere.")] = False,
) -> None:
    """Run the API and a worker in one process tree, on the embedded database unless ASSENT_DATABASE_URL is set."""
    with uncollected():
        from assent.app import create_app  # these bring the web framework along, which a worker does without
        from assent.http.server import uvicorn_server

    settings = Settings()
    telemetry.configure(settings.log_level)
    if settings.api_metrics_port is not None:
        telemetry.serve_metrics(settings.metrics_host, settings.api_metrics_port)
    with database(settings) as url:
        migrate(url)
        supervisor = None if no_worker else _WorkerSupervisor()
        app = create_app(settings, url, supervisor.is_running if supervisor else None)
        server = uvicorn_server(settings, app)
        for sign in (signal.SIGTERM, signal.SIGINT):
            # The server ends on these by itself, then raises them once more under the handler that was there before:
            # the default one would end the process before the worker and the database were stopped.
            signal.signal(sign, lambda *_: None)
        with supervisor or nullcontext():
            server.run()
    if not server.started:
        raise typer.Exit(1)


def worker(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run a worker: as many as wanted, on any machine that reaches the database and the keystore."""
    with uncollected():
        from assent.worker.loop import run_worker  # it brings the models along, which the other commands do without

    settings = Settings()
    telemetry.configure(settings.log_level)
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    run_worker(settings, _tell_parent if with_parent else lambda: None)


def _tell_parent() -> None:
    os.write(0, READY)  # standard input is a socket to the server that started us


def _end_with_parent() -> None:
    # It ends when that server is gone, however it went.
    # Not sys.stdin: its lock, held by a thread that is not waited for, aborts the interpreter's end.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class _WorkerSupervisor:
    """Runs a worker beside the API while its context lasts, and starts it again when it dies."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None  # to the worker's standard input
        self._thread = threading.Thread(target=self._supervise, name="worker supervisor")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        # It finishes the jobs under way.
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join()

    def is_running(self) -> bool:
        """Tells whether the worker was ready and its process lives and is not stopped.

        Between its end and the next one's being ready none is.
        """
        if self._process is None or self._process.returncode is not None or not self._is_ready():
            return False
        try:
            return psutil.Process(self._process.pid).status() not in NOT_RUNNING
        except psutil.NoSuchProcess:
            return False

    def _is_ready(self) -> bool:
        try:
            return self._line is not None and self._line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == READY
        except OSError:  # nothing was said yet, or the next worker is being started
            return False

    def _supervise(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._line, theirs = socket.socketpair()
            with self._line, theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "assent", "worker", "--with-parent"],
                    stdin=theirs.fileno(),
                    start_new_session=True,
                )
                theirs.close()
                if self._stopping.is_set():
                    self._process.terminate()
                code = self._process.wait()
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1] if failures else 0.0
            telemetry.log.warning("worker ended; starting another", code=code, seconds=pause)
            self._stopping.wait(pause)
