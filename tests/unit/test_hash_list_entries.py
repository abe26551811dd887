"""Files of known hashes, sound and broken: what holds a hash is read, what does not is named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assent.core.errors import HashListInvalid
from assent.hashlists import entries
from assent.hashlists.entries import Broken, Entries, HashKind, read_entries

A, B, C = ("a1" * 32, "b2" * 32, "c3" * 32)
UNSAID = "nothing says whether it is a pdq or a sha256"


def read(tmp_path: Path, text: str | bytes, default: HashKind | None = None) -> Entries:
    path = tmp_path / "list"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_entries(path, default)


def hexes(hashes: bytearray) -> list[str]:
    return [hashes[at : at + 32].hex() for at in range(0, len(hashes), 32)]


@pytest.mark.parametrize(
    "text",
    [
        f"hash,type\n{A},pdq\n{B},sha256\n",
        f"{A},pdq\n{B},sha256\n",
        f"{A},HASH_PDQ,a description, with a comma\n{B},HASH_SHA256\n",
        f"\ufeffType,Indicator\r\nHASH_PDQ,{A.upper()}\r\nHASH_SHA256,{B}\r\n",
        f"# from the hotline\n\nid,pdq,sha256\n1,{A},\n2,,{B}\n",
        f'"value","signal_type"\n" {A} ","PDQ"\n"{B}","sha-256"\n',
        json.dumps([{"indicator": A, "type": "HASH_PDQ"}, {"indicator": B, "indicator_type": "HASH_SHA256"}]),
        json.dumps(
            {
                "data": [
                    {"indicator": {"indicator": A, "type": "HASH_PDQ"}, "status": "MALICIOUS"},
                    {"raw_indicator": B, "type": "HASH_SHA256"},
                ],
                "paging": {"next": "https://…"},
            }
        ),
        f'{{"indicator": "{A}", "type": "HASH_PDQ"}}\n\n{{"indicator": "{B}", "type": "HASH_SHA256"}}\n',
    ],
)
def test_every_form_of_the_same_list(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert (hexes(found.pdq), hexes(found.sha256), found.broken) == ([A], [B], [])


def test_a_file_that_says_no_kind_needs_to_be_told(tmp_path: Path) -> None:
    assert hexes(read(tmp_path, f"{A}\n{B},some description\n", "pdq").pdq) == [A, B]
    with pytest.raises(HashListInvalid) as refused:
        read(tmp_path, f"{A}\n{B}\n")
    assert UNSAID in refused.value.detail


def test_broken_lines_are_named_and_the_others_read(tmp_path: Path) -> None:
    lines = [
        "hash,type",
        f"{A},pdq",
        "",
        f"{B[:-1]},pdq",
        f"{B[:-1]}g,pdq",
        f"{B},md5",
        ",pdq",
        f"{B}",
        "\xff\xfe,sha256",
        f"{B[:30]}  {B[:32]},pdq",
        f"{C},sha256",
    ]
    found = read(tmp_path, "\n".join(lines).encode("latin-1"))
    assert (hexes(found.pdq), hexes(found.sha256)) == ([A], [C])
    assert found.broken == [
        Broken("line 4", "63 characters instead of 64 hex digits"),
        Broken("line 5", "not hex digits"),
        Broken("line 6", "its type is neither pdq nor sha256"),
        Broken("line 7", "no hash"),
        Broken("line 8", UNSAID),
        Broken("line 9", "2 characters instead of 64 hex digits"),
        Broken("line 10", "not hex digits"),
    ]


def test_broken_items_of_json_are_named_by_number(tmp_path: Path) -> None:
    items = [{"indicator": A, "type": "HASH_PDQ"}, "text", {"indicator": 7, "type": "HASH_PDQ"}, {"type": "HASH_MD5"}]
    assert [place for place, _ in read(tmp_path, json.dumps(items)).broken] == ["item 2", "item 3", "item 4"]
    lines = f'{{"indicator": "{A}", "type": "pdq"}}\n{{"indicator": "{B}", "ty\n[1]\n'
    assert [place for place, _ in read(tmp_path, lines).broken] == ["line 2", "line 3"]


def test_a_very_long_field_is_a_broken_line(tmp_path: Path) -> None:
    found = read(tmp_path, f"{A},pdq\n{'x' * 200_000},pdq\n{B},pdq\n")
    assert hexes(found.pdq) == [A, B]
    assert [place for place, _ in found.broken] == ["line 2"]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"{", b"[]", b"[[[[", b"{}", b"hash,type\n", b"\x00" * 64, b"null"])
def test_a_file_without_one_hash_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(HashListInvalid):
        read(tmp_path, text)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HashListInvalid):
        read(tmp_path, b'{"data":' + b"[" * 200_000)


def test_a_file_that_is_something_else_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MAX_BROKEN", 5)
    with pytest.raises(HashListInvalid) as refused:
        read(tmp_path, f"{A},pdq\n" + "prose\n" * 6)
    assert "line 7" in refused.value.detail


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(HashListInvalid) as refused:
        read_entries(tmp_path / "none")
    assert "cannot be read" in refused.value.detail
