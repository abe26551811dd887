"""The heads that are shipped fit the default pack."""

from __future__ import annotations

from pathlib import Path

from assent.core.taxonomy import PRODUCTS
from assent.perceive import open_backbone
from assent.perceive.labels.heads import folders, head_files, load_heads


def test_the_shipped_heads_fit_the_pack_and_have_cards() -> None:
    base, _ = open_backbone(threads=1)
    shipped = folders(Path("nowhere"))[0]
    heads = load_heads((shipped,), base.id, threads=1)
    assert [head.file.name for head in heads] == sorted(head_files((shipped,))) == ["clothing", "grocery"]
    said = {label.name for head in heads for label in head.file.label} - {"none"}
    assert said == {label.name for label in PRODUCTS}
    for head in heads:
        assert head.file.id in (shipped / f"{head.file.name}.md").read_text()
        assert all(label.precision is None or label.precision >= 0.9 for label in head.file.label)
