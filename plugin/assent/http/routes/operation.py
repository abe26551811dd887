"""Serves what operates this process: whether it answers, whether it can work."""

from __future__ import annotations

from fastapi import APIRouter

from assent.core.errors import KeyMissing
from assent.core.http_errors import ClocksDiffer, DiskFull, WorkerNotRunning
from assent.http.problems import error_responses
from assent.http.readiness import check_ready
from assent.http.state import App

router = APIRouter(tags=["operation"])


@router.get("/healthz", responses=error_responses())
async def healthz() -> dict[str, str]:
    """Reports that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=error_responses(DiskFull, KeyMissing, ClocksDiffer, WorkerNotRunning))
def readyz(state: App) -> dict[str, str]:
    """Reports that the process can do its work; 503 otherwise, with the code of the first check that failed.

    The disks have room, the database answers and writes, its clock is at most a minute off this process's, and the
    worker runs that `assent serve` starts. Where that has no room for a gallery, `matching` is `unavailable`: images
    are decided, and nobody is matched yet.
    """
    return {"status": "ready"} if check_ready(state) else {"status": "ready", "matching": "unavailable"}
