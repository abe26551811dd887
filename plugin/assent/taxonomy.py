"""The vocabulary: every label a tag may carry, and what other vocabularies call it.

Labels are dotted paths, widest part first, so that a policy may name a prefix (`nudity.explicit`). None in a column
means that the other vocabulary has no word for it; a label is never mapped to a word that says more than was seen.
"""

from __future__ import annotations

from typing import NamedTuple

from assent.values import Category


class Label(NamedTuple):
    name: str
    category: Category
    meaning: str
    rekognition: str | None  # AWS Rekognition moderation labels v7, second level
    atproto: str | None  # global label values of the AT Protocol
    dsa: str | None = None  # category of the EU's transparency database, without STATEMENT_CATEGORY_
    keyword: str | None = None  # its keyword, without KEYWORD_


# Against the platform's terms, where a policy acts on it. What else it may be (a fraud, an abuse) no label knows; a
# rule that does says so in its `statement`.
_TERMS = "OTHER_VIOLATION_TC"

# A detector of body parts cannot tell a sexual act from a nude, so atproto's `porn` and `sexual` are never used here.
# "Covered" means clothed as often as veiled, so it is not Rekognition's "Obstructed Intimate Parts".
BODIES: tuple[Label, ...] = (
    Label("face", "face", "A human face; nothing about whose.", None, None),
    Label(
        "nudity.explicit.anus",
        "safety",
        "An uncovered anus.",
        "Explicit Nudity",
        "nudity",
        _TERMS,
        "NUDITY",
    ),
    Label(
        "nudity.explicit.breast",
        "safety",
        "An uncovered female breast.",
        "Explicit Nudity",
        "nudity",
        _TERMS,
        "NUDITY",
    ),
    Label(
        "nudity.explicit.buttocks",
        "safety",
        "Uncovered buttocks.",
        "Explicit Nudity",
        "nudity",
        _TERMS,
        "NUDITY",
    ),
    Label(
        "nudity.explicit.genitalia",
        "safety",
        "Uncovered genitalia of anybody.",
        "Explicit Nudity",
        "nudity",
        _TERMS,
        "NUDITY",
    ),
    Label("nudity.partial.armpits", "safety", "Uncovered armpits.", None, None),
    Label("nudity.partial.belly", "safety", "An uncovered belly.", None, None),
    Label("nudity.partial.chest", "safety", "An uncovered flat chest.", "Non-Explicit Nudity", None),
    Label("nudity.partial.feet", "safety", "Bare feet.", None, None),
    Label("body.covered.anus", "safety", "The place of the anus, under clothes.", None, None),
    Label("body.covered.armpits", "safety", "Armpits under clothes.", None, None),
    Label("body.covered.belly", "safety", "A belly under clothes.", None, None),
    Label("body.covered.breast", "safety", "A breast under clothes.", None, None),
    Label("body.covered.buttocks", "safety", "Buttocks under clothes.", None, None),
    Label("body.covered.feet", "safety", "Feet in shoes or socks.", None, None),
    Label("body.covered.genitalia", "safety", "The place of the genitalia, under clothes.", None, None),
)

# What was read in the picture; the words themselves are no part of a tag.
TEXTS: tuple[Label, ...] = (
    Label("text.blocked", "text", "A word of one of the operator's lists.", None, None, _TERMS),
    Label("text.code", "text", "A QR code.", None, None, _TERMS),
    Label("text.contact.email", "text", "An e-mail address.", None, None, _TERMS),
    Label("text.contact.handle", "text", "An account's name on another platform.", None, None, _TERMS),
    Label("text.contact.link", "text", "A web address, written or in a code.", None, None, _TERMS),
    Label("text.contact.phone", "text", "A telephone number.", None, None, _TERMS),
    Label(
        "text.payment",
        "text",
        "Where to send money: an account, a wallet, a payment name.",
        None,
        None,
        _TERMS,
    ),
)

# A file or picture that stands on a list of known ones.
HASHES: tuple[Label, ...] = (
    Label("hash.known.listed", "hash", "On a list of known pictures.", None, None, _TERMS),
    Label(
        "hash.known.severe",
        "hash",
        "On a list marked severe: nobody should have to see it.",
        None,
        None,
        _TERMS,
    ),
)

