"""Defines the errors of who works on a review case. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError


class CaseClaimed(AssentError):
    code, status = "case_claimed", 409
    remedy = "Take another case, or come back when the claim that the detail names has lapsed."
