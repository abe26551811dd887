"""The queue's own tables, as the pinned release of procrastinate ships them."""

from procrastinate.schema import SchemaManager
from yoyo import step

steps = [step(SchemaManager.get_schema())]
