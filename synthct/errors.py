"""The one family of errors that a user can mend. The message says what is wrong, in which file, and how to mend it."""


class SynthctError(Exception):
    """Base of every error that a user can mend; commands print it as one sentence and exit with status 2."""


class FolderError(SynthctError):
    """A dataset folder is not set or does not exist."""


class DatasetError(SynthctError):
    """A raw dataset does not hold what its layout promises."""


class ImageError(SynthctError):
    """An image file cannot be read, or is not the kind of image that is needed."""


class PlanError(SynthctError):
    """A fingerprint, plan or split file is missing, malformed or does not fit the dataset."""


class ModelError(SynthctError):
    """A model folder or a checkpoint is missing, malformed or does not fit."""


class TrainingError(SynthctError):
    """A training cannot start or go on."""
