"""Keeps a form whose session ended under way: sealed into the sign-in page, it comes back to the same account."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from assent.core.errors import SealBroken
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant

UNSENT_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class UnsentForm:
    """A form that was not taken: where it was sent, and its fields without the token of the session that ended."""

    path: str
    fields: Mapping[str, tuple[str, ...]] = field(repr=False)


def seal_form(keys: TenantKeys, staff_id: UUID, form: UnsentForm, now: datetime) -> str:
    """Returns a form that only this account gets back, within 15 minutes: base64url."""
    plain = {"path": form.path, "fields": form.fields, "until": (now + UNSENT_FOR).timestamp()}
    raw = json.dumps(plain, ensure_ascii=False).encode()
    return urlsafe_b64encode(seal_for_tenant(keys, "staff", raw, staff_id.bytes, "form")).decode()


def open_form(keys: TenantKeys, staff_id: UUID, unsent: str, now: datetime) -> UnsentForm | None:
    """Returns the form; None for another account's, one that is too old, or none."""
    try:
        raw = urlsafe_b64decode(unsent.encode())
        held = json.loads(unseal_for_tenant(keys, "staff", raw, staff_id.bytes, "form"))
    except (SealBroken, Base64Error, ValueError):
        return None
    if held["until"] < now.timestamp():
        return None
    return UnsentForm(held["path"], {name: tuple(values) for name, values in held["fields"].items()})
