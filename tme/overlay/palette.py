"""The colours of everything tme draws, in one place.

They are the eight colours of Okabe and Ito ("Color Universal Design", 2008), which stay apart under
the common kinds of colour blindness, and the cividis map (Nuñez et al., PLoS ONE 2018) for densities.
"""

from __future__ import annotations

ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
BLUISH_GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
REDDISH_PURPLE = "#CC79A7"
BLACK = "#000000"

CLASS_COLOURS = {
    "lymphocyte": YELLOW,
    "plasma": ORANGE,
    "other": SKY_BLUE,
    "positive": YELLOW,
    "negative": SKY_BLUE,
    "vessel": BLUISH_GREEN,
}
CLASS_TITLES = {
    "lymphocyte": "Lymphocyte",
    "plasma": "Plasma cell",
    "other": "Other",
    "positive": "Positive",
    "negative": "Negative",
    "vessel": "Vessel",
}
ARTEFACT_COLOURS = {
    "pen": BLUE,
    "fold": VERMILLION,
    "blur": REDDISH_PURPLE,
    "bubble": SKY_BLUE,
    "edge": ORANGE,
    "unreadable": BLACK,
}
REGION_COLOURS = {
    "evaluable": BLUISH_GREEN,
    "tumour": VERMILLION,
    "stroma": BLUE,
    "peritumour": ORANGE,
    "necrosis": BLACK,
    "exclude": BLACK,
}
UNKNOWN_COLOUR = REDDISH_PURPLE

DENSITY_COLOURS = (
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
)


def class_colour(name: str) -> str:
    """Colour of a cell or vessel class, ``#rrggbb``; one fixed colour for classes tme does not know."""
    return CLASS_COLOURS.get(name, UNKNOWN_COLOUR)


def class_title(name: str) -> str:
    """The class as people read it; an unknown class is shown as it is."""
    return CLASS_TITLES.get(name, name)


def artefact_colour(name: str) -> str:
    """Colour of a kind of artefact, ``#rrggbb``."""
    return ARTEFACT_COLOURS.get(name, UNKNOWN_COLOUR)


def region_colour(name: str) -> str:
    """Colour of a compartment or annotated region, ``#rrggbb``."""
    return REGION_COLOURS.get(name.casefold(), UNKNOWN_COLOUR)


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers, 0-255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def density_ramp(steps: int) -> list[tuple[int, int, int]]:
    """``steps`` colours from low to high density, 0-255 each, between `DENSITY_COLOURS` in straight lines."""
    stops = [rgb(colour) for colour in DENSITY_COLOURS]
    ramp = []
    for step in range(steps):
        place = step / max(1, steps - 1) * (len(stops) - 1)
        low = min(int(place), len(stops) - 2)
        pairs = zip(stops[low], stops[low + 1], strict=True)
        red, green, blue = (round(a + (b - a) * (place - low)) for a, b in pairs)
        ramp.append((red, green, blue))
    return ramp
