"""Implements the Merkle tree of RFC 9162 §2.1 (RFC 6962's, SHA-256), without I/O.

A tree is stored as its complete subtrees: node (level, n) covers the leaves [n·2^level, (n+1)·2^level) and never
changes once written. A *span* is a pair (start, end) of leaf numbers, end exclusive; each span that RFC 9162 hashes
is a run of complete subtrees, so a proof names the nodes it needs before any is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from assent.core.errors import AuditBroken

NodeId = tuple[int, int]  # (level, n)
Span = tuple[int, int]  # [start, end)

EMPTY_ROOT = sha256(b"").digest()
_HASH_BYTES = 32


class Node(NamedTuple):
    """A complete subtree of 2^level leaves, the n-th of its level, with its 32-byte hash."""

    level: int
    n: int
    hash: bytes


def leaf_hash(leaf: bytes) -> bytes:
    """Returns SHA-256(0x00 || leaf), 32 bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Returns SHA-256(0x01 || left || right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def subtrees(start: int, end: int) -> list[NodeId]:
    """Returns the complete subtrees that make up a span, left to right; `subtrees(0, size)` are a tree's peaks."""
    ids = []
    while start < end:
        level = (end - start).bit_length() - 1
        ids.append((level, start >> level))
        start += 1 << level
    return ids


def root(node_hashes: Sequence[bytes]) -> bytes:
    """Returns the root over complete subtrees given left to right; SHA-256 of nothing for the empty tree."""
    if not node_hashes:
        return EMPTY_ROOT
    top = node_hashes[-1]
    for left in reversed(node_hashes[:-1]):
        top = node_hash(left, top)
    return top


def grow(peaks: Sequence[bytes], seq: int, leaf: bytes) -> tuple[list[bytes], list[Node]]:
    """Adds leaf number `seq` (from 0), given as its leaf hash, to the tree of `seq` leaves with these peaks.

    Returns the new tree's peaks and the nodes that became complete: the leaf itself, then one for each 1 that `seq`
    ends with in binary.
    """
    rest = list(peaks)
    level, n, top = 0, seq, leaf
    nodes = [Node(level, n, top)]
    while n & 1:
        top = node_hash(rest.pop(), top)
        level, n = level + 1, n >> 1
        nodes.append(Node(level, n, top))
    rest.append(top)
    return rest, nodes


def inclusion_spans(seq: int, size: int) -> list[Span]:
    """Returns the spans whose hashes prove that leaf `seq` is in the tree of `size` leaves.

    They are in the order of RFC 9162 §2.1.3.1.

    Raises AuditBroken unless 0 ≤ seq < size.
    """
    if not 0 <= seq < size:
        raise AuditBroken(f"leaf {seq} is not in a tree of {size} leaves")
    start, end, spans = 0, size, []
    while end - start > 1:
        split = _split(start, end)
        if seq < split:
            spans.append((split, end))
            end = split
        else:
            spans.append((start, split))
            start = split
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Returns the spans whose hashes prove that the tree of `old` leaves is a prefix of that of `new`.

    They are in the order of RFC 9162 §2.1.4.1; none where the trees are equal or the old one is empty.

    Raises AuditBroken unless 0 ≤ old ≤ new.
    """
    if not 0 <= old <= new:
        raise AuditBroken(f"a tree of {old} leaves is no prefix of one of {new}")
    if old == 0:
        return []
    start, end, spans = 0, new, []
    while end != old:
        split = _split(start, end)
        if old <= split:
            spans.append((split, end))
            end = split
        else:
            spans.append((start, split))
            start = split
    if start:  # otherwise the rest is the old tree itself, whose root the verifier holds
        spans.append((start, end))
    return spans[::-1]


def node_ids(spans: Iterable[Span]) -> list[NodeId]:
    """Returns every node that the hashes of these spans are made from, so that one query can read them all."""
    return [node for span in spans for node in subtrees(*span)]


def node_hashes(spans: Iterable[Span], nodes: Mapping[NodeId, bytes]) -> list[bytes]:
    """Returns the hash of each span. Raises AuditBroken where a node is missing."""
    try:
        return [root([nodes[node] for node in subtrees(*span)]) for span in spans]
    except KeyError as error:
        raise AuditBroken(f"node {error.args[0]} of the tree is missing") from error


def verify_inclusion(leaf: bytes, seq: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Checks that the leaf with hash `leaf` is number `seq` of the tree of `size` leaves whose root is `expected`
    (the outcome of RFC 9162 §2.1.3.2). Raises AuditBroken otherwise."""
    spans = inclusion_spans(seq, size)
    _check_shape(spans, proof)
    top = leaf
    for (start, _), sibling in zip(spans, proof, strict=True):
        top = node_hash(top, sibling) if start > seq else node_hash(sibling, top)
    if top != expected:
        raise AuditBroken(f"the proof does not lead from leaf {seq} to the root of {size} leaves")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree (`old`, `old_root`) is a prefix of (`new`, `new_root`) (the outcome of RFC 9162 §2.1.4.2).

    Raises AuditBroken otherwise.
    """
    spans = consistency_spans(old, new)
    _check_shape(spans, proof)
    if old == 0:
        if old_root != EMPTY_ROOT:
            raise AuditBroken("an empty tree has another root")
        return
    steps = list(zip(spans, proof, strict=True))
    first = second = old_root
    if steps and steps[0][0][1] == old:  # the old tree's last part is not its root, so the proof starts with it
        first = second = steps.pop(0)[1]
    for (start, _), sibling in steps:
        if start < old:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    if (first, second) != (old_root, new_root):
        raise AuditBroken(f"the tree of {new} leaves does not continue the one of {old}")


def _split(start: int, end: int) -> int:
    """Returns where RFC 9162 splits a span: at the largest power of two smaller than its length."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _check_shape(spans: Sequence[Span], proof: Sequence[bytes]) -> None:
    if len(proof) != len(spans) or any(len(part) != _HASH_BYTES for part in proof):
        raise AuditBroken(f"the proof must hold {len(spans)} hashes of 32 bytes")