# What the shipped heads tell apart: things that are worn, and what shops sell to eat and drink.
PRODUCTS: tuple[Label, ...] = (
    Label("product.clothing.dress", "product", "A dress.", None, None),
    Label("product.clothing.hat", "product", "A hat or cap.", None, None),
    Label("product.clothing.longsleeve", "product", "A top with long sleeves.", None, None),
    Label("product.clothing.outwear", "product", "A jacket or coat.", None, None),
    Label("product.clothing.pants", "product", "Long trousers.", None, None),
    Label("product.clothing.shirt", "product", "A shirt with buttons.", None, None),
    Label("product.clothing.shoes", "product", "Shoes.", None, None),
    Label("product.clothing.shorts", "product", "Short trousers.", None, None),
    Label("product.clothing.skirt", "product", "A skirt.", None, None),
    Label("product.clothing.tshirt", "product", "A T-shirt.", None, None),
    Label("product.grocery.apple", "product", "Apples.", None, None),
    Label("product.grocery.asparagus", "product", "Asparagus.", None, None),
    Label("product.grocery.aubergine", "product", "Aubergines.", None, None),
    Label("product.grocery.avocado", "product", "Avocados.", None, None),
    Label("product.grocery.banana", "product", "Bananas.", None, None),
    Label("product.grocery.cabbage", "product", "Cabbages.", None, None),
    Label("product.grocery.carrots", "product", "Carrots.", None, None),
    Label("product.grocery.cucumber", "product", "Cucumbers.", None, None),
    Label("product.grocery.garlic", "product", "Garlic.", None, None),
    Label("product.grocery.ginger", "product", "Ginger.", None, None),
    Label("product.grocery.juice", "product", "Packed juice.", None, None),
    Label("product.grocery.kiwi", "product", "Kiwi fruit.", None, None),
    Label("product.grocery.leek", "product", "Leeks.", None, None),
    Label("product.grocery.lemon", "product", "Lemons.", None, None),
    Label("product.grocery.lime", "product", "Limes.", None, None),
    Label("product.grocery.mango", "product", "Mangos.", None, None),
    Label("product.grocery.melon", "product", "Melons.", None, None),
    Label("product.grocery.milk", "product", "Packed milk.", None, None),
    Label("product.grocery.mushroom", "product", "Mushrooms.", None, None),
    Label("product.grocery.nectarine", "product", "Nectarines.", None, None),
    Label("product.grocery.oatghurt", "product", "Packed yoghurt made of oats.", None, None),
    Label("product.grocery.oatmilk", "product", "Packed oat drink.", None, None),
    Label("product.grocery.onion", "product", "Onions.", None, None),
    Label("product.grocery.orange", "product", "Oranges.", None, None),
    Label("product.grocery.papaya", "product", "Papayas.", None, None),
    Label("product.grocery.passionfruit", "product", "Passion fruit.", None, None),
    Label("product.grocery.peach", "product", "Peaches.", None, None),
    Label("product.grocery.pear", "product", "Pears.", None, None),
    Label("product.grocery.pepper", "product", "Bell peppers.", None, None),
    Label("product.grocery.pineapple", "product", "Pineapples.", None, None),
    Label("product.grocery.plum", "product", "Plums.", None, None),
    Label("product.grocery.pomegranate", "product", "Pomegranates.", None, None),
    Label("product.grocery.potato", "product", "Potatoes.", None, None),
    Label("product.grocery.redbeet", "product", "Red beets.", None, None),
    Label("product.grocery.redgrapefruit", "product", "Red grapefruit.", None, None),
    Label("product.grocery.satsumas", "product", "Satsumas.", None, None),
    Label("product.grocery.sourcream", "product", "Packed sour cream.", None, None),
    Label("product.grocery.sourmilk", "product", "Packed sour milk.", None, None),
    Label("product.grocery.soyghurt", "product", "Packed yoghurt made of soya.", None, None),
    Label("product.grocery.soymilk", "product", "Packed soya drink.", None, None),
    Label("product.grocery.tomato", "product", "Tomatoes.", None, None),
    Label("product.grocery.yoghurt", "product", "Packed yoghurt.", None, None),
    Label("product.grocery.zucchini", "product", "Zucchini.", None, None),
)

LABELS: tuple[Label, ...] = (*BODIES, *TEXTS, *HASHES, *PRODUCTS)
BY_NAME: dict[str, Label] = {label.name: label for label in LABELS}

# What NudeNet 3.4 calls its classes → our label. The gender it guesses for faces and genitalia ends here.
NUDENET: dict[str, str] = {
    "FACE_FEMALE": "face",
    "FACE_MALE": "face",
    "ANUS_EXPOSED": "nudity.explicit.anus",
    "FEMALE_BREAST_EXPOSED": "nudity.explicit.breast",
    "BUTTOCKS_EXPOSED": "nudity.explicit.buttocks",
    "FEMALE_GENITALIA_EXPOSED": "nudity.explicit.genitalia",
    "MALE_GENITALIA_EXPOSED": "nudity.explicit.genitalia",
    "ARMPITS_EXPOSED": "nudity.partial.armpits",
    "BELLY_EXPOSED": "nudity.partial.belly",
    "MALE_BREAST_EXPOSED": "nudity.partial.chest",
    "FEET_EXPOSED": "nudity.partial.feet",
    "ANUS_COVERED": "body.covered.anus",
    "ARMPITS_COVERED": "body.covered.armpits",
    "BELLY_COVERED": "body.covered.belly",
    "FEMALE_BREAST_COVERED": "body.covered.breast",
    "BUTTOCKS_COVERED": "body.covered.buttocks",
    "FEET_COVERED": "body.covered.feet",
    "FEMALE_GENITALIA_COVERED": "body.covered.genitalia",
}
