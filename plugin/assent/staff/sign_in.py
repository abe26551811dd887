"""Signs an account in by name, password and code; unknown and wrong ones look the same, and many of them lock it."""

from __future__ import annotations

from uuid import UUID

from assent.core.console_errors import SignInRefused
from assent.core.errors import SealBroken
from assent.core.telemetry import SIGN_INS
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.authority import is_authentic
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.tenant_seal import unseal_for_tenant
from assent.staff.accounts import staff_of
from assent.staff.passwords import is_password, used_step
from assent.subjects.access import record_access

MOST_WRONG = 20  # in a row; from then on the account is locked
_Q = named_queries("staff")
SignedInAs = tuple[TenantKeys, UUID]


def account_of_name(conn: Conn, keystore: Keystore, name: str) -> SignedInAs | None:
    """Returns the account of a name, or None; one of another tenant than `default` is written `tenant/name`."""
    tenant, slash, rest = name.partition("/")
    if not (slash and tenant in keystore.tenants()):
        tenant, rest = "default", name
    if tenant not in keystore.tenants():
        return None
    keys, wanted = keystore.tenant(tenant), same_name(rest)
    for row in fetch(conn, _Q["list_staff"], tenant=tenant):
        if row["external"] is not None:  # who signs in elsewhere takes nobody's name
            continue
        try:
            found = unseal_for_tenant(keys, "staff", row["name_sealed"], row["id"].bytes).decode()
        except SealBroken:
            continue
        if same_name(found) == wanted and is_authentic(keys, "staff", row):
            return keys, row["id"]
    return None


def same_name(name: str) -> str:
    """Returns what two names have in common that count as one."""
    return " ".join(name.casefold().split())


def check_password_sign_in(pool: Pool, keystore: Keystore, name: str, password: str, code: str) -> SignedInAs:
    """Returns the account that a name, a password and an app's code belong to, and notes the sign-in.

    Raises SignInRefused, in the same words and after as long a hash, whether the name is unknown, something is wrong,
    or the account is disabled or locked.
    """
    with transaction(pool) as conn:
        known = account_of_name(conn, keystore, name)
    return check_password_of(pool, known, password, code)


def check_password_of(pool: Pool, known: SignedInAs | None, password: str, code: str) -> SignedInAs:
    """Returns the account where password and code are its own, and notes the sign-in. Raises SignInRefused."""
    row = None
    if known is not None:
        with transaction(pool) as conn:
            row = fetch_one(conn, _Q["read_staff"], tenant=known[0].tenant, id=known[1])
    right = is_password(None if row is None else row["password_hash"], password)  # no connection is held meanwhile
    if known is not None and row is not None:
        with transaction(pool) as conn:
            found = fetch_one(conn, _Q["lock_sign_in"], tenant=row["tenant"], id=row["id"])
            if found is not None and not found["locked"]:
                same = right and found["version"] == row["version"]
                step = _step(known[0], found, code) if same else None
                if step is not None:
                    note_sign_in(conn, known[0], known[1], "password", step)
                    return known
                _note_wrong(conn, known[0], known[1])
    SIGN_INS.labels("refused").inc()
    raise SignInRefused


def note_sign_in(conn: Conn, keys: TenantKeys, staff_id: UUID, way: str, step: int | None = None) -> None:
    """Notes that somebody showed that an account is theirs; `step`: of the code that they gave."""
    SIGN_INS.labels(way).inc()
    execute(conn, _Q["note_sign_in"], tenant=keys.tenant, id=staff_id, step=step)
    record_access(conn, keys, "staff.signed-in", str(staff_id), way=way)


def has_password(conn: Conn, keys: TenantKeys, staff_id: UUID) -> bool:
    """Tells whether an account can show itself by a password and an app's code."""
    row = fetch_one(conn, _Q["read_staff"], tenant=keys.tenant, id=staff_id)
    return row is not None and None not in (row["password_hash"], row["totp_sealed"])


def is_provided(conn: Conn, keys: TenantKeys, staff_id: UUID) -> bool:
    """Tells whether an account comes from the identity provider."""
    row = fetch_one(conn, _Q["read_staff"], tenant=keys.tenant, id=staff_id)
    return row is not None and row["external"] is not None


def totp_secret(keys: TenantKeys, row: Row) -> str | None:
    """Returns the secret of an account's authenticator app; None where it has none."""
    sealed = row["totp_sealed"]
    return None if sealed is None else unseal_for_tenant(keys, "staff", sealed, row["id"].bytes, "totp").decode()


def _step(keys: TenantKeys, row: Row, code: str) -> int | None:
    """Returns the step of the code where the account may sign in with it."""
    if row["disabled"] or row["external"] is not None or not is_authentic(keys, "staff", row):
        return None
    secret = totp_secret(keys, row)
    staff_of(keys, row)  # its name opens
    return None if secret is None else used_step(secret, code, row["now"], row["totp_step"])


def _note_wrong(conn: Conn, keys: TenantKeys, staff_id: UUID) -> None:
    """Counts a wrong sign-in; a leaf tells of twenty, and of each later one, since the account is locked then."""
    (row,) = fetch(conn, _Q["note_wrong_sign_in"], tenant=keys.tenant, id=staff_id, most=MOST_WRONG)
    if row["failed"] >= MOST_WRONG:
        record_access(conn, keys, "staff.locked", "console", staff=str(staff_id), wrong=row["failed"])
