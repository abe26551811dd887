"""Checks passwords and the codes of authenticator apps, for who signs in without a passkey."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from threading import BoundedSemaphore

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from assent.core.errors import RateLimited

LEAST_PASSWORD, MOST_PASSWORD = 12, 1_000  # characters
STEP_SECONDS, SKEW_STEPS = 30, 10  # clocks may differ by five minutes
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's: 19 MiB
_AT_ONCE, _PATIENCE = BoundedSemaphore(2), 5  # hashed at a time, so that a flood takes 38 MiB; seconds to wait for it


def hash_password(password: str) -> str:
    """Returns the argon2id hash of a password. Raises RateLimited where many wait for theirs."""
    with _turn():
        return _HASHER.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Tells whether the password is that of the hash; takes as long where there is no hash. Raises RateLimited."""
    expected = stored or _nobodys()
    with _turn():
        try:
            return _HASHER.verify(expected, password[: MOST_PASSWORD + 1]) and stored is not None
        except (Argon2Error, InvalidHashError):
            return False


def used_step(secret: str, code: str, now: datetime, after: int | None) -> int | None:
    """Returns the step of 30 s of which the code is, if it is one of the last or next five minutes; None for another.

    `after`: the step that was used last; neither it nor an earlier one counts again.
    """
    current = int(now.timestamp()) // STEP_SECONDS
    app, given = pyotp.TOTP(secret), code.replace(" ", "").encode()
    found = None
    for step in range(current - SKEW_STEPS, current + SKEW_STEPS + 1):
        if hmac.compare_digest(app.generate_otp(step).encode(), given) and (after is None or step > after):
            found = step
    return found


def app_address(secret: str, name: str) -> str:
    """Returns the `otpauth:` address that an authenticator app takes."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Assent")


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise RateLimited(_PATIENCE)
    try:
        yield
    finally:
        _AT_ONCE.release()
