"""Image files: NIfTI (plain and compressed), MetaImage (one file and two) and NRRD."""

from __future__ import annotations

import gzip
import random
import re
import struct
import tempfile
from pathlib import Path

import atheris
import numpy as np
import SimpleITK as sitk

with atheris.instrument_imports(include=["synthct"]):
    from synthct.imaging.geometry import orientation_code
    from synthct.imaging.io import FILE_ENDINGS, read_image

from fuzzing.harness import fuzz, refused

sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
sitk.ProcessObject.SetGlobalWarningDisplay(False)
SIZE = (5, 4, 3)
VOXELS = np.random.default_rng(0).integers(-1000, 1000, SIZE[::-1]).astype(np.int16)
ODD_NUMBERS = (
    "0", "-1", "1", "2", "3", "4", "7", "16", "17", "255", "256", "30000", "65536", "2147483647", "2147483648",
    "-2147483648", "4294967296", "9223372036854775807", "99999999999999999999", "nan", "-nan", "inf", "1e-320", "1e308",
    "1e400", "0.5", "-0", "+1", "1,5", "0x10", "1_000", "",
)  # fmt: skip
ODD_WORDS = (
    b"LOCAL", b"LIST", b"P.raw", b"P%03d.raw 1 3 1", b"raw", b"gzip", b"ascii", b"block", b"none", b"True", b"False",
    b"MET_FLOAT", b"double", b"x" * 5000, b"(", b"=", b":",
)  # fmt: skip
OPTIONAL_KEYS = (
    b"ElementNumberOfChannels = ", b"HeaderSize = ", b"CompressedDataSize = ", b"SequenceID = ", b"ElementSize = ",
    b"Rotation = ", b"Comment = ", b"ElementMin = ", b"Color = ", b"byte skip: ", b"line skip: ", b"spacings: ",
    b"space dimension: ", b"measurement frame: ", b"thicknesses: ", b"axis mins: ", b"centers: ", b"units: ",
    b"old min: ",
)  # fmt: skip
# Offsets and types of the header fields of NIfTI-1.
NIFTI_FIELDS = (
    [("i", 0)] + [("h", 40 + 2 * i) for i in range(8)] + [("h", 68), ("h", 70), ("h", 72), ("h", 74)]
    + [("f", 76 + 4 * i) for i in range(8)] + [("f", 108), ("f", 112), ("f", 116), ("b", 123), ("h", 252), ("h", 254)]
    + [("f", 256 + 4 * i) for i in range(18)] + [("b", 344), ("b", 345), ("i", 348), ("i", 352), ("i", 356)]
)  # fmt: skip
ODD_WHOLE = (0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 127, 128, 256, 348, 352, 512, 540, 1024, 1536, 30000, 32767)
ODD_REAL = (0.0, 1.0, -1.0, 348.0, 352.0, 1e-40, 1e30, 3e38, float("nan"), float("inf"), -float("inf"), 2.0, 0.3)


def seeds() -> dict[str, bytes]:
    """A valid file of each format, after a byte that says which."""
    found = {}
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing((1.0, 2.0, 3.0))
    pixel_types = (sitk.sitkInt16, sitk.sitkUInt8, sitk.sitkFloat32, sitk.sitkFloat64)
    with tempfile.TemporaryDirectory() as folder:
        for number, ending in enumerate(FILE_ENDINGS):
            for compressed in (False, True):
                for pixel_type in pixel_types:
                    path = Path(folder) / f"P{ending}"
                    sitk.WriteImage(sitk.Cast(image, pixel_type), str(path), useCompression=compressed)
                    found[f"{number}_{compressed}_{pixel_type}"] = bytes([number]) + path.read_bytes()
    return found


def test_one(data: bytes, folder: Path) -> None:
    """Read a file: an image of three finite dimensions, or refuse it."""
    if not data:
        return
    ending = FILE_ENDINGS[data[0] % len(FILE_ENDINGS)]
    path = folder / f"P{ending}"
    path.write_bytes(data[1:])
    for beside in ("P.raw", "P.zraw"):
        if not (folder / beside).exists():
            (folder / beside).write_bytes(VOXELS.tobytes())
    image: list[sitk.Image] = []
    if refused(lambda: image.append(read_image(path)), str(path)):
        return
    assert image[0].GetDimension() == 3 and min(image[0].GetSize()) >= 2
    geometry = (*image[0].GetSpacing(), *image[0].GetOrigin(), *image[0].GetDirection())
    assert np.isfinite(geometry).all() and np.isfinite(sitk.GetArrayViewFromImage(image[0])).all()
    assert len(orientation_code(image[0])) == 3


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """An odd value in a field of the header, or bytes changed as libFuzzer does."""
    chance = random.Random(seed)
    if len(data) < 2 or chance.random() < 0.2:
        return atheris.Mutate(data, longest)
    kind, content = data[:1], data[1:]
    ending = FILE_ENDINGS[data[0] % len(FILE_ENDINGS)]
    if ending == ".nii.gz":
        try:
            content = gzip.decompress(content)
        except Exception:
            return atheris.Mutate(data, longest)
        return (kind + gzip.compress(_nifti(content, chance), 1, mtime=0))[:longest]
    changed = _nifti(content, chance) if ending == ".nii" else _text(content, chance)
    return (kind + changed)[:longest]


def _nifti(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content.ljust(360, b"\0"))
    for _ in range(chance.randint(1, 3)):
        kind, offset = chance.choice(NIFTI_FIELDS)
        value = chance.choice(ODD_REAL) if kind == "f" else chance.choice(ODD_WHOLE)
        struct.pack_into(chance.choice("<<<>") + kind, changed, offset, min(value, 127) if kind == "b" else value)
    if chance.random() < 0.1:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def _text(content: bytes, chance: random.Random) -> bytes:
    """A number, a line or a word of the header changed."""
    for _ in range(chance.randint(1, 3)):
        lines = content.split(b"\n")
        at = chance.randrange(min(len(lines), 25))
        what = chance.random()
        if what < 0.6:
            numbers = list(re.finditer(rb"[-+]?\d[\d.e+-]*", lines[at]))
            if numbers:
                there = chance.choice(numbers)
                odd = chance.choice(ODD_NUMBERS).encode()
                lines[at] = lines[at][: there.start()] + odd + lines[at][there.end() :]
        elif what < 0.7:
            del lines[at]
        elif what < 0.8:
            lines.insert(at, lines[chance.randrange(min(len(lines), 25))])
        elif what < 0.9:
            word = chance.choice(ODD_WORDS)
            head, separator, _ = lines[at].partition(b" ")
            lines[at] = head + separator + word
        else:
            key = chance.choice(OPTIONAL_KEYS)
            values = b" ".join(chance.choice(ODD_NUMBERS).encode() for _ in range(chance.randint(1, 4)))
            lines.insert(at, key + values)
        content = b"\n".join(lines)
    return content


if __name__ == "__main__":
    fuzz("images", seeds(), test_one, mutate)
