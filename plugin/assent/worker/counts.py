"""Counts stored outcomes for the metrics, and what a shadow policy and heads on trial would have made of them."""

from __future__ import annotations

from assent.core.telemetry import BROKEN, DECIDED, FAILED, log
from assent.core.values import Action, Analysis, Quarantined, Unprocessable
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.policy.compare import ComparedOutcome, compare_outcomes
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.policy.versions import TenantPolicies, count_shadow
from assent.shadow.live import note_trials


def count_outcome(
    pool: Pool,
    media_key: MediaKey,
    policies: TenantPolicies,
    outcome: Analysis | Quarantined | Unprocessable,
) -> None:
    """Counts a stored outcome, for the metrics and beside what runs in its shadow."""
    policy = policies.active
    if isinstance(outcome, Analysis) and outcome.perception.trials:
        with transaction(pool) as conn:
            note_trials(conn, media_key, outcome.perception.trials)
    if isinstance(outcome, Analysis):
        DECIDED.labels(outcome.verdict.action.name).inc()
        for rule in outcome.verdict.broken:
            BROKEN.labels(policy.ref.name, rule).inc()
        _try_shadow(pool, media_key, outcome, policies.shadow)
    elif isinstance(outcome, Quarantined):
        DECIDED.labels(Action.block.name).inc()
    else:
        FAILED.labels(outcome.error.code).inc()
        log.info(
            "picture failed",
            tenant=media_key.tenant,
            event_id=str(media_key.event_id),
            n=media_key.n,
            code=outcome.error.code,
        )


def _try_shadow(pool: Pool, media_key: MediaKey, analysis: Analysis, shadow: Policy | None) -> None:
    """Counts the shadow policy's verdict beside the active policy's; the verdict itself is not stored."""
    if shadow is None:
        return
    faces = {match.face for match in analysis.matches}
    verdict = decide(shadow, media_key.event, analysis.picture, analysis.perception, faces)
    # Policies beside each other, and no moderator.
    active = analysis.moderated.automated if analysis.moderated else analysis.verdict
    counts = compare_outcomes(ComparedOutcome.of_verdict(active), ComparedOutcome.of_verdict(verdict))
    with transaction(pool) as conn:
        count_shadow(conn, media_key.tenant, shadow.ref, counts)
