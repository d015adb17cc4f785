"""Broken sheets and what a user reads about them, kept word for word beside this file.

After a wanted change: ``TME_UPDATE_SNAPSHOTS=1 pytest tests/unit/cohort/test_cohort_messages.py``,
then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tme.cohort import load_cohort
from tme.config import CohortSettings
from tme.errors import SheetError

SNAPSHOT = Path(__file__).with_name("broken_sheets.txt")
STAINS = {"he": "HE", "hande": "HE", "cd3": "CD3", "cd8": "CD8", "cd31": "CD31", "ki67": "KI67"}
HEAD = "patient_id,timepoint,stain,slide"
FILES = ("a.svs", "b.svs", "c.svs", "copy of a.svs", "drawn.geojson")

SHEETS: dict[str, str | bytes] = {
    "empty file": "",
    "blank lines only": "\n\n ,, \n",
    "header only": f"{HEAD}\n",
    "no known column": "who,when,what,where\nP01,baseline,CD8,a.svs\n",
    "column missing": "patient_id,stain,slide\nP01,CD8,a.svs\n",
    "column misspelt": "patientid,timepiont,stain,slide,mpp_\nP01,baseline,CD8,a.svs,9\n",
    "column in capitals": "Patient_ID,timepoint,stain,slide\nP01,baseline,CD8,a.svs\n",
    "column without its ending": f"{HEAD},lesion\nP01,baseline,CD8,a.svs,L1\n",
    "column twice": f"{HEAD},stain\nP01,baseline,CD8,a.svs,CD8\n",
    "near column beside the right one": f"{HEAD},slides\nP01,baseline,CD8,a.svs,x\n",
    "cells without a column": f"{HEAD}\nP01,baseline,CD8,a.svs,stray\n",
    "required cells empty": f"{HEAD}\n,,,\nP01,,,\n",
    "timepoint misspelt": f"{HEAD}\nP01,basline,CD8,a.svs\n",
    "timepoint not mapped": f"{HEAD}\nP01,aftr,CD8,a.svs\nP01,post,CD8,b.svs\n",
    "stain not registered": f"{HEAD}\nP01,pre,CD88,a.svs\nP01,pre,PAN-CK,b.svs\n",
    "slide missing": f"{HEAD}\nP01,pre,CD8,gone.svs\nP01,on,CD8,https://x.org/b.svs\nP02,on,CD8,in\\b.svs\n",
    "slide is a folder": f"{HEAD}\nP01,pre,CD8,folder\n",
    "annotations missing": f"{HEAD},annotations\nP01,pre,CD8,a.svs,gone.geojson\n",
    "same file twice": f"{HEAD}\nP01,pre,CD8,a.svs\nP01,on,CD8,./a.svs\nP01,on,CD8,folder/../a.svs\n",
    "same file under two names": f"{HEAD}\nP01,pre,CD8,a.svs\nP01,on,CD8,copy of a.svs\n",
    "same hash twice": f"{HEAD},sha256\nP01,pre,CD8,a.svs,{'ab' * 32}\nP01,on,CD8,b.svs,{'AB' * 32}\n",
    "slide_id twice, case apart": f"{HEAD},slide_id\nP01,pre,CD8,a.svs,s1\nP01,on,CD8,b.svs,S1\n",
    "slide_id unsafe": (
        f"{HEAD},slide_id\nP01,pre,CD8,a.svs,../evil\nP01,on,CD8,b.svs,-x\nP2,on,CD8,c.svs,{'a' * 65}\n"
    ),
    "patient too long": f"{HEAD}\n{'中' * 65},pre,CD8,a.svs\n",
    "patient with controls": f"{HEAD}\nP\x0701,pre,CD8,a.svs\nP\u202e02,pre,CD8,b.svs\n",
    "patient in two cases": f"{HEAD}\nP01a,pre,CD8,a.svs\nP01A,on,CD8,b.svs\n",
    "patient in two scripts": f"{HEAD}\nР01,pre,CD8,a.svs\nP01,on,CD8,b.svs\n",
    "patient in full-width letters": f"{HEAD}\nＰ０１,pre,CD8,a.svs\nP01,on,CD8,b.svs\n",
    "patient with a zero-width blank": f"{HEAD}\nP01\u200b,pre,CD8,a.svs\nP01,on,CD8,b.svs\n",
    "patient composed two ways": f"{HEAD}\nJos\u00e9,pre,CD8,a.svs\nJose\u0301,on,CD8,b.svs\n",
    "lesion in two cases": f"{HEAD},lesion_id\nP01,pre,CD8,a.svs,Liver\nP01,on,CD8,b.svs,liver\n",
    "dates swapped": f"{HEAD},biopsy_date\nP01,pre,CD8,a.svs,2024-03-01\nP01,on,HE,b.svs,2024-02-01\n",
    "dates equal": f"{HEAD},biopsy_date\nP01,pre,CD8,a.svs,2024-03-01\nP01,on,CD8,b.svs,2024-03-01\n",
    "days swapped": f"{HEAD},biopsy_day\nP01,pre,CD8,a.svs,15\nP01,on,CD8,b.svs,-7\n",
    "dates not ISO": (
        f"{HEAD},biopsy_date\nP01,pre,CD8,a.svs,04.03.2024\nP01,on,CD8,b.svs,3/14/2024\nP02,on,CD8,c.svs,04.03.24\n"
    ),
    "no such date": f"{HEAD},biopsy_date\nP01,pre,CD8,a.svs,2024-02-30\nP01,on,CD8,b.svs,0024-02-03\n",
    "date with a time": f"{HEAD},biopsy_date\nP01,pre,CD8,a.svs,2024-02-03T10:00:00+14:00\n",
    "day not whole": f"{HEAD},biopsy_day\nP01,pre,CD8,a.svs,1.5\nP01,on,CD8,b.svs,C2D1\n",
    "date and day disagree": (
        f"{HEAD},biopsy_date,biopsy_day\nP01,pre,CD8,a.svs,2024-03-01,-5\nP01,on,CD8,b.svs,2024-04-01,15\n"
    ),
    "mpp wrong": f"{HEAD},mpp\nP01,pre,CD8,a.svs,0\nP01,on,CD8,b.svs,nan\nP02,on,CD8,c.svs,352.8\n",
    "mpp with unit or comma": f'{HEAD},mpp\nP01,pre,CD8,a.svs,0.25 µm\nP01,on,CD8,b.svs,"0,25"\n',
    "sha256 wrong": f"{HEAD},sha256\nP01,pre,CD8,a.svs,abc\n",
    "specimen_type wrong": f"{HEAD},specimen_type\nP01,pre,CD8,a.svs,cor\n",
    "exclude is no reason": f"{HEAD},exclude\nP01,pre,CD8,a.svs,FALSE\n",
    "quotation mark not closed": f'{HEAD}\nP01,pre,CD8,a.svs\nP02,pre,CD8,"b.svs\nP03,pre,CD8,c.svs\n',
    "Latin-1 text": f"{HEAD}\nP01,pre,CD8,a.svs\nMüller,pre,CD8,b.svs\n".encode("cp1252"),
    "Latin-1 text after a mark": b"\xef\xbb\xbf" + f"{HEAD}\nMüller,pre,CD8,b.svs\n".encode("cp1252"),
    "UTF-16 text": f"{HEAD}\nP01,pre,CD8,a.svs\n".encode("utf-16"),
    "a workbook": b"PK\x03\x04" + b"\0" * 40,
    "null byte": f"{HEAD}\nP01,pre,CD8,a\0.svs\n",
    "many at once": (
        f"{HEAD},mpp,biopsy_date\nP01,bfore,CD8,a.svs,0.5,2024-13-01\nР01,on,CD9,gone.svs,7,1.1.2024\n"
        "P01,on,CD8,a.svs,,\n"
    ),
}


def messages(folder: Path, content: str | bytes) -> str:
    for name in FILES:
        (folder / name).write_bytes(b"a" if "a.svs" in name else name.encode())
    (folder / "folder").mkdir()
    sheet = folder / "cohort.csv"
    sheet.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SheetError) as raised:
        load_cohort(sheet, CohortSettings(), STAINS, lambda path: str(path.stat().st_size))
    assert raised.value.exit_code == 2
    assert all(problem.severity == "error" for problem in raised.value.problems)
    assert all(problem.why and problem.fix for problem in raised.value.problems)
    return str(raised.value).replace(str(folder), "FOLDER")


def snapshots() -> dict[str, str]:
    if not SNAPSHOT.exists():
        return {}
    sections = SNAPSHOT.read_text(encoding="utf-8").split("\n## ")[1:]
    return {name: body.strip("\n") for name, _, body in (section.partition("\n") for section in sections)}


@pytest.mark.parametrize("name", SHEETS)
def test_message_is_the_one_agreed(name: str, tmp_path: Path) -> None:
    said = messages(tmp_path, SHEETS[name])
    if os.environ.get("TME_UPDATE_SNAPSHOTS"):
        kept = {**snapshots(), name: said}
        text = "".join(f"\n## {each}\n{kept[each]}\n" for each in SHEETS if each in kept)
        SNAPSHOT.write_text("What tme says about each broken sheet.\n" + text, encoding="utf-8")
    assert said == snapshots()[name]


def test_every_snapshot_has_its_sheet() -> None:
    assert list(snapshots()) == list(SHEETS)
