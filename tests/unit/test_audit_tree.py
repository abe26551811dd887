"""The tree against pymerkle's, and against the RFC's own recursive definitions."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree  # type: ignore[import-untyped]  # ships no types

from assent.audit import tree
from assent.core.errors import AuditBroken

SIZES = 260


def leaf(seq: int) -> bytes:
    return b"" if seq == 3 else f"leaf {seq}".encode()


@cache
def stored() -> tuple[dict[tuple[int, int], bytes], list[bytes]]:
    """All nodes of a tree of SIZES leaves, written as it grew, and the root at every size."""
    peaks: list[bytes] = []
    nodes, roots = {}, [tree.root(peaks)]
    for seq in range(SIZES):
        peaks, made = tree.grow(peaks, seq, tree.leaf_hash(leaf(seq)))
        for node in made:
            assert (node.level, node.n) not in nodes, "each node is written once"
            nodes[node.level, node.n] = node.hash
        roots.append(tree.root(peaks))
    return nodes, roots


@cache
def oracle() -> InmemoryTree:
    made = InmemoryTree(algorithm="sha256")
    made.append_entries([leaf(seq) for seq in range(SIZES)])
    return made


def mth(start: int, end: int) -> bytes:
    """MTH of RFC 9162 §2.1.1, over the leaves themselves."""
    if end - start == 0:
        return tree.EMPTY_ROOT
    if end - start == 1:
        return tree.leaf_hash(leaf(start))
    k = max(2**power for power in range(10) if 2**power < end - start)
    return tree.node_hash(mth(start, start + k), mth(start + k, end))


def subproof(m: int, start: int, end: int, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 §2.1.4.1."""
    if m == end - start:
        return [] if whole else [mth(start, end)]
    k = max(2**power for power in range(10) if 2**power < end - start)
    if m <= k:
        return [*subproof(m, start, start + k, whole), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, False), mth(start, start + k)]


def test_hashes_of_nothing_are_those_of_rfc_6962_test_vectors() -> None:
    assert tree.EMPTY_ROOT.hex().startswith("e3b0c44298fc1c149afb")
    assert tree.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_root_at_every_size_is_the_oracles() -> None:
    nodes, roots = stored()
    for size in range(SIZES + 1):
        assert roots[size] == tree.node_hashes([(0, size)], nodes)[0] == oracle().get_root(size)


def test_nodes_are_the_complete_subtrees_and_no_others() -> None:
    nodes, _ = stored()
    assert set(nodes) == {(level, n) for level in range(9) for n in range(SIZES >> level)}


def test_inclusion_proofs_are_the_oracles_and_verify() -> None:
    nodes, roots = stored()
    for size in range(1, SIZES + 1, 7):
        for seq in range(size):
            spans = tree.inclusion_spans(seq, size)
            proof = tree.node_hashes(spans, {place: nodes[place] for place in tree.node_ids(spans)})
            assert proof == oracle().prove_inclusion(seq + 1, size).path[1:]
            tree.verify_inclusion(tree.leaf_hash(leaf(seq)), seq, size, proof, roots[size])


def test_consistency_proofs_are_those_of_the_rfc_and_verify() -> None:
    nodes, roots = stored()
    for new in range(1, 70):
        for old in range(new + 1):
            spans = tree.consistency_spans(old, new)
            proof = tree.node_hashes(spans, {place: nodes[place] for place in tree.node_ids(spans)})
            assert proof == (subproof(old, 0, new, True) if old else [])
            tree.verify_consistency(old, roots[old], new, roots[new], proof)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_altered_inclusion_proof_verifies(data: st.DataObject) -> None:
    nodes, roots = stored()
    size = data.draw(st.integers(2, SIZES))
    seq = data.draw(st.integers(0, size - 1))
    proof = tree.node_hashes(tree.inclusion_spans(seq, size), nodes)
    at = data.draw(st.integers(0, len(proof) - 1))
    altered = [*proof[:at], bytes(32), *proof[at + 1 :]]
    mine = tree.leaf_hash(leaf(seq))
    for bad_leaf, bad_seq, bad_size, bad_proof, bad_root in (
        (mine, seq, size, altered, roots[size]),
        (mine, seq, size, proof[:-1], roots[size]),
        (mine, seq, size, [*proof, proof[-1]], roots[size]),
        (tree.leaf_hash(b"another"), seq, size, proof, roots[size]),
        (mine, seq, size, proof, roots[size - 1]),
        (mine, size, size, proof, roots[size]),
        (mine, -1, size, proof, roots[size]),
    ):
        with pytest.raises(AuditBroken):
            tree.verify_inclusion(bad_leaf, bad_seq, bad_size, bad_proof, bad_root)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, SIZES - 1), st.integers(1, SIZES), st.randoms(use_true_random=False))
def test_no_altered_consistency_proof_verifies(old: int, new: int, rng: random.Random) -> None:
    old, new = sorted((old, new))
    nodes, roots = stored()
    proof = tree.node_hashes(tree.consistency_spans(old, new), nodes)
    tree.verify_consistency(old, roots[old], new, roots[new], proof)
    bad = [
        (old, bytes(32), new, roots[new], proof),
        (old, roots[old], new, bytes(32), proof),
        (old, roots[old], new, roots[new], [*proof, bytes(32)]),
        (new + 1, roots[old], new, roots[new], proof),
    ]
    if proof:
        at = rng.randrange(len(proof))
        bad.append((old, roots[old], new, roots[new], [*proof[:at], bytes(32), *proof[at + 1 :]]))
    for case in bad:
        with pytest.raises(AuditBroken):
            tree.verify_consistency(*case)


def test_an_empty_old_tree_must_have_the_empty_root() -> None:
    _, roots = stored()
    tree.verify_consistency(0, tree.EMPTY_ROOT, 5, roots[5], [])
    with pytest.raises(AuditBroken, match="empty"):
        tree.verify_consistency(0, bytes(32), 5, roots[5], [])


def test_a_missing_node_is_named() -> None:
    with pytest.raises(AuditBroken, match=r"node \(1, 0\)"):
        tree.node_hashes([(0, 2)], {})


def test_sizes_beyond_any_tree_end_quickly() -> None:
    with pytest.raises(AuditBroken, match="63 hashes"):
        tree.verify_inclusion(bytes(32), 5, 2**63, [], bytes(32))
