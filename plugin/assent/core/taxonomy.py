"""Defines the taxonomy: every label that a tag may carry, and its name in other vocabularies.

Labels are dotted paths, widest part first, so that a policy may name a prefix (`nudity.explicit`). None in a column
means that the other vocabulary has no word for it; a label is never mapped to a word that says more than was seen.
"""

from __future__ import annotations

from typing import NamedTuple

from assent.core.values import Category


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

# What detectors and classifiers of objects say. Coarse on purpose: a policy seldom needs more, and a coarse word is
# more often right. Nothing here says to which group of people somebody belongs.
OBJECTS: tuple[Label, ...] = (
    Label("object.person", "object", "A person; nothing about who.", None, None),
    Label("object.vehicle.aircraft", "object", "An aeroplane, airship, balloon or parachute.", None, None),
    Label("object.vehicle.bicycle", "object", "A bicycle, tricycle or unicycle.", None, None),
    Label("object.vehicle.boat", "object", "A boat or ship.", None, None),
    Label("object.vehicle.bus", "object", "A bus.", None, None),
    Label("object.vehicle.car", "object", "A car.", None, None),
    Label("object.vehicle.cart", "object", "A cart, sledge, barrow or shopping cart.", None, None),
    Label("object.vehicle.military", "object", "A tank, warship or warplane.", None, None),
    Label("object.vehicle.motorcycle", "object", "A motorcycle, moped or scooter.", None, None),
    Label("object.vehicle.part", "object", "A part of a vehicle: wheel, mirror, grille, belt.", None, None),
    Label("object.vehicle.train", "object", "A train, tram or railway carriage.", None, None),
    Label("object.vehicle.truck", "object", "A truck, van or vehicle of the emergency services.", None, None),
    Label(
        "object.vehicle.work",
        "object",
        "A vehicle or machine for work or leisure: tractor, crane, golf cart.",
        None,
        None,
    ),
    Label("object.weapon.bow", "object", "A bow.", "Weapons", None),
    Label("object.weapon.firearm", "object", "A rifle, revolver or other firearm.", "Weapons", None),
    Label("object.weapon.gear", "object", "What weapons are carried in.", None, None),
    Label("object.weapon.heavy", "object", "A cannon.", "Weapons", None),
    Label(
        "object.rocket", "object", "A rocket, missile or space vehicle; whether it is a weapon is not said.", None, None
    ),
    Label("object.armour", "object", "Armour, a shield or a gas mask.", None, None),
    Label(
        "object.blade",
        "object",
        "A knife, cleaver, hatchet or pair of scissors: a tool with a blade, not called a weapon.",
        None,
        None,
    ),
    Label("object.gambling", "object", "A gambling machine.", None, None),
    Label("object.medical", "object", "A medicine or a medical instrument.", None, None),
    Label("object.appliance", "object", "A household machine.", None, None),
    Label("object.clock", "object", "A clock.", None, None),
    Label("object.container", "object", "A box, barrel, vase or other container.", None, None),
    Label("object.document", "object", "A book, page, menu or envelope.", None, None),
    Label("object.electronics", "object", "A telephone, computer, camera or other electronic device.", None, None),
    Label("object.fungus", "object", "A fungus.", None, None),
    Label("object.furniture", "object", "A piece of furniture.", None, None),
    Label("object.household", "object", "Something of a household: towel, sink, blanket, candle.", None, None),
    Label("object.instrument", "object", "A musical instrument.", None, None),
    Label("object.kitchenware", "object", "A pot, bottle, cup, plate or other kitchenware.", None, None),
    Label("object.plant", "object", "A plant.", None, None),
    Label("object.sport", "object", "Sports equipment.", None, None),
    Label("object.stationery", "object", "A pen, ruler or other stationery.", None, None),
    Label("object.street", "object", "A sign, light, fence or other thing of the street.", None, None),
    Label("object.tool", "object", "A tool.", None, None),
    Label("object.toy", "object", "A toy.", None, None),
)

ANIMALS: tuple[Label, ...] = (
    Label("animal.amphibian", "object", "A frog, newt or salamander.", None, None),
    Label("animal.arachnid", "object", "A spider, scorpion or tick.", None, None),
    Label("animal.bear", "object", "A bear or giant panda.", None, None),
    Label("animal.bird", "object", "A bird.", None, None),
    Label("animal.cat", "object", "A cat.", None, None),
    Label("animal.dog", "object", "A dog.", None, None),
    Label("animal.elephant", "object", "An elephant.", None, None),
    Label("animal.fish", "object", "A fish.", None, None),
    Label("animal.horse", "object", "A horse.", None, None),
    Label("animal.insect", "object", "An insect.", None, None),
    Label("animal.invertebrate", "object", "A crab, snail, jellyfish or other invertebrate.", None, None),
    Label("animal.livestock", "object", "A cow, sheep, pig, camel or other farm animal.", None, None),
    Label("animal.marine", "object", "A whale, seal or other mammal of the sea.", None, None),
    Label("animal.rabbit", "object", "A rabbit or hare.", None, None),
    Label("animal.reptile", "object", "A snake, lizard, turtle or crocodile.", None, None),
    Label("animal.rodent", "object", "A rodent or porcupine.", None, None),
    Label("animal.wild", "object", "Another mammal of the wild.", None, None),
)

FOODS: tuple[Label, ...] = (
    Label("food.bread", "object", "Bread or dough.", None, None),
    Label("food.dish", "object", "A cooked dish.", None, None),
    Label(
        "food.drink.alcohol",
        "object",
        "An alcoholic drink, or the bottle or glass of one.",
        "Alcoholic Beverages",
        None,
    ),
    Label("food.drink.other", "object", "Another drink.", None, None),
    Label("food.fruit", "object", "Fruit.", None, None),
    Label("food.sweet", "object", "Something sweet.", None, None),
    Label("food.vegetable", "object", "A vegetable.", None, None),
)

GOODS: tuple[Label, ...] = (
    Label("product.bag", "product", "A bag, suitcase or wallet.", None, None),
    Label("product.clothing.accessory", "product", "A tie, glove, pair of glasses or other accessory.", None, None),
    Label("product.clothing.footwear", "product", "Shoes or socks.", None, None),
    Label("product.clothing.garment", "product", "A garment.", None, None),
    Label("product.clothing.headwear", "product", "A hat, cap or helmet.", None, None),
    Label("product.clothing.swimwear", "product", "Clothes for swimming.", None, None),
    Label("product.clothing.underwear", "product", "Underwear.", None, None),
    Label("product.cosmetics", "product", "Cosmetics.", None, None),
)

SCENES: tuple[Label, ...] = (
    Label("scene.building", "scene", "A building, bridge or monument.", None, None),
    Label("scene.nature.coast", "scene", "A coast.", None, None),
    Label("scene.nature.mountain", "scene", "Mountains, a valley or a cliff.", None, None),
    Label("scene.nature.underwater", "scene", "A place under water.", None, None),
    Label("scene.nature.water", "scene", "A lake shore or a geyser.", None, None),
    Label("scene.screenshot", "scene", "A web page.", None, None),
    Label("scene.shop", "scene", "A shop.", None, None),
    Label("scene.venue", "scene", "A place for guests or an audience: restaurant, cinema, stage, library.", None, None),
)

LABELS: tuple[Label, ...] = (
    *BODIES,
    *TEXTS,
    *HASHES,
    *PRODUCTS,
    *OBJECTS,
    *ANIMALS,
    *FOODS,
    *GOODS,
    *SCENES,
)
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
