"""The audit log says which models look at pictures, once for each change, as they were opened when a worker began."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from assent.db.pool import Pool
from assent.keys.keystore import Keystore, TenantKeys
from assent.perceive import Models, load_models
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import read_pack
from assent.perceive.packs.model_set import own_calibration
from assent.perceive.packs.pull import from_folder
from assent.worker.models_used import in_use, note_models
from tests.events import leaves
from tests.unit.real_models import models_folder


def pulled(folder: Path) -> Path:
    for file in read_pack("compact").file:
        from_folder(file, folder, models_folder(), lambda _: None)
    return folder


def test_a_leaf_for_each_change_and_none_without(
    pool: Pool, keystore: Keystore, keys: TenantKeys, models: Models, tmp_path: Path
) -> None:
    for _ in range(2):
        note_models(pool, keystore, models, ())
    [first] = leaves(pool, "models.used")
    assert first["packs"] == ["embedded"]
    embedder = read_pack("embedded").one("embedder")
    assert {"role": "embedder", "model": embedder.name, "sha256": embedder.sha256} in first["files"]
    folder = pulled(tmp_path)
    write_choice(folder, PackChoice(("compact",)))
    note_models(pool, keystore, load_models(folder, 2), ())
    [_, second] = leaves(pool, "models.used")
    assert second["packs"] == ["compact", "embedded"]
    assert second["calibration"]["templates"] == 582
    note_models(pool, keystore, models, ())
    assert [leaf["packs"] for leaf in leaves(pool, "models.used")] == [
        ["embedded"],
        ["compact", "embedded"],
        ["embedded"],
    ]


def test_a_new_calibration_is_a_change_and_brings_its_evidence(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    folder = pulled(tmp_path)
    write_choice(folder, PackChoice(("compact",)))
    note_models(pool, keystore, load_models(folder, 2), ())
    file = json.loads((read_pack("compact").folder / "calibration/face-reid-0095.json").read_text())
    file |= {"people": 600, "faces": 900, "photos_sha256": "ab" * 32, "measured_at": "2026-01-31T12:00:00+00:00"}
    own = own_calibration(folder, "face-reid-0095@f348551d2b66")
    own.parent.mkdir()
    own.write_text(json.dumps(file))
    note_models(pool, keystore, load_models(folder, 2), ())
    [before, after] = leaves(pool, "models.used")
    assert before["calibration"]["measured"] == {}
    assert after["calibration"]["measured"] == {
        "people": "600",
        "faces": "900",
        "photos_sha256": "ab" * 32,
        "measured_at": "2026-01-31T12:00:00+00:00",
    }
    assert before["calibration"]["sha256"] != after["calibration"]["sha256"]


def test_the_licences_that_were_accepted_are_named_and_no_folder_is(models: Models) -> None:
    file = replace(models.files[0].file, accept="some-words")
    chosen = PackChoice(("insightface@/srv/secret-place",), (("/srv/secret-place/a.onnx", "0" * 64),))
    said = in_use(replace(models, files=(replace(models.files[0], file=file),), choice=chosen), ("own-weights",))
    assert said["licences"] == ["own-weights", "some-words"]
    assert said["packs"] == ["insightface", "embedded"]
    assert {"role": "own", "model": "a.onnx", "sha256": "0" * 64} in said["files"]
    assert "secret-place" not in json.dumps(said)
