"""Lists the models that give each label, and the classes that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from assent.core.resources import resource
from assent.core.taxonomy import BY_NAME, COLOURS, HASHES, TEXTS, above
from assent.perceive.labels.heads import NONE, head_files, read_head
from assent.perceive.packs.active import DEFAULT_PACK
from assent.perceive.packs.manifest import SILENT, Pack, classes, read_pack, read_table, shipped_packs

_THINGS = ("labels", "objects")  # roles


def sources() -> dict[str, tuple[str, ...]]:
    """Returns the models that give each label, of all packs and heads that come with Assent, in use or not.

    A label that no model gives has no entry. Raises ModelUnknown for a manifest, table or head that contradicts
    itself."""
    models: dict[str, dict[str, None]] = {}
    for label, model in (*_of_packs(), *_of_heads()):
        models.setdefault(label, {})[model] = None
    for row in TEXTS:
        models.setdefault(row.name, {})["text reader"] = None
    for row in HASHES:
        models.setdefault(row.name, {})["lists of known pictures"] = None
    for row in COLOURS:
        models.setdefault(row.name, {})["prototypes of colours"] = None
    return {label: tuple(names) for label, names in models.items()}


def class_words() -> dict[str, tuple[str, ...]]:
    """Returns, for each label, the classes of the shipped classifiers and detectors of things that are called so.

    One word a class; those of labels below are not among them. Raises ModelUnknown as `sources` does."""
    tables = {
        pack.folder / file.table for pack in _packs() for file in pack.file if file.role in _THINGS and file.table
    }
    words: dict[str, dict[str, None]] = {}
    for table in sorted(tables):
        for name, label, _ in read_table(table):
            words.setdefault(label, {})[name.split(",")[0]] = None
    words.pop(SILENT, None)
    return {label: tuple(names) for label, names in words.items()}


def models_to_fetch() -> frozenset[str]:
    """Returns the models of all packs but the default one."""
    return frozenset(file.name for pack in _packs() if pack.name != DEFAULT_PACK for file in pack.file)


def _packs() -> Iterator[Pack]:
    return map(read_pack, shipped_packs())


def _of_packs() -> Iterator[tuple[str, str]]:
    for pack in _packs():
        for file in pack.file:
            for label in filter(None, classes(pack, file) if file.labels or file.table else ()):
                sums = above(label) if file.role == "labels" else (label,)
                yield from ((name, file.name) for name in sums if name in BY_NAME)


def _of_heads() -> Iterator[tuple[str, str]]:
    for path in head_files([resource("models") / "heads"]).values():
        head = read_head(path)
        yield from ((label.name, f"head {head.name}") for label in head.label if label.name != NONE)
