"""Serves the audit log over HTTP, so that a platform can be its witness."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse

from assent.audit import checkpoint, log
from assent.core.errors import Forbidden, NotFound, Unauthorized
from assent.db.pool import transaction
from assent.http.auth import By
from assent.http.problems import error_responses
from assent.http.state import App

router = APIRouter(prefix="/v1/audit", tags=["audit"])
_Size = Query(ge=0, lt=2**63)
_REFUSED = error_responses(Unauthorized, Forbidden, NotFound)


@router.get("/checkpoint", response_class=PlainTextResponse, responses=error_responses(Unauthorized, Forbidden))
def read_checkpoint(state: App, by: By) -> str:
    """Returns the newest signed checkpoint (C2SP signed note).

    Keep it: a later log that leaves out what it covers can then be detected.
    """
    by.must("audit:read")
    with transaction(state.pool) as conn:
        return checkpoint.current_checkpoint(conn, state.keystore.tenant(by.tenant))


@router.get("/proof/{leaf}", responses=_REFUSED)
def read_proof(
    leaf: Annotated[int, Path(ge=0, lt=2**63)], state: App, by: By, size: Annotated[int | None, _Size] = None
) -> dict[str, Any]:
    """Proves that the leaf is in the tree of `size` leaves (default: now).

    Returns an RFC 6962 inclusion proof, hashes in base64.
    """
    by.must("audit:read")
    with transaction(state.pool) as conn:
        return checkpoint.prove_inclusion(
            conn, by.tenant, leaf, log.head(conn, by.tenant).size if size is None else size
        )


@router.get("/consistency", responses=_REFUSED)
def read_consistency(old: Annotated[int, _Size], new: Annotated[int, _Size], state: App, by: By) -> dict[str, Any]:
    """Proves that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Returns an RFC 6962 consistency proof.
    """
    by.must("audit:read")
    with transaction(state.pool) as conn:
        return checkpoint.prove_consistency(conn, by.tenant, old, new)
