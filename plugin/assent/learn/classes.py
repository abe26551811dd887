"""Finds the labels that the classes of labelled images mean, to measure networks that were not trained on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from assent.core.taxonomy import BY_NAME, above
from assent.learn.dataset import label_word
from assent.learn.safety import names_of
from assent.perceive.labels.heads import NONE
from assent.perceive.packs.active import ResolvedRole
from assent.perceive.packs.manifest import SILENT, classes, read_table


class Vocabulary(NamedTuple):
    """Holds what the networks in use can say: their labels with all above, and those of their own classes' names."""

    labels: frozenset[str]
    by_class: Mapping[str, frozenset[str]]  # by the name's letters and digits; empty where nothing is said of the class


class Meaning(NamedTuple):
    """Holds the labels, or names below labels, that a class stands for, none for `none`; or why it is left out."""

    labels: tuple[str, ...]
    reason: str = ""


def vocabulary(networks: Sequence[ResolvedRole]) -> Vocabulary:
    """Returns the vocabulary of networks that label whole frames. Raises ModelUnknown for a table that is malformed."""
    named = {name for one in networks for name in classes(one.pack, one.file) if name is not None}
    by_class: dict[str, set[str]] = defaultdict(set)
    for one in networks:
        for name, label, _ in read_table(one.pack.folder / one.file.table) if one.file.table else ():
            for synonym in name.split(","):
                by_class[label_word(synonym)] |= {label} - {SILENT}
    labels = frozenset(group for name in named for group in above(name) if group in BY_NAME)
    return Vocabulary(labels, {word: frozenset(found) for word, found in by_class.items()})


def class_meaning(name: str, known: Vocabulary) -> Meaning:
    """Returns what a class means: labels in full or by their last word, a class of a network by its name, or `none`.

    Several are separated by `;`. A label that no network in use gives stands for the nearest one above it that one
    gives. A name that is no label and lies below one (`food.fruit.pear`) stands for itself: every label below that one
    is wrong. Of several labels with one last word the one with two parts is meant; without one the class is refused."""
    if name == NONE:
        return Meaning(())
    found = [_find_label(word, known) for word in names_of(name)]
    return next((one for one in found if one.reason), Meaning(tuple(label for one in found for label in one.labels)))


def _find_label(word: str, known: Vocabulary) -> Meaning:
    if word in BY_NAME:
        return _only(_nearest([word], known))
    if not known.labels.isdisjoint(above(word)):
        return Meaning((word,))
    last = label_word(word)
    by_word = _nearest((label for label in BY_NAME if label.split(".")[-1] == last), known)
    coarse = {label: given for label, given in by_word.items() if label.count(".") == 1}
    if by_word:
        return _only(coarse or by_word)
    if last in known.by_class and not known.by_class[last]:
        return Meaning((), "nothing is said of it, see the network's table")
    return _only({label: label for label in known.by_class.get(last, ())})


def _nearest(labels: Iterable[str], known: Vocabulary) -> dict[str, str]:
    """Returns, for each label that has one, the nearest label at or above it that a network gives."""
    given = {label: [group for group in above(label) if group in known.labels] for label in labels}
    return {label: groups[-1] for label, groups in given.items() if groups}


def _only(found: Mapping[str, str]) -> Meaning:
    if len(set(found.values())) == 1:
        return Meaning((next(iter(found.values())),))
    if found:
        return Meaning((), f"could be {' or '.join(sorted(found))}: name one in full")
    return Meaning((), "no network in use gives such a label")
