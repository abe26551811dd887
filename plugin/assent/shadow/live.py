"""Holds the heads that tenants try or use open in a worker. A change is taken up within seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from assent.audit.broken import ALTERED, note_altered_row
from assent.core.errors import AssentError, DatabaseUnavailable
from assent.core.settings import Settings
from assent.core.telemetry import log
from assent.core.values import Perception, Trial
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.media_items import MediaKey
from assent.keys.keystore import Keystore
from assent.perceive import Models
from assent.perceive.labels.heads import Head, predict_tags
from assent.shadow.heads import end_of_former_backbone, open_stored

REFRESH_SECONDS = 2.0
_Q = named_queries("feedback")


class _Running(NamedTuple):
    """The running heads of a tenant: those in use, and those on trial by the sha256 of their manifest."""

    live: tuple[Head, ...]
    trials: Mapping[str, Head]


class TenantHeads:
    """Runs tenants' own heads, the last step of stage 4. Safe to use from several threads.

    A tenant's own heads take the place of the shipped ones of their names; the labels of those on trial are only noted.
    """

    def __init__(self, models: Models, threads: int) -> None:
        self._backbone, self._threads = models.backbone_id, threads
        self._shipped = frozenset(head.file.name for head in models.heads)
        # By tenant and sha256 of the manifest; None: it cannot be used, as was logged.
        self._heads: dict[tuple[str, str], Head | None] = {}
        self._running: Mapping[str, _Running] = {}

    def refresh(self, _settings: Settings, pool: Pool, keystore: Keystore) -> None:
        """Opens the heads tried or promoted since the last time, and releases those taken out.

        One that does not open is logged and left out, and the others run; one of a former backbone is ended. Raises
        DatabaseUnavailable.
        """
        with transaction(pool) as conn:
            rows = fetch(conn, _Q["list_running_heads"])
            ids = [(row["tenant"], row["sha256"]) for row in rows]
            altered: set[str] = set()
            heads = {head_id: self._open_head(conn, keystore, *head_id, altered) for head_id in ids}
        for tenant in altered:
            note_altered_row(pool, keystore.tenant(tenant), "head")
        for head_id, head in heads.items():
            if head is not None and head.file.backbone != self._backbone:
                self._end(pool, keystore, *head_id, head)
                heads[head_id] = None
        self._heads = heads
        tenants = {tenant for tenant, _ in ids}
        self._running = {
            tenant: _running([row for row in rows if row["tenant"] == tenant], heads) for tenant in tenants
        }

    def __call__(self, tenant: str, perception: Perception) -> Perception:
        """Returns the perception with the tenant's own heads in place of the shipped ones of their names.

        The labels of the heads on trial are added beside it, in `trials`.
        """
        running = self._running.get(tenant)
        if running is None or not perception.features:
            return perception
        features = np.stack(list(perception.features.values()))
        frames = [max(frame, ~frame) for frame in perception.features]
        own = {head.file.name for head in running.live}
        tags = tuple(tag for tag in perception.tags if _name(tag.model) not in own)
        tags += predict_tags(running.live, features, frames)
        models = tuple(model for model in perception.models if _name(model) not in own)
        models += tuple(head.file.id for head in running.live)
        live = {tag.name for tag in tags if _name(tag.model) in own | self._shipped}
        trials = []
        for sha256, head in running.trials.items():
            labels = {label.name for label in head.file.label}
            candidate = {tag.name for tag in predict_tags((head,), features, frames)}
            trials.append(Trial(sha256, tuple(sorted(live & labels)), tuple(sorted(candidate))))
        return replace(perception, tags=tags, models=models, trials=tuple(trials))

    def _open_head(self, conn: Conn, keystore: Keystore, tenant: str, sha256: str, altered: set[str]) -> Head | None:
        """Returns a head, opened now or before; None for one that cannot be used. Adds to `altered` whose row was."""
        if (tenant, sha256) in self._heads:
            return self._heads[tenant, sha256]
        row = fetch_one(conn, _Q["read_head"], tenant=tenant, head=sha256)
        try:
            head = open_stored(keystore.tenant(tenant), row, self._threads) if row else None
        except DatabaseUnavailable:
            raise
        except AssentError as error:
            log.error("head left out", tenant=tenant, head=sha256, code=error.code, why=error.detail)
            if isinstance(error, ALTERED):
                altered.add(tenant)
            return None
        return head

    def _end(self, pool: Pool, keystore: Keystore, tenant: str, sha256: str, head: Head) -> None:
        log.warning("head ended", tenant=tenant, head=head.file.id, backbone=head.file.backbone, running=self._backbone)
        with transaction(pool) as conn:
            end_of_former_backbone(conn, keystore.tenant(tenant), sha256, head.file, self._backbone)


def note_trials(conn: Conn, media_key: MediaKey, trials: Sequence[Trial]) -> None:
    """Counts the labels that the heads on trial gave an image.

    Runs in a transaction of its own, after the decision's: there the audit tree's lock is held, and a promotion holds
    these rows while waiting for it.
    """
    execute(conn, named_queries("record")["lock_media"], **media_key.key)  # else what is being deleted might be noted
    key = {"tenant": media_key.tenant, "event": media_key.event_id, "n": media_key.n}
    for trial in trials:
        labels = {"live": list(trial.live), "candidate": list(trial.candidate)}
        execute(conn, _Q["record_trial_labels"], **key, head=trial.head, **labels)


def _running(rows: Sequence[Row], heads: Mapping[tuple[str, str], Head | None]) -> _Running:
    usable = [
        (row["state"], row["sha256"], head) for row in rows if (head := heads[row["tenant"], row["sha256"]]) is not None
    ]
    live = tuple(head for state, _, head in usable if state == "live")
    return _Running(live, {sha256: head for state, sha256, head in usable if state == "shadow"})


def _name(model: str) -> str:
    return model.partition("@")[0]
