"""The one family of errors that a user can mend. The message says what is wrong, in which file, and how to mend it."""

from __future__ import annotations

import errno


class SynthctError(Exception):
    """Base of every error that a user can mend; commands print it as one sentence and exit with status 2."""


class FolderError(SynthctError):
    """A dataset folder is not set or does not exist."""


class DatasetError(SynthctError):
    """A raw dataset does not hold what its layout promises."""


class ImageError(SynthctError):
    """An image file cannot be read, or is not the kind of image that is needed."""


class DiskError(SynthctError):
    """The system refuses to read or write a file, such as for lack of space: no image is at fault."""


class PlanError(SynthctError):
    """A fingerprint, plan or split file is missing, malformed or does not fit the dataset."""


class ModelError(SynthctError):
    """A model folder or a checkpoint is missing, malformed or does not fit."""


class TrainingError(SynthctError):
    """A training cannot start or go on."""


_REMEDIES = {
    errno.ENOSPC: "free space on the disk, and run the command again",
    errno.EDQUOT: "your quota of the disk is used up: free space, and run the command again",
    errno.EFBIG: "free space, or raise the limit on the size of files (ulimit -f), and run the command again",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "choose a folder on another disk, since this one can only be read",
    errno.EEXIST: "it is a file where a folder is needed: remove or rename it, or choose another folder",
    errno.ENOTDIR: "it lies below a file where a folder is needed: remove or rename that, or choose another folder",
    errno.EISDIR: "it is a folder where a file is needed: remove or rename it",
}


def os_error_sentence(fault: OSError) -> str:
    """What the system refused, for which file, and how to mend it."""
    # Of a file that is moved into its place, the place is what the user knows.
    path = fault.filename2 or fault.filename or "A file"
    remedy = _REMEDIES.get(fault.errno or 0)
    return f"{path}: {fault.strerror or fault}{f'; {remedy}' if remedy else ''}."
