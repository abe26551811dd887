"""Holds what is stored, signed, sealed or sent to its words, whatever the code around it is called.

Another word would make old rows unreadable, old logs unverifiable or a platform deaf: such a change needs a migration,
and then its line here.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import pytest
from prometheus_client import REGISTRY

import assent.core.telemetry  # noqa: F401 - registers the metrics
from assent.core.settings import Settings
from assent.core.values import ActionName, Approval, Audience, Band, Category, EventType, Surface, Visibility
from assent.db.queue import ENROLMENTS, INTERACTIVE, OUTBOX, PICTURES, RIGHTS, SLOW
from assent.worker.jobs import WorkerContext
from assent.worker.queue import queue_app

ROOT = Path(__file__).parents[2]


def words(text: str) -> set[str]:
    return set(text.split())


SEALING = ("seal", "unseal", "seal_for_tenant", "unseal_for_tenant", "seal_locator", "open_locator", "_wrap")

# The first part of the additional data of every sealed value.
SEALED = words(
    "audit check ended-key enrolment epoch event evidence head idempotency kept locator log match pseudonym ref"
    " refusal retraction seal secret staff subject-key template upload"
)
FORMATS = words(
    "assent.audit/1 assent.authority/1 assent.backup/1 assent.body/1 assent.challenge/1 assent.decision/1"
    " assent.event/1 assent.export/1"
    " assent.form/1 assent.head/1 assent.keys/1 assent.keys/2 assent.keystore/1 assent.link/2 assent.match-list/1"
    " assent.policy/1"
    " assent.receipt/1 assent.seal/1 assent.staff-external/1 assent.staff-form/1"
    " assent.staff-token/1 assent.tenant-key/1"
)
# Leaves of the audit log, events that come in, messages that go out.
ACTIONS = words(
    "action.done action.failed action.kept action.requested action.switched action.undone action.withdrawn"
    " anyone.declared api-key.added api-key.revoked authority.sealed backup.made case.denied case.escalated case.lost"
    " case.skipped"
    " consent.expired consent.given"
    " consent.withdrawn corrections.exported endpoint.added epoch.destroyed event.unreadable hashes.imported"
    " hashes.removed head.ended head.promoted head.rolled-back head.trial-ended head.tried intake.rejected"
    " keys.exported link.made link.visited links.ended log.restored match.refused match.throttled match.vetoed"
    " media.created"
    " media.decided media.deleted media.failed media.reviewed media.superseded media.tagged media.updated models.used"
    " platform.connected"
    " policy.activated policy.rolled-back policy.shadow-ended policy.shadowed queue.changed review.undone"
    " seal.broken secret.rotated source.added source.changed"
    " staff.added staff.changed staff.disabled staff.invited staff.keys-changed staff.locked staff.signed-in"
    " subject.erased subject.exported subject.found subject.searched tag.published tag.retracted tag.suggested"
    " template.enrolled tenant.created"
)
TASKS = {
    ("decide", "pictures", "tenant event"),
    ("enrol", "enrolments", "tenant event"),
    ("retract", "rights", "tenant sealed erasure pid"),
    ("deliver", "outbox", "tenant endpoint message"),
    ("match", "pictures", "tenant event media"),
    ("act", "outbox", "tenant source action"),
}
MIGRATIONS = [
    *("0001_queue", "0002_core", "0003_people", "0004_policy"),
    *("0005_review", "0006_known", "0007_human", "0008_models"),
    *("0009_media", "0010_consent_series", "0011_authority", "0012_terms"),
    *("0013_coarse", "0014_match_scope", "0015_ended_consents"),
    *("0016_search", "0017_ended_heads", "0018_claims", "0019_undo", "0020_face_veto", "0021_console"),
    *("0023_case", "0024_clusters", "0025_hidden_areas", "0026_platforms", "0027_actions"),
    *("0028_case_looks", "0029_post_checks", "0030_missed_posts"),
    *("0031_match_slots", "0032_enrolment_lane", "0033_job_turns"),
]
VALUES = {
    Category: "safety face scene object product text hash colour",
    Visibility: "public unlisted followers direct",
    Surface: "post avatar message story",
    EventType: "media.created media.updated media.deleted",
    Band: "strong likely",
    Approval: "never others always",
    Audience: "platform author person public",
    ActionName: "allow label limit review block",
}
SETTINGS = words(
    "accept_licence allow_private api_metrics_port anyone_declaration blocked_words console_origin data_dir"
    " database_url decision_retention_days"
    " event_retention_days gallery_dir host keep_days keep_for_redaction lease_seconds log_level media_page"
    " metrics_host metrics_port notice oidc_client_id oidc_client_secret oidc_issuer oidc_roles"
    " policy port proxies read root_key root_key_file second_opinion threads unsafe_gallery_on_disk"
    " unsafe_unconfined_decoder"
)
METRICS = words(
    "assent_events_accepted assent_webhooks_rejected assent_webhooks_ignored assent_pictures_decided"
    " assent_rules_broken assent_pictures_failed assent_deliveries assent_look_seconds assent_console_sign_ins"
    " assent_platform_acts assent_posts_gone assent_posts_missed"
)


@pytest.fixture(scope="module")
def trees() -> list[ast.Module]:
    return [ast.parse(file.read_text()) for file in sorted((ROOT / "plugin" / "assent").rglob("*.py"))]


@pytest.fixture(scope="module")
def constants(trees: list[ast.Module]) -> list[str]:
    """Returns every string of the package."""
    return list(strings(trees))


def strings(trees: list[ast.Module]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def first_words(trees: list[ast.Module]) -> Iterator[str]:
    """Yields the first literal that each call of `seal` and its like is given."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                parts = [part.value for part in node.args if isinstance(part, ast.Constant)]
                texts = [part for part in parts if isinstance(part, str) and part]
                if name in SEALING and texts:
                    yield texts[0]


def test_sealed_values_say_what_they_are(trees: list[ast.Module]) -> None:
    assert set(first_words(trees)) == SEALED


def test_formats(constants: list[str]) -> None:
    assert {text for text in constants if re.fullmatch(r"assent\.[a-z-]+/\d+", text)} == FORMATS


def test_leaves_events_and_messages(constants: list[str]) -> None:
    prefixes = "|".join({action.partition(".")[0] for action in ACTIONS})
    named = {text for text in constants if re.fullmatch(rf"({prefixes})\.[a-z-]+", text)}
    assert {text for text in named if not text.endswith((".csv", ".json"))} == ACTIONS


def test_tasks_of_the_queue() -> None:
    app = queue_app("", cast(WorkerContext, None))
    tasks = {name: task for name, task in app.tasks.items() if task.queue != "builtin"}
    found = set()
    for name, task in tasks.items():
        arguments = list(inspect.signature(task.func).parameters)[1 if task.pass_context else 0 :]
        found.add((name, task.queue, " ".join(arguments)))
    assert found == TASKS
    assert (INTERACTIVE, PICTURES, SLOW, OUTBOX) == ("interactive", "pictures", "slow", "outbox")
    assert (ENROLMENTS, RIGHTS) == ("enrolments", "rights")


def test_values_of_columns_and_documents() -> None:
    for values, named in VALUES.items():
        assert " ".join(get_args(values)) == named


def test_migrations() -> None:
    names = sorted(file.stem for file in (ROOT / "migrations").glob("0*"))
    assert names[: len(MIGRATIONS)] == MIGRATIONS


def test_settings_and_metrics() -> None:
    assert set(Settings.model_fields) == SETTINGS
    assert {metric.name for metric in REGISTRY.collect() if metric.name.startswith("assent_")} == METRICS
