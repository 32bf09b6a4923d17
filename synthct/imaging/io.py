"""Reading and writing scalar 3-D images: NIfTI, MetaImage and NRRD through SimpleITK."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.errors import DiskError, ImageError, os_error_sentence
from synthct.files import temporary_folder_beside, written_whole
from synthct.imaging.image_header import (
    FARTHEST_MM,
    FILE_ENDINGS,
    PLAUSIBLE_SPACING_MM,
    SKEW,
    Declared,
    HeaderError,
)
from synthct.imaging.metaimage import metaimage_header
from synthct.imaging.nifti import ends_early, nifti_flaw, nifti_header
from synthct.imaging.nrrd import nrrd_header

# By ending: what its header promises, and ITK's reader of it, so that no other takes a file with a wrong ending.
_FORMATS: dict[str, tuple[Callable[[Path], Declared], str]] = {
    ".nii.gz": (nifti_header, "NiftiImageIO"),
    ".nii": (nifti_header, "NiftiImageIO"),
    ".mha": (metaimage_header, "MetaImageIO"),
    ".mhd": (metaimage_header, "MetaImageIO"),
    ".nrrd": (nrrd_header, "NrrdImageIO"),
}


def image_name(path: Path) -> str | None:
    """The file name without its image ending, or None where it is not an image file."""
    for ending in FILE_ENDINGS:
        if Path(path).name.endswith(ending):
            return Path(path).name[: -len(ending)]
    return None


def itk_path(path: Path) -> str:
    """A path as ITK takes it, whatever the encoding of file names is here; it would end the process at another.

    Raises:
        ImageError: the path is not UTF-8, such as a name from an old system.
    """
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        raise ImageError(f"{path}: its name, or that of a folder above it, is not UTF-8; rename it.") from None


def read_image(path: Path) -> sitk.Image:
    """Read a scalar 3-D image with at least two voxels an axis, a possible geometry and only finite values.

    Its header is checked before ITK sees it (:mod:`synthct.imaging.image_header`).

    Returns:
        The image with its own pixel type and geometry (mm, LPS). A 4-D file that holds one volume is read as 3-D.

    Raises:
        ImageError: naming the file, what is wrong with it and how to mend it.
    """
    path = Path(path)
    if image_name(path) is None:
        raise ImageError(f"{path} does not end in one of {', '.join(FILE_ENDINGS)}; convert it to one of them.")
    if not path.exists():
        raise ImageError(f"{path} is missing; put the image there.")
    if not path.is_file():
        raise ImageError(f"{path} is not a file; put the image there in its place.")
    read_header, itk_reader = _FORMATS[path.name[len(image_name(path)) :]]
    try:
        name_for_itk = itk_path(path)
        read_header(path).check()
        image = sitk.ReadImage(name_for_itk, imageIO=itk_reader)
    except HeaderError as fault:
        raise ImageError(f"{path} cannot be read as an image: it {fault}.") from None
    except OSError as fault:
        raise ImageError(os_error_sentence(fault)) from None
    except RuntimeError as fault:
        raise ImageError(f"{path} cannot be read as an image; replace the file ({_essence(fault)}).") from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    check_volume(image, str(path))
    if path.name.endswith((".nii", ".nii.gz")) and (flaw := nifti_flaw(path)):
        raise ImageError(f"{path} {flaw}.")
    return image


def check_volume(image: sitk.Image, name: str) -> None:
    """Whether an image is a scalar 3-D volume with at least two voxels an axis, a possible geometry and only
    finite values.

    Args:
        image: any.
        name: what the sentence begins with, such as its path.

    Raises:
        ImageError: what is wrong with it and how to mend it.
    """
    if image.GetDimension() != 3:
        size = " x ".join(map(str, image.GetSize()))
        raise ImageError(f"{name} is {image.GetDimension()}-D ({size}); save one 3-D volume a file.")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(
            f"{name} has {image.GetNumberOfComponentsPerPixel()} values a voxel (RGB or vector); "
            "save scalar grey values."
        )
    if min(image.GetSize()) < 2:
        raise ImageError(f"{name} is only {' x '.join(map(str, image.GetSize()))} voxels; a 3-D volume is needed.")
    if "complex" in image.GetPixelIDTypeAsString():
        raise ImageError(f"{name} holds complex values; save the magnitude image.")
    if problem := _geometry_flaw(image):
        raise ImageError(f"{name} {problem}.")
    values = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ImageError(f"{name} holds {count} voxels that are NaN or infinite; replace them by real values.")


def _geometry_flaw(image: sitk.Image) -> str | None:
    """Why a 3-D image cannot lie where it says, to go on after its name; None where it can."""
    low, high = PLAUSIBLE_SPACING_MM
    if not all(low <= spacing <= high for spacing in image.GetSpacing()):  # NaN as well
        spacing = " x ".join(f"{value:g}" for value in image.GetSpacing())
        return f"has a voxel spacing of {spacing} mm, which no scanner makes; mend its header"
    if not all(abs(place) <= FARTHEST_MM for place in image.GetOrigin()):
        origin = ", ".join(f"{value:g}" for value in image.GetOrigin())
        return f"has its origin at ({origin}) mm, which is nowhere in a scanner; mend its header"
    axes = np.reshape(image.GetDirection(), (3, 3))
    if not np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=SKEW):
        return "has axes that are not perpendicular; resample it to a grid whose axes are"
    return None


def write_image(image: sitk.Image, path: Path) -> None:
    """Write an image, compressed, whole or not at all.

    An ``.mhd`` header and its data file are moved into place one after the other, the header last: without it the data
    are no image.

    Raises:
        DiskError: the folder cannot be written to, or the disk is full; an earlier image is as it was.
    """
    path = Path(path)
    try:
        if path.suffix == ".mhd":
            _write_header_and_data(image, path)
            return
        with written_whole(path) as temporary:
            sitk.WriteImage(image, itk_path(temporary), useCompression=True)
            if path.name.endswith((".nii", ".nii.gz")) and ends_early(temporary, _n_bytes(image)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
    except OSError as fault:
        raise DiskError(os_error_sentence(fault)) from None
    except RuntimeError as fault:
        raise DiskError(
            f"{path} cannot be written ({_essence(fault)}); make sure that its folder may be written to, and free "
            "space on the disk."
        ) from None


def _write_header_and_data(image: sitk.Image, path: Path) -> None:
    """The header names the data file, so both are written under their names, in a folder of their own."""
    with temporary_folder_beside(path) as temporary:
        sitk.WriteImage(image, itk_path(temporary / path.name), useCompression=True)
        path.unlink(missing_ok=True)  # it must not be taken for the header of other data
        for part in sorted(temporary.iterdir(), key=lambda part: part.name == path.name):
            os.replace(part, path.with_name(part.name))


def _n_bytes(image: sitk.Image) -> int:
    """Of all voxels."""
    return sitk.GetArrayViewFromImage(image).nbytes


def _essence(fault: Exception) -> str:
    """The last line of an ITK error, which says what happened; the lines before say where in ITK."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else type(fault).__name__
