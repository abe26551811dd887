"""Contact details and payment names are found where they are, and ordinary text is left alone."""

from __future__ import annotations

import time

import pytest

from assent.perceive.contacts import kinds

EMAIL, HANDLE, LINK = "text.contact.email", "text.contact.handle", "text.contact.link"
PHONE, PAYMENT = "text.contact.phone", "text.payment"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("write to anna.b@example.org", {EMAIL}),
        ("ANNA@EXAMPLE.CO.UK!", {EMAIL}),
        ("anna (at) example (dot) org", {EMAIL}),
        ("see www.example.com", {LINK}),
        ("https://example.org/a?b=c", {LINK}),
        ("example.com/shop", {LINK}),
        ("call +49 30 901820", {PHONE}),
        ("Tel. 030/901820 ab 9 Uhr", {PHONE}),
        ("follow @insta_name", {HANDLE}),
        ("Insta: foo.bar", {HANDLE}),
        ("telegram = @some1", {HANDLE}),
        ("IBAN DE89 3704 0044 0532 0130 00 danke", {PAYMENT}),
        ("GB29NWBK60161331926819", {PAYMENT}),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", {PAYMENT}),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", {PAYMENT}),
        ("send to 0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe", {PAYMENT}),
        ("tip $annas_shop", {PAYMENT}),
        ("PayPal: anna.b", {PAYMENT}),
        ("paypal.me/anna", {PAYMENT, LINK}),
    ],
)
def test_found(text: str, wanted: set[str]) -> None:
    assert kinds(text, "DE") == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Region-based segmentation",
        "the end.It was late",
        "e.g. a cat, i.e. a pet",
        "$100 or US$20",
        "12.05.2024 um 18:30",
        "room 12 34 56",
        "version 1.2.3",
        "markers = np.zeros_like(coins)",
        "meet me @ 8",
        "DE89 3704 0044 0532 0130 01",  # the check digits are wrong
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",  # so is the checksum
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdd",
        "+49 30",
        "telegram channels",
    ],
)
def test_left_alone(text: str) -> None:
    assert kinds(text, "DE") == frozenset()


def test_a_number_without_its_country_needs_the_region() -> None:
    assert kinds("030 901820", "de") == {PHONE}
    assert kinds("030 901820") == frozenset()
    assert kinds("030 901820", "not a region") == frozenset()


@pytest.mark.parametrize("text", ["07.07.2020 10:22", "2020-07-07 10:22:31", "7/7/20 9:05"])
@pytest.mark.parametrize("region", ["SE", "DE", "US", "FR"])
def test_a_camera_s_date_is_no_number(text: str, region: str) -> None:
    assert kinds(text, region) == frozenset()


def test_a_number_in_pairs_is_no_date() -> None:
    assert kinds("06.12.34.56.78", "FR") == {PHONE}
    assert kinds("tel 01-02-20-30-40", "FR") == {PHONE}


@pytest.mark.parametrize("one", ["a", "a.", "@a", "1 ", "A1", "(at)", "+4", "$a", "x" * 9 + " ", "a-"])
def test_what_a_long_text_costs_grows_with_its_square_at_most(one: str) -> None:
    short = min(cost(one * 500) for _ in range(3))
    long = min(cost(one * 2_000) for _ in range(3))
    assert long < 2 * 4**2 * max(short, 0.001)


def cost(text: str) -> float:
    """Processor seconds, which other processes do not lengthen."""
    began = time.process_time()
    assert EMAIL not in kinds(text, "US")
    return time.process_time() - began
