"""Which drawings of OpenMoji are variants of one: they go to the same side of a split."""

_PERSON, _CHILD = 0x1F9D1, 0x1F9D2
_PEOPLE = {0x1F468: _PERSON, 0x1F469: _PERSON, 0x1F466: _CHILD, 0x1F467: _CHILD}
# What turns a drawing into a variant of it: joiners, gender, direction, skin, hair, colour, a dress.
_VARIATIONS = {
    *(0x200D, 0xFE0F),
    *(0x2640, 0x2642),
    0x27A1,
    *range(0x1F3FB, 0x1F400),
    *range(0x1F9B0, 0x1F9B4),
    *range(0x1F7E5, 0x1F7EC),
    *(0x2B1B, 0x2B1C),
    0x1F457,
}
_FAMILY = "1F46A"
_KEYCAP = "20E3"
# Drawings that differ in a few pixels or in colour alone and do not say so in their names, a row a family.
_ALIKE = (
    # people
    "1F9D1 1F471 1F64D 1F64E 1F9D4",
    "1F9D3 1F474 1F475",
    "1F385 1F936 1F9D1-1F384",
    "1F934 1F478 1FAC5",
    "1F930 1FAC3 1FAC4",
    "1F46B 1F46C 1F46D 1F9D1-1F91D-1F9D1",
    "1F46F 1F9D1-1F430-1F9D1",
    "1F48F 1F9D1-2764-1F48B-1F9D1",
    "1F491 1F9D1-2764-1F9D1",
    "1F93C 1F9D1-1FAEF-1F9D1",
    "1F91D 1FAF1-1FAF2",
    "1F9CD E2D7",
    "E185 E186 E187",
    # faces
    "1F600 1F601 1F603 1F604 1F606",
    "1F610 1F60A 1F611 1F615 1F617 1F619 1F61F 1F620 1F622 1F626 1F635 1F636 1F641 1F642 1F972 1FAE4 2639",
    "1F61A 263A",
    "1F61B 1F61C 1F61D",
    "1F629 1F62B",
    "1F63C 1F63E",
    "1F47F 1F608",
    # flags
    "1F3F3 1F3F4 25AD 1F1E6-1F1F1 1F1E8-1F1F3 1F1EB-1F1F2 1F1F0-1F1EC 1F1F2-1F1E6 1F1F2-1F1EA 1F1F8-1F1F4 "
    "1F1FB-1F1F3 1F3F4-E0065-E0073-E006E-E0063-E007F",
    "1F1E6-1F1F7 1F1ED-1F1F3 1F1F3-1F1EE",
    "1F1E6-1F1FA 1F1ED-1F1F2",
    "1F1E7-1F1FB 1F1F3-1F1F4 1F1F8-1F1EF",
    "1F1E8-1F1F5 1F1EB-1F1F7 1F1F2-1F1EB",
    "1F1EA-1F1E6 1F1EA-1F1F8",
    "1F1EA-1F1EC 1F1EE-1F1F6 1F1FE-1F1EA",
    "1F1EA-1F1ED 1F1EF-1F1F4 1F1F5-1F1F8",
    "1F1EC-1F1EA 1F1EC-1F1EC 1F1E8-1F1F6 1F3F4-E0067-E0062-E0065-E006E-E0067-E007F",
    "1F1ED-1F1FA 1F1F9-1F1EF",
    "1F1EE-1F1E8 1F3F4-E0065-E0073-E0063-E006E-E007F",
    "1F1EE-1F1E9 1F1F2-1F1E8 1F1F8-1F1EC",
    "1F1EE-1F1F9 1F1F2-1F1FD",
    "1F1F2-1F1F1 1F1F8-1F1F3",
    "1F1F3-1F1F1 1F1F5-1F1FE",
    "1F1F7-1F1F4 1F1F9-1F1E9",
    "1F1F8-1F1ED 1F1F9-1F1E6",
    "1F1FA-1F1F2 1F1FA-1F1F8",
    "1F3F4-E0065-E0073-E0061-E0072-E007F 1F3F4-E0065-E0073-E0063-E0074-E007F",
    # one shape in many colours: squares, circles, diamonds, hearts, books
    "1F7E5 1F7E6 1F7E7 1F7E8 1F7E9 1F7EA 1F7EB 2B1B 2B1C 20E3 1F3FB 1F3FC 1F3FD 1F3FE 1F3FF",
    "1F7E0 1F7E1 1F7E2 1F7E3 1F7E4 1F534 1F535 26AA 26AB 1F311 1F315",
    "1F536 1F537",
    "1F538 1F539",
    "2764 1F499 1F49A 1F49B 1F49C 1F5A4 1F90D 1F90E 1F9E1 1FA75 1FA76 1FA77",
    "1F4D5 1F4D7 1F4D8 1F4D9",
    # clocks: full hours, half hours
    "1F550 1F551 1F552 1F553 1F554 1F555 1F556 1F557 1F558 1F559 1F55A 1F55B "
    "1F55C 1F55D 1F55E 1F55F 1F560 1F561 1F562 1F563 1F564 1F565 1F566 1F567",
    # signs
    "1F17F 1F195",
    "1F1F4 1F1F6",
    "1F509 1F50A",
    "1F512 1F513",
    "1F52F 2721",
    "1F6B9 1F6BA",
    "1FBC5 1FBC9",
    "23FC 2B58",
    "264D 264F",
    "E062 E063",
    "E2C9 E2CA",
)
_FAMILIES = {key: row.split()[0] for row in _ALIKE for key in row.split()}


def family(name: str) -> str:
    """The family of a drawing: one text for all skins, hairs, genders and directions of a person, and for look-alikes.

    Args:
        name: Its code points in hexadecimal, ``-`` between them, as OpenMoji calls it.

    Example:
        >>> family("1F9D1-1F3FD-200D-1F680"), family("1F469-200D-1F680"), family("1F680")
        ('1F9D1-1F680', '1F9D1-1F680', '1F680')
    """
    points = [int(point, 16) for point in name.split("-")]
    kept = [_PEOPLE.get(point, point) for point in points if point not in _VARIATIONS] or points[:1]
    if len(kept) > 1 and set(kept) <= {_PERSON, _CHILD}:
        return _FAMILY
    key = "-".join(f"{point:X}" for point in kept)
    return _KEYCAP + " keys" if key.endswith("-" + _KEYCAP) else _FAMILIES.get(key, key)
