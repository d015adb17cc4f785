"""Cells or vessels as the three parts of an annotated matrix: what each object is, measured numbers, units.

The convention of scverse: one row an object, ``obs`` its names and calls, ``X`` its measurements, ``var``
what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tme.dictionary.objects import CELL_COLUMNS, VESSEL_COLUMNS
from tme.export.published import SLIDE_COLUMNS, PublishedSlide
from tme.overlay.palette import CLASS_TITLES
from tme.units import um_to_px

ID_COLUMN = {"cells": "cell_id", "vessels": "vessel_id"}
MEANINGS = {"cells": CELL_COLUMNS, "vessels": VESSEL_COLUMNS}
NOT_MEASURED = {"class_prob", "object_prob"}
# Types that have a place for "missing"; NumPy's own have none.
NULLABLE = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype()}


@dataclass(frozen=True, eq=False)
class Observations:
    """Objects of one slide.

    Attributes
    ----------
    obs : pandas.DataFrame
        N rows, index ``<slide_id>-<number>``; the slide's keys and the table's columns but for those in
        ``x`` and the outline. Text is categorical; what is missing is missing.
    x : (N, K) float32
        Measurements; NaN is missing.
    var : pandas.DataFrame
        K rows, index the column's name; ``unit`` and ``definition``.
    pixels, um : (N, 2) float64
        Centroids x, y in level-0 pixels and in µm, from the top-left corner of the slide.
    """

    obs: pd.DataFrame
    x: NDArray[np.float32]
    var: pd.DataFrame
    pixels: NDArray[np.float64]
    um: NDArray[np.float64]


def observations(slide: PublishedSlide, kind: str) -> Observations:
    """The slide's "cells" or "vessels".

    A measurement that no object of the slide has (DAB on H&E) has no column in ``x``.
    """
    table = slide.table(kind).drop(["geometry"])
    measured = [field.name for field in table.schema if _is_measurement(field)]
    present = [name for name in measured if table.column(name).null_count < table.num_rows]
    x = np.column_stack([_numbers(table, name) for name in present] or [np.empty((table.num_rows, 0))])
    um = np.column_stack([_numbers(table, "x_um"), _numbers(table, "y_um")])
    return Observations(
        _obs(table.drop(measured), slide, ID_COLUMN[kind]),
        x.astype(np.float32),
        _var(present, kind),
        um * um_to_px(1.0, slide.mpp),
        um,
    )


def _is_measurement(field: pa.Field) -> bool:
    return pa.types.is_float32(field.type) and field.name not in NOT_MEASURED


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy())


def _obs(table: pa.Table, slide: PublishedSlide, id_column: str) -> pd.DataFrame:
    obs = table.to_pandas(types_mapper=NULLABLE.get)
    for field in table.schema:
        if pa.types.is_string(field.type):
            obs[field.name] = _categorical(obs[field.name])
    for place, name in enumerate(SLIDE_COLUMNS):
        text = slide.keys.get(name)
        found = pd.Series([text] * len(obs), index=obs.index, dtype=object)
        obs.insert(place, name, pd.Categorical(found, categories=[] if text is None else [text]))
    obs.index = pd.Index([f"{slide.slide_id}-{number}" for number in obs[id_column]], dtype=object)
    return obs


def _categorical(values: pd.Series) -> pd.Categorical:
    """Classes in the order of the legend, other names after them; only those that occur."""
    present = set(values.dropna())
    order = [name for name in CLASS_TITLES if name in present]
    return pd.Categorical(values, categories=order + sorted(present - set(order)))


def _var(names: list[str], kind: str) -> pd.DataFrame:
    meaning = {column.name: column for column in MEANINGS[kind]}
    return pd.DataFrame(
        {
            "unit": [meaning[name].unit for name in names],
            "definition": [meaning[name].definition for name in names],
        },
        index=pd.Index(names, dtype=object),
        dtype=object,
    )
