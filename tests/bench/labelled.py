"""Writes a CSV of photos and their labels, for `assent eval labels`: `python -m tests.bench.labelled DATA SPLIT OUT`.

DATA holds `grocery/{train,val}/<class>/`, `clothing/{train,val}/<class>/` and `everyday/labels.csv`, whose even rows
count as `train`, the odd ones as `val`. A name below a label that the taxonomy lacks (`food.fruit.pear`) says that no
finer label is right. The column `source` is for `--by`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from assent.core.resources import resource
from assent.learn.dataset import label_word
from assent.perceive.packs.manifest import SILENT, read_table

FRUITS = (
    "apple banana kiwi lemon lime mango melon nectarine orange papaya passion-fruit peach pear pineapple plum "
    "pomegranate red-grapefruit"
)
VEGETABLES = (
    "asparagus aubergine cabbage carrots cucumber garlic ginger leek mushroom onion pepper potato red-beet zucchini"
)
GROCERY = {
    **{name: f"food.fruit.{label_word(name)}" for name in FRUITS.split()},
    **{name: f"food.vegetable.{label_word(name)}" for name in VEGETABLES.split()},
    **{name: f"food.fruit.{name};food.vegetable.{name}" for name in ("avocado", "tomato")},
    **{name: f"food.drink.{label_word(name)}" for name in ("juice", "milk", "oat-milk", "soy-milk")},
    **{name: f"food.{label_word(name)}" for name in ("oatghurt", "sour-cream", "sour-milk", "soyghurt", "yoghurt")},
    "satsumas": "food.fruit",  # an orange, or not
}
CLOTHING = {
    "dress": "product.clothing.garment.dress",
    "hat": "product.clothing.headwear",
    "longsleeve": "product.clothing.garment.top",
    "outwear": "product.clothing.garment",
    "pants": "product.clothing.garment",
    "shirt": "product.clothing.garment",
    "shoes": "product.clothing.footwear",
    "shorts": "product.clothing.garment",
    "skirt": "product.clothing.garment.skirt",
    "t-shirt": "product.clothing.garment.top",
}
LABELS = {"grocery": GROCERY, "clothing": CLOTHING}


def rows(data: Path, split: str) -> Iterator[tuple[Path, str, str]]:
    """Yields each photo of a split with its label and the folder of DATA that it comes from."""
    for source, labels in LABELS.items():
        for path in sorted((data / source / split).rglob("*.jpg")):
            yield path, labels[path.parent.name], source
    classes = read_table(resource("models") / "tables" / "imagenet.tsv")
    with (data / "everyday" / "labels.csv").open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if (number % 2 == 0) == (split == "train"):
                name, label, _ = classes[int(row["class"])]
                own = "none" if label == SILENT else f"{label}.{label_word(name.split(',')[0])}"
                yield data / "everyday" / row["path"], own, "everyday"


def main() -> None:
    data, split, out = Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3])
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "source"))
        writer.writerows(rows(data, split))


if __name__ == "__main__":
    main()
