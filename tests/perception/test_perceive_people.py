"""People alone in a picture are called no animal and no thing; things without people keep their labels."""

from __future__ import annotations

from assent.perceive import Models, perceive
from tests.photos import FACES
from tests.unit.perceive_photos import photo, picture

NEVER = ("animal.", "food.", "object.", "product.bag")


def test_people_are_called_no_animal_and_no_thing(models: Models) -> None:
    group = photo("t1.jpg")
    crops = [group[max(0, y - h) : y + 2 * h, max(0, x - w) : x + 2 * w] for x, y, w, h in FACES.values()]
    for seen in perceive(models, [picture(pixels) for pixels in (*crops, group, photo("astronaut.png"))], embed=False):
        assert seen.faces
        said = [tag.name for tag in seen.tags if tag.model == models.backbone.id]
        assert [name for name in said if f"{name}.".startswith(NEVER)] == []


def test_an_animal_without_people_keeps_its_labels(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("chelsea.png"))], embed=False)
    assert {"animal.cat", "animal.cat.tabby"} <= {tag.name for tag in seen.tags}
