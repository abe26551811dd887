"""What the pages about platforms tell their reader to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assent.db.pool import Pool, transaction
from assent.intake.sources import open_source_settings
from assent.keys.keystore import TenantKeys
from assent.platforms.delivery import SourceSettings
from assent.tenants import list_sources
from tests.command import assent

PAGES = Path(__file__).parents[2] / "docs" / "platforms"
BLOCKS = re.compile(r"<!-- tests/integration/test_platform_docs.py runs these lines -->\n```sh\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    ("page", "source", "ends_as"),
    [
        (
            "mastodon.md",
            "mastodon",
            SourceSettings("https://social.example", ("public", "unlisted", "followers"), link_cards=True),
        ),
        ("discourse.md", "discourse", SourceSettings("https://forum.example", file_hosts=("cdn.forum.example",))),
    ],
)
def test_the_lines_of_a_page_set_a_source_up(
    environment: dict[str, str],
    pool: Pool,
    keys: TenantKeys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    source: str,
    ends_as: SourceSettings,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mastodon.secret", "mastodon-new.secret", "assent.token"):
        (tmp_path / name).write_text(f"secret-of-{name}\n")
    lines = [line for block in BLOCKS.findall((PAGES / page).read_text()) for line in block.splitlines()]
    assert len(lines) >= 3
    said = [assent(environment, *line.split()[1:]) for line in lines]
    assert any("https://" in words and source in words for words in said)
    with transaction(pool) as conn:
        stored = {row["name"]: open_source_settings(keys, row) for row in list_sources(conn, "default")}
    assert stored[source] == ends_as
