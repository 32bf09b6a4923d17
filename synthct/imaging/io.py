"""Reading and writing scalar 3-D images: NIfTI, MetaImage and NRRD through SimpleITK."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.errors import DiskError, ImageError, os_error_sentence
from synthct.files import temporary_folder_beside, written_whole
from synthct.imaging.image_header import (
    FILE_ENDINGS,
    MAX_MM,
    PLAUSIBLE_SPACING_MM,
    SKEW,
    Declared,
    HeaderError,
)
from synthct.imaging.metaimage import metaimage_header
from synthct.imaging.nifti import copy_place, ends_early, read_nifti
from synthct.imaging.nifti_header import nifti_header
from synthct.imaging.nrrd import nrrd_header
from synthct.imaging.perpendicular import LARGEST_ERROR_MM, skew_of, with_perpendicular_axes

NIFTI = (".nii", ".nii.gz")
# By ending: what its header promises, and ITK's reader of it, so that no other takes a file with a wrong ending; None
# where the voxels are not read by ITK.
_FORMATS: dict[str, tuple[Callable[[Path], Declared], str | None]] = {
    ".nii.gz": (nifti_header, None),
    ".nii": (nifti_header, None),
    ".mha": (metaimage_header, "MetaImageIO"),
    ".mhd": (metaimage_header, "MetaImageIO"),
    ".nrrd": (nrrd_header, "NrrdImageIO"),
}


def image_name(path: Path) -> str | None:
    """The file name without its image ending, or None where it is not an image file."""
    ending = image_ending(path)
    return None if ending is None else Path(path).name.removesuffix(ending)


def image_ending(path: Path) -> str | None:
    """The ending that says the format, such as ``.nii.gz``, or None where it is not an image file."""
    return next((ending for ending in FILE_ENDINGS if Path(path).name.endswith(ending)), None)


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
    """Read a scalar 3-D image of a known orientation, with enough voxels an axis, a possible geometry and only finite
    values.

    Its header is checked before ITK sees it (:mod:`synthct.imaging.image_header`).

    Returns:
        The image with its own pixel type and geometry (mm, LPS). A 4-D file that holds one volume is read as 3-D. Axes
        that are skewed by no more than rounding of a header makes (``SKEW``, a cosine) are made perpendicular around
        the middle of the volume, which moves no corner by more than 1 mm.

    Raises:
        ImageError: naming the file, what is wrong with it and how to fix it.
    """
    path = Path(path)
    ending = image_ending(path)
    if ending is None:
        raise ImageError(f"{path} does not end in one of {', '.join(FILE_ENDINGS)}; convert it to one of them.")
    if not path.exists():
        raise ImageError(f"{path} is missing; put the image there.")
    if not path.is_file():
        raise ImageError(f"{path} is not a file; put the image there in its place.")
    read_header, itk_reader = _FORMATS[ending]
    try:
        name_for_itk = itk_path(path)
        read_header(path).check()
        image = sitk.ReadImage(name_for_itk, imageIO=itk_reader) if itk_reader else read_nifti(path)
    except HeaderError as fault:
        raise ImageError(f"{path} cannot be read as an image: it {fault}.") from None
    except OSError as fault:
        raise ImageError(os_error_sentence(fault)) from None
    except RuntimeError as fault:
        raise ImageError(f"{path} cannot be read as an image; replace the file ({_essence(fault)}).") from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    check_volume(image, str(path))
    image, moved_mm = with_perpendicular_axes(image)
    if moved_mm > LARGEST_ERROR_MM:
        raise ImageError(
            f"{path} has axes that are not perpendicular, which would shift a corner by {moved_mm:.2g} mm; resample it "
            "to a grid whose axes are."
        )
    return image


def check_volume(image: sitk.Image, name: str) -> None:
    """Whether an image is a scalar 3-D volume with at least two voxels an axis, a possible geometry and only
    finite values.

    Args:
        image: any.
        name: what the sentence begins with, such as its path.

    Raises:
        ImageError: what is wrong with it and how to fix it.
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
        raise ImageError(
            f"{name} is only {' x '.join(map(str, image.GetSize()))} voxels; a 3-D volume is needed: "
            "save all slices in one file."
        )
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
        return f"has a voxel spacing of {spacing} mm, which no scanner makes; correct its header"
    if not all(abs(place) <= MAX_MM for place in image.GetOrigin()):
        origin = ", ".join(f"{value:g}" for value in image.GetOrigin())
        return f"has its origin at ({origin}) mm, which is nowhere in a scanner; correct its header"
    if not skew_of(image) <= SKEW:
        return "has axes that are not perpendicular; resample it to a grid whose axes are"
    return None


def write_image(image: sitk.Image, path: Path, like: Path | None = None) -> None:
    """Write an image, compressed, atomically.

    An ``.mhd`` header and its data file are moved into place one after the other, the header last: without it the data
    are not an image.

    Args:
        image: any.
        path: of the file; its ending says the format.
        like: an image file on the grid of ``image``. Where its format is the same, the new file says where it lies with
            the same numbers: the codes and matrices of a NIfTI file, and axes that are slightly skewed. So every
            program shows the two at one place.

    Raises:
        DiskError: the folder cannot be written to, or the disk is full; an earlier image is as it was.
        ImageError: ``like`` cannot be read.
    """
    path = Path(path)
    try:
        if like is not None and path.name.endswith(NIFTI) == like.name.endswith(NIFTI):  # one format
            if path.name.endswith(NIFTI):
                _write_nifti_like(image, path, like)
                return
            image = _lying_like(image, like)
        if path.suffix == ".mhd":
            _write_header_and_data(image, path)
            return
        with written_whole(path) as temporary:
            sitk.WriteImage(image, itk_path(temporary), useCompression=True)
            if path.name.endswith(NIFTI) and ends_early(temporary, _n_bytes(image)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
    except HeaderError as fault:
        raise ImageError(f"{like} cannot be read as an image: it {fault}.") from None
    except OSError as fault:
        raise DiskError(os_error_sentence(fault)) from None
    except RuntimeError as fault:
        raise DiskError(
            f"{path} cannot be written ({_essence(fault)}); make sure that its folder may be written to, and free "
            "space on the disk."
        ) from None


def _write_nifti_like(image: sitk.Image, path: Path, like: Path) -> None:
    """Uncompressed first, since a header within a compressed file cannot be changed."""
    with temporary_folder_beside(path) as folder, written_whole(path) as temporary:
        plain = folder / "plain.nii"
        sitk.WriteImage(image, itk_path(plain))
        if ends_early(plain, _n_bytes(image)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        copy_place(like, plain)
        if not path.name.endswith(".gz"):
            os.replace(plain, temporary)
            return
        with open(plain, "rb") as whole, open(temporary, "wb") as raw:
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as compressed:
                shutil.copyfileobj(whole, compressed, 2**20)


def _lying_like(image: sitk.Image, like: Path) -> sitk.Image:
    """The image with origin and directions as the MetaImage or NRRD file ``like`` has them."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_path(like))
    reader.ReadImageInformation()
    if reader.GetDimension() != 3 or reader.GetSize() != image.GetSize():
        return image
    placed = sitk.Image(image)
    placed.SetOrigin(reader.GetOrigin())
    placed.SetDirection(reader.GetDirection())
    return placed


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
