"""Version of each stage's algorithm. Raise a number when a stage's result can change.

Saved artefacts are keyed with these, so results of an older algorithm are made anew and never
mixed with new ones.
"""

STAGES: dict[str, int] = {
    "tissue": 4,
    "stain": 9,
    "section": 2,
    "cells": 13,
    "vessels": 6,
    "regions": 2,
    "measure": 6,
    "overlay": 3,
    "register": 1,
}
