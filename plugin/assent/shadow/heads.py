"""Tries a tenant's heads in shadow beside the live ones, promotes them with their figures, and rolls them back.

All of it is logged. A head is stored sealed, so that every worker, wherever it runs, gets the same one, and none that
somebody with access to the database alone put there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from assent.audit.log import Part, append
from assent.core.errors import HeadAlreadyActive, InsufficientEvidence, ModelUnknown, NotFound
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.perceive.labels.backbone import backbone
from assent.perceive.labels.heads import NONE, Head, HeadFile, open_head
from assent.perceive.packs.model_set import default_backbone
from assent.shadow.traffic import Comparison, compare_heads

State = Literal["shadow", "live", "replaced", "withdrawn", "ended"]
MIN_PICTURES = 200  # that a head on trial has seen before it may be promoted: 3/n, 1.5 %, bounds what was never seen
_Q = named_queries("feedback")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored head of a tenant; `sha256` is its manifest's, which names the network's."""

    sha256: str
    file: HeadFile


@dataclass(frozen=True, slots=True)
class _HeadChange:
    """A logged change of a head: its name, its manifest's sha256, who made it, and with `anyway` why on few images."""

    name: str
    sha256: str
    by: str
    figures: Mapping[str, Any]
    anyway: str | None = None


def heads(conn: Conn, tenant: str) -> list[Row]:
    """Returns `name`, `sha256`, `state`, `since` of all heads that were ever tried."""
    return fetch(conn, _Q["list_heads"], tenant=tenant)


def try_out(conn: Conn, keys: TenantKeys, by: str, manifest: Path) -> Stored:
    """Puts the head of that TOML file on trial, in place of the one of its name that is.

    From now on the tenant's images go through it too, and its labels are only counted.

    Raises what `open_head` does, ModelUnknown for another backbone's head, HeadAlreadyActive where it is live already.
    """
    head = open_head(manifest, threads=1)
    running = backbone(default_backbone().file).id
    if head.file.backbone != running:
        raise ModelUnknown(f"{head.file.name} is made for {head.file.backbone}, and {running} runs here")
    text, network = manifest.read_bytes(), manifest.with_suffix(".onnx").read_bytes()
    sha256 = hashlib.sha256(text).hexdigest()
    execute(conn, _Q["lock_heads"], tenant=keys.tenant)
    if _in_state(conn, keys.tenant, head.file.name, "live") == sha256:
        raise HeadAlreadyActive(f"{head.file.name} is live already")
    if (before := _in_state(conn, keys.tenant, head.file.name, "shadow")) is not None:
        _end_trial(conn, keys.tenant, before)
    sealed = {"manifest": _seal(keys, text, "manifest", sha256), "network": _seal(keys, network, "network", sha256)}
    execute(conn, _Q["insert_head"], tenant=keys.tenant, head=sha256, name=head.file.name, **sealed)
    _log(conn, keys, "head.tried", _HeadChange(head.file.name, sha256, by, {"network": head.file.sha256}))
    return Stored(sha256, head.file)


def on_trial(conn: Conn, tenant: str, name: str) -> str:
    """Returns the sha256 of the head of that name that runs in shadow. Raises NotFound."""
    sha256 = _in_state(conn, tenant, name, "shadow")
    if sha256 is None:
        raise NotFound(f"no head {name} is on trial; `assent learn shadow start` begins it")
    return sha256


def promote(conn: Conn, keys: TenantKeys, by: str, name: str, anyway: str | None = None) -> Comparison:
    """Makes the head on trial the live one; workers take it up within seconds.

    `anyway`: why so few images are enough, for the log.

    Raises NotFound, and InsufficientEvidence where its manifest carries no evaluation or, without `anyway`, it saw
    fewer than MIN_PICTURES.
    """
    execute(conn, _Q["lock_heads"], tenant=keys.tenant)
    sha256 = on_trial(conn, keys.tenant, name)
    file = _file(conn, keys, sha256)
    evaluation = evaluation_of(file)
    compared = compare_heads(conn, keys.tenant, sha256)
    if compared.pictures < MIN_PICTURES and anyway is None:
        raise InsufficientEvidence(f"{name} saw {compared.pictures} pictures in shadow; {MIN_PICTURES} are needed")
    before = _in_state(conn, keys.tenant, name, "live")
    if before is not None:
        _set(conn, keys.tenant, before, "replaced")
    _end_trial(conn, keys.tenant, sha256, "live")
    figures = {"network": file.sha256, "replaces": before, "evaluation": evaluation, "compared": compared.document()}
    _log(conn, keys, "head.promoted", _HeadChange(name, sha256, by, figures, anyway))
    return compared


