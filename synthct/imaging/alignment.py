"""Whether a CT lies on the MR of the same patient: figures that need no truth, and what they object to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.stats import rankdata

from synthct.imaging.geometry import block_means, mask_points
from synthct.imaging.registration import HeadPair

WORKING_SPACING_MM = 2.0
BONE_HU = (250.0, 2500.0)  # metal lies above
DENSE_SHARE = 0.25  # of the bone: cortical bone, which gives no signal; marrow and diploe are bright
SOFT_HU = (20.0, 80.0)  # brain and muscle, without fat and CSF
LARGEST_ROTATION_DEG = 30.0
MIN_OVERLAP = 0.3
MIN_HEAD_DICE = 0.90
MIN_BONE_DARKER = 0.75


@dataclass(frozen=True)
class Alignment:
    """How a CT lies on an MR under a rigid transform.

    Attributes:
        shift_mm: how far the transform moves the middle of the MR's head.
        rotation_deg: by how much it turns it.
        overlap: share of the MR's head that the CT's field of view holds.
        head_dice: Dice of the two heads where both fields of view are.
        bone_darker_probability: probability that, within the head, a voxel of dense bone in the CT is darker in the
            MR than one of soft tissue (area under the ROC curve; 0.5: no difference). It falls within millimetres.
    """

    shift_mm: float
    rotation_deg: float
    overlap: float
    head_dice: float
    bone_darker_probability: float

    def problems_found(self) -> tuple[str, ...]:
        """What speaks against the alignment, a clause each; empty where nothing does."""
        found = []
        if self.rotation_deg > LARGEST_ROTATION_DEG:
            found.append(f"the CT is turned by {self.rotation_deg:.0f} degrees")
        if self.overlap < MIN_OVERLAP:
            found.append(f"the CT covers only {self.overlap:.0%} of the MR's head")
        if self.head_dice < MIN_HEAD_DICE:
            found.append(f"the heads agree only to a Dice of {self.head_dice:.2f} (at least {MIN_HEAD_DICE:.2f})")
        if self.bone_darker_probability < MIN_BONE_DARKER:
            found.append(
                f"where the CT has bone the MR is darker than in soft tissue with a probability of only "
                f"{self.bone_darker_probability:.2f} (at least {MIN_BONE_DARKER:.2f})"
            )
        return tuple(found)


def alignment_of(pair: HeadPair, mr_to_ct: sitk.Transform | None = None) -> Alignment:
    """Measure how the CT lies on the MR.

    Args:
        pair: the two images and the head in each.
        mr_to_ct: from points of the MR to points of the CT (mm); identity by default.
    """
    mr_to_ct = mr_to_ct or sitk.Transform()
    mr = block_means(pair.mr, WORKING_SPACING_MM)
    mr_head = _array(block_means(pair.mr_mask, WORKING_SPACING_MM)) >= 0.5
    unknown_hu = -1e5
    ct = _sampled(block_means(pair.ct, WORKING_SPACING_MM), mr, mr_to_ct, unknown_hu)
    ct_head = _sampled(block_means(pair.ct_mask, WORKING_SPACING_MM), mr, mr_to_ct, 0.0) >= 0.5
    if pair.within is not None:
        ct_head &= _array(block_means(pair.within, WORKING_SPACING_MM)) >= 0.5
    known = ct > unknown_hu / 2
    both = mr_head & ct_head & known
    bone = both & (ct > BONE_HU[0]) & (ct < BONE_HU[1])
    dense = bone & (ct > np.quantile(ct[bone], 1 - DENSE_SHARE)) if bone.any() else bone
    signal = _array(mr)
    return Alignment(
        shift_mm=_shift_mm(mr_to_ct, pair.mr_mask),
        rotation_deg=_rotation_deg(mr_to_ct),
        overlap=float((mr_head & known).sum() / max(1, mr_head.sum())),
        head_dice=float(2 * both.sum() / max(1, (mr_head & known).sum() + (ct_head & known).sum())),
        bone_darker_probability=_probability_below(signal[dense], signal[both & (ct > SOFT_HU[0]) & (ct < SOFT_HU[1])]),
    )


def largest_motion_mm(transform: sitk.Transform, head_mask: sitk.Image) -> float:
    """How far a rigid transform moves a corner of the box around the head."""
    points = mask_points(block_means(head_mask, 6.0) > 0.5)
    low, high = points.min(axis=0), points.max(axis=0)
    corners = [np.where(pick, high, low) for pick in np.ndindex(2, 2, 2)]
    return max(float(np.linalg.norm(np.subtract(transform.TransformPoint(c.tolist()), c))) for c in corners)


def _sampled(image: sitk.Image, like: sitk.Image, transform: sitk.Transform, outside: float) -> np.ndarray:
    return _array(sitk.Resample(image, like, transform, sitk.sitkLinear, outside))


def _shift_mm(transform: sitk.Transform, mask: sitk.Image) -> float:
    middle = mask_points(block_means(mask, 6.0) > 0.5).mean(axis=0)
    return float(np.linalg.norm(np.subtract(transform.TransformPoint(middle.tolist()), middle)))


def _rotation_deg(transform: sitk.Transform) -> float:
    at_origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    turned = np.array([np.subtract(transform.TransformPoint(axis.tolist()), at_origin) for axis in np.eye(3)])
    return float(np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))))


def _probability_below(values: np.ndarray, others: np.ndarray) -> float:
    """That one of ``some`` is below one of ``others`` (Mann and Whitney 1947, from ranks); 0.5 where there is none."""
    if not values.size or not others.size:
        return 0.5
    ranks = rankdata(np.concatenate([values, others]))[: values.size]
    return float(1 - (ranks.sum() - values.size * (values.size + 1) / 2) / (values.size * others.size))


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)
