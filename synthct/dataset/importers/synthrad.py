"""The layouts of the SynthRAD challenges: ``Task1/brain/1BA001/mr.nii.gz`` (2023), ``Task1/HN/1HNA001/mr.mha`` (2025).

MR, CT in HU and a mask of one patient lie in a folder named by the patient's id: task, body region, centre, three
digits. Only task 1 (MR to CT) and regions with a head are imported.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from synthct.dataset.importers.cases import ImportCase, Listing

LAYOUTS = {"synthrad2023": ("B", "P", ".nii.gz"), "synthrad2025": ("HN", "TH|AB", ".mha")}  # head, not head, ending
IMAGES = ("mr", "ct", "mask")


def list_synthrad(folder: Path, layout: str) -> Listing | None:
    """The head patients of task 1 below a folder of any part of that layout; None where there are no patients of it.

    A patient with only an MR (the challenge's test set) or only a CT is legal.
    """
    head, elsewhere, ending = LAYOUTS[layout]
    case_folder = re.compile(f"([12])({head}|{elsewhere})[A-E]\\d{{3}}")
    cases: list[ImportCase] = []
    passed_over: Counter[str] = Counter()
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        match = case_folder.fullmatch(Path(parent).name)
        paths = {name: Path(parent, name + ending) for name in IMAGES if name + ending in files}
        if match is None or not {"mr", "ct"} & set(paths):
            continue
        folders.clear()
        if match[1] == "1" and match[2] == head:
            case = Path(parent).name
            mr, ct, mask = map(paths.get, IMAGES)
            cases.append(ImportCase(case, mr, ct, mask, source=case, public_id=case))
        else:
            passed_over[f"task {match[1]}, region {match[2]}"] += 1
    if not cases and not passed_over:
        return None
    remarks = tuple(f"{count} patients of {what} are passed over: only MR and CT of heads are imported."
                    for what, count in sorted(passed_over.items()))  # fmt: skip
    cases.sort(key=lambda case: case.patient)
    return Listing(layout, tuple(cases), remarks=remarks, sources={case.patient: case.source for case in cases})