def roll_back_head(conn: Conn, keys: TenantKeys, by: str, name: str) -> str | None:
    """Takes the live head of that name out, and puts back the one before it. Raises NotFound.

    Returns that one's sha256, or None where the shipped head of that name, if there is one, takes its place.
    """
    execute(conn, _Q["lock_heads"], tenant=keys.tenant)
    live = _in_state(conn, keys.tenant, name, "live")
    if live is None:
        raise NotFound(f"no promoted head {name} is live")
    _set(conn, keys.tenant, live, "withdrawn")
    before = _in_state(conn, keys.tenant, name, "replaced")
    if before is not None:
        _set(conn, keys.tenant, before, "live")
    _log(conn, keys, "head.rolled-back", _HeadChange(name, live, by, {"to": before}))
    return before


def stop_trial(conn: Conn, keys: TenantKeys, by: str, name: str) -> Comparison:
    """Ends a trial without promoting, and returns its results. Raises NotFound."""
    execute(conn, _Q["lock_heads"], tenant=keys.tenant)
    sha256 = on_trial(conn, keys.tenant, name)
    compared = compare_heads(conn, keys.tenant, sha256)
    _end_trial(conn, keys.tenant, sha256)
    _log(conn, keys, "head.trial-ended", _HeadChange(name, sha256, by, {"compared": compared.document()}))
    return compared


def end_of_former_backbone(conn: Conn, keys: TenantKeys, sha256: str, file: HeadFile, running: str) -> None:
    """Ends a running head that takes other features than those of `running`, the backbone's id.

    The sealed head stays stored. A head that another worker ended, or the operator took out, stays as it is."""
    execute(conn, _Q["lock_heads"], tenant=keys.tenant)
    row = fetch_one(conn, _Q["read_head"], tenant=keys.tenant, head=sha256)
    if row is None or row["state"] not in ("shadow", "live"):
        return
    _end_trial(conn, keys.tenant, sha256, "ended")
    figures = {"was": row["state"], "backbone": file.backbone, "running": running}
    _log(conn, keys, "head.ended", _HeadChange(file.name, sha256, "worker", figures))


def evaluation_of(file: HeadFile) -> dict[str, Any]:
    """Returns the evaluation in a head's manifest: the data, and precision and recall of every label that it gives.

    It was measured before the head came here. Raises InsufficientEvidence where any of it is missing.
    """
    given = [label for label in file.label if label.name != NONE and label.threshold is not None]
    missing = [label.name for label in given if label.precision is None or label.recall is None]
    lacks = {
        f"precision and recall of {', '.join(missing)}": bool(missing),
        "a label that it says": not given,
        "figures": not file.figures,
        "the data it was measured on": file.training_data.strip() in ("", "not stated"),
    }
    if absent := [what for what, lacking in lacks.items() if lacking]:
        raise InsufficientEvidence(f"the manifest of {file.name} carries no evaluation; missing: {'; '.join(absent)}")
    labels = {
        label.name: {"threshold": label.threshold, "precision": label.precision, "recall": label.recall}
        for label in given
    }
    return {"data": file.training_data, "figures": file.figures, "labels": labels}


def open_stored(keys: TenantKeys, row: Row, threads: int) -> Head:
    """Opens the head of a row of table `head`, ready to run. Raises SealBroken, ModelUnknown."""
    with TemporaryDirectory(prefix="assent-head-") as folder:
        manifest = Path(folder) / f"{row['name']}.toml"
        manifest.write_bytes(_unseal(keys, row["manifest"], "manifest", row["sha256"]))
        manifest.with_suffix(".onnx").write_bytes(_unseal(keys, row["network"], "network", row["sha256"]))
        return open_head(manifest, threads)


def _file(conn: Conn, keys: TenantKeys, sha256: str) -> HeadFile:
    row = fetch_one(conn, _Q["read_head"], tenant=keys.tenant, head=sha256)
    if row is None:
        raise NotFound(f"no head {sha256}")
    return open_stored(keys, row, threads=1).file


def _in_state(conn: Conn, tenant: str, name: str, state: State) -> str | None:
    row = fetch_one(conn, _Q["read_head_in_state"], tenant=tenant, name=name, state=state)
    return None if row is None else str(row["sha256"])


def _set(conn: Conn, tenant: str, sha256: str, state: State) -> None:
    execute(conn, _Q["set_head_state"], tenant=tenant, head=sha256, state=state)


def _end_trial(conn: Conn, tenant: str, sha256: str, state: State = "withdrawn") -> None:
    _set(conn, tenant, sha256, state)
    execute(conn, _Q["delete_trial_labels"], tenant=tenant, head=sha256)


def _seal(keys: TenantKeys, plain: bytes, part: str, sha256: str) -> bytes:
    return seal_for_tenant(keys, "head", plain, keys.tenant, part, sha256)


def _unseal(keys: TenantKeys, sealed: bytes, part: str, sha256: str) -> bytes:
    return unseal_for_tenant(keys, "head", sealed, keys.tenant, part, sha256)


def _log(conn: Conn, keys: TenantKeys, action: str, change: _HeadChange) -> None:
    body = {"head": change.name, "manifest": change.sha256, **change.figures}
    part = Part({"by": change.by, "anyway": change.anyway})
    append(conn, keys, action, body, [part], datetime.now(UTC))
