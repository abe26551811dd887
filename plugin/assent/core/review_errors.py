"""Defines the errors of working on review cases. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError


class UndoOver(AssentError):
    code, status = "undo_over", 409
    remedy = "Correct the picture's labels or action instead."


class CaseClaimed(AssentError):
    code, status = "case_claimed", 409
    remedy = "Take another case, or come back when the claim that the detail names has lapsed."
