"""Reads and drops enrolments that wait: whose they are, and under which consent, lies in their sealed request."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from assent.core.errors import SealBroken
from assent.db.pool import Conn, Row, execute, fetch
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant

_Q = named_queries("enrol")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to enrol photos; `series` is that of the consent it was made under, None from before it was kept."""

    pseudonym: bytes
    photos: int
    series: UUID | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An enrolment whose job has not ended."""

    id: UUID
    received_at: datetime
    photos: int


def seal_request(keys: TenantKeys, job: UUID, request: Request) -> bytes:
    """Seals the request under the tenant's key, as its job's body."""
    body = {"pid": request.pseudonym.hex(), "photos": request.photos, "series": str(request.series)}
    return seal_for_tenant(keys, "enrolment", json.dumps(body).encode(), keys.tenant, str(job))


def open_request(keys: TenantKeys, job: UUID, sealed: bytes) -> Request:
    """Opens what `seal_request` sealed. Raises SealBroken."""
    body = json.loads(unseal_for_tenant(keys, "enrolment", sealed, keys.tenant, str(job)))
    series = UUID(body["series"]) if "series" in body else None
    return Request(bytes.fromhex(body["pid"]), body["photos"], series)


def waiting_jobs(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> list[Waiting]:
    """Returns the subject's enrolments that have not ended, oldest first."""
    return [
        Waiting(row["id"], row["received_at"], request.photos)
        for row, request in _requests(conn, keys)
        if request is not None and request.pseudonym == pseudonym
    ]


def count_unopened_jobs(conn: Conn, keys: TenantKeys) -> int:
    """Returns how many enrolments wait of which nobody can tell any more whose they are."""
    return sum(request is None for _, request in _requests(conn, keys))


def drop_waiting(conn: Conn, keys: TenantKeys, pseudonyms: Collection[bytes]) -> None:
    """Removes the waiting enrolments of these subjects with their photos.

    It opens the request of every waiting enrolment of the tenant, of 150 bytes each, and reads no photo.
    """
    requests = _requests(conn, keys)
    jobs = [row["id"] for row, request in requests if request is not None and request.pseudonym in pseudonyms]
    if jobs:
        drop_jobs(conn, keys.tenant, jobs)


def drop_jobs(conn: Conn, tenant: str, jobs: Sequence[UUID]) -> int:
    """Removes enrolments with their photos and returns how many there were."""
    execute(conn, _Q["delete_uploads"], tenant=tenant, jobs=list(jobs))
    return execute(conn, _Q["delete_enrolments"], tenant=tenant, jobs=list(jobs))


def _requests(conn: Conn, keys: TenantKeys) -> list[tuple[Row, Request | None]]:
    """Opens the waiting requests; None where whose it was is lost, and its job will not open it either."""
    rows = fetch(conn, _Q["list_waiting_enrolments"], tenant=keys.tenant)
    return [(row, _request_or_none(keys, row)) for row in rows]


def _request_or_none(keys: TenantKeys, row: Row) -> Request | None:
    try:
        return open_request(keys, row["id"], row["sealed"])
    except SealBroken:
        return None
