"""The figures as they stand in the page: smaller than the files for print, with captions and alternative texts."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

_WIDTH_PX = 1400
_QUALITY = 85
MAX_CHARACTERS = 7_000_000


@dataclass(frozen=True)
class Kind:
    """Figures of one kind. ``caption`` stands once above them; ``alternative`` is what one of them shows."""

    pattern: str
    heading: str
    caption: str
    alternative: str


KINDS = (
    Kind(
        r"figure_patients",
        "Patients by model",
        "How far the models differ, and how far the patients.",
        "Chart of every patient's MAE and PSNR by model; the numbers are in the table of patients",
    ),
    Kind(
        r"figure_tissues",
        "Error by tissue",
        "An MAE over the whole head is mostly soft tissue; dose follows bone and air too.",
        "Chart of MAE and mean error in air, soft tissue and bone by model; the numbers are in the table of patients",
    ),
    Kind(
        r"figure_joint_histogram",
        "HU against HU",
        "A good sCT lies on the line. A band across it is a tissue taken for another, or edges that do not overlap.",
        "Joint histogram of sCT over reference CT in HU by model, with logarithmic counts",
    ),
    Kind(
        r"figure_bland_altman",
        "Agreement by HU",
        "Where the black line leaves zero, the model is biased at that HU.",
        "Bland-Altman plot of sCT minus CT over their mean, with bias and limits of agreement by HU",
    ),
    Kind(
        r"figure5_(?P<patient>.+)",
        "Models beside each other",
        "Best, median and worst patient that all models were scored on: MR, sCTs and reference CT.",
        "MR, the sCT of every model and the reference CT of {patient} in one sagittal slice",
    ),
    Kind(
        r"figure4_(?P<rest>.+)",
        "Error maps",
        "Best, median and worst patient of each model: MR, sCT, reference CT and absolute error.",
        "MR, sCT, reference CT and absolute error in one sagittal slice: {rest}",
    ),
    Kind(
        r"figure6_(?P<rest>.+)",
        "There and back again",
        "MR, sCT, and the MR that the model makes of that sCT: the cycle that unpaired training holds together.",
        "MR, sCT, reconstructed MR and relative error in one slice: {rest}",
    ),
    Kind(
        r"figure_training_(?P<rest>.+)",
        "Training",
        "Losses, MAE of held-out slices and learning rate over the epochs.",
        "Training curves of {rest}",
    ),
)


def figures_section(figures: Sequence[Path]) -> str:
    """All figures by kind, in the order of :data:`KINDS`, as far as they fit; the others are named."""
    parts, left_out, left = [], [], MAX_CHARACTERS
    for kind in KINDS:
        matched = [(path, found) for path in figures if (found := re.fullmatch(kind.pattern, path.stem))]
        shown = []
        for path, found in matched:
            source, width, height = _embedded(path)
            if len(source) > left:
                left_out.append(path.name)
                continue
            left -= len(source)
            words = {
                name: value.replace("_", " ") if name == "rest" else value for name, value in found.groupdict().items()
            }
            alternative = escape(kind.alternative.format(**words))
            shown.append(
                f'<figure><img src="{source}" width="{width}" height="{height}" alt="{alternative}" loading="lazy">'
                f'<figcaption class="quiet">{escape(path.name)}</figcaption></figure>'
            )
        if shown:
            parts.append(f"<h3>{kind.heading}</h3>\n<p>{kind.caption}</p>\n" + "\n".join(shown))
    if left_out:
        parts.append(f"<p>To keep the page small these are left to the folder: {escape(', '.join(left_out))}.</p>")
    return "\n".join(parts)


def _embedded(path: Path) -> tuple[str, int, int]:
    """A data address, and the picture's width and height in pixels."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > _WIDTH_PX:
        height = round(picture.height * _WIDTH_PX / picture.width)
        picture = picture.resize((_WIDTH_PX, height), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    picture.save(packed, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode('ascii')}", *picture.size
