"""The head in a CT or in an MR: all inside the skin, air of sinuses, mouth and ear canals included."""

from synthct.imaging.head_mask_ct import head_mask_from_ct
from synthct.imaging.head_mask_mr import head_mask_from_mr
from synthct.imaging.mask_plausibility import PLAUSIBLE_VOLUME_L, mask_agreement, mask_flags, volume_litres

__all__ = [
    "PLAUSIBLE_VOLUME_L",
    "head_mask_from_ct",
    "head_mask_from_mr",
    "mask_agreement",
    "mask_flags",
    "volume_litres",
]
