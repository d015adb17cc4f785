"""Whether a slide is like what a network learned from, in a reader's words."""

from __future__ import annotations

from dataclasses import replace

from tests.cell_scenes import profile_of
from tme.cells.domain import MEASURES, domain_values, outside
from tme.cells.engines._description import read_description
from tme.cells.engines.tmenet import BUNDLED

DOMAIN = {"nucleus": (0.2, 0.9), "detail": (0.5, 1.0), "mpp": (0.2, 0.65)}


def test_a_usual_slide_needs_no_words() -> None:
    profile = replace(profile_of("HE"), levels={"nucleus": 0.5, "detail": 0.7})
    assert outside(DOMAIN, domain_values(profile, 0.25)) == []


def test_every_way_of_being_unlike_is_said_with_its_number() -> None:
    profile = replace(profile_of("HE"), levels={"nucleus": 0.1, "detail": 0.2})
    said = outside(DOMAIN, domain_values(profile, 1.0))
    assert len(said) == 3
    assert any("paler" in text and "0.1" in text for text in said)
    assert any("softer" in text for text in said)
    assert any("coarser" in text for text in said)


def test_what_was_not_measured_is_not_judged() -> None:
    assert outside(DOMAIN, {}) == []
    assert outside({"colour of the label": (0, 1)}, {"colour of the label": 7}) == []


def test_the_weights_that_come_with_tme_know_their_domain() -> None:
    assert set(read_description(BUNDLED).domain) == set(MEASURES)
