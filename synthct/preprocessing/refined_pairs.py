"""Pairs whose CTs are refined locally, which methods that need pairs are trained on; all else takes the rigid pairs.

A stack of its own a pair, in the folder ``refined`` of a cache: a CT is interpolated once, by registration and
refinement together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import SimpleITK as sitk

from synthct.counted import counted
from synthct.dataset.images import CaseImages, HeadMasks, found_heads
from synthct.imaging.geometry import block_means, mask_points
from synthct.imaging.refinement import refine
from synthct.imaging.registration import HeadPair
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.cache import cached_path, refined_folder
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, OUTSIDE, SliceStack

INFO = "refinement"  # in the info of a refined stack
POINTS_EVERY_MM = 6.0  # of the head, where displacements are measured


@dataclass(frozen=True)
class RefinementFacts:
    """What a refinement has changed in a pair.

    Attributes:
        largest_mm, percentile_95_mm: of the displacements in the head.
        registration_floor_hu: MAE of the rigid CT against the refined one where both show the head: by so much an sCT
            that is compared with the rigid CT is wrong at least, if the refined one is right.
    """

    largest_mm: float
    percentile_95_mm: float
    registration_floor_hu: float


def refinement_of(images: CaseImages, masks: HeadMasks) -> sitk.Transform:
    """From points of the MR to points of the CT of a pair; a given mask does not stand for the head."""
    heads = found_heads(images, masks)
    pair = HeadPair(images.mr[0], heads.the_mr, images.the_ct, heads.the_ct)
    return refine(pair, images.mr_scanned, images.ct_scanned)


def refined_stack(
    images: CaseImages,
    plan: PreprocessingPlan,
    masks: HeadMasks,
    refinement: sitk.Transform,
    rigid: SliceStack,
) -> SliceStack:
    """The stack of a pair with the refined CT; its ``info`` holds the :class:`RefinementFacts`.

    Args:
        images: of the pair.
        plan: the preprocessing in force.
        masks: the head in the images.
        refinement: of the pair.
        rigid: the stack without it.
    """
    stack = slices_of_case(images, plan, masks, refinement)
    points = mask_points(block_means(masks.the_mr, POINTS_EVERY_MM) > 0.5)
    lengths = np.array([np.linalg.norm(np.subtract(refinement.TransformPoint(at), at)) for at in points.tolist()])
    shown = HEAD | CT_KNOWN
    both = ((stack.regions & rigid.regions & shown) == shown) & (stack.the_ct != OUTSIDE) & (rigid.the_ct != OUTSIDE)
    difference = np.abs(stack.the_ct[both].astype(np.float32) - rigid.the_ct[both])
    facts = RefinementFacts(
        round(float(lengths.max()), 2),
        round(float(np.percentile(lengths, 95)), 2),
        round(float(difference.mean()) if difference.size else 0.0, 2),
    )
    return replace(stack, info={**stack.info, INFO: asdict(facts)})


def load_facts(cache: Path, patients: Iterable[str]) -> dict[str, RefinementFacts]:
    """Of those patients whose pair was refined, by patient."""
    folder = refined_folder(cache)
    paths = {patient: cached_path(folder, patient) for patient in patients}
    infos = {patient: SliceStack.load_info(path) for patient, path in paths.items() if path.is_file()}
    return {patient: RefinementFacts(**info[INFO]) for patient, info in infos.items() if info and INFO in info}


def refinements_in_words(facts: Mapping[str, RefinementFacts]) -> list[str]:
    """What was refined, and the registration floor; a sentence each, none without a refined pair."""
    if not facts:
        return []
    moved = {patient: of for patient, of in facts.items() if of.largest_mm > 0}
    if not moved:
        return [f"Refinement: nothing has moved in {counted(len(facts), 'pair')} above the noise."]
    farthest = max(moved, key=lambda patient: moved[patient].largest_mm)
    return [
        f"Refinement: in {len(moved)} of {counted(len(facts), 'pair')} something has moved, by up to "
        f"{moved[farthest].largest_mm:.1f} mm ({farthest}); the CTs that paired trainers are trained on follow it.",
        floor_in_words({patient: of.registration_floor_hu for patient, of in facts.items()}),
    ]


def floor_in_words(floor_hu: Mapping[str, float]) -> str:
    """The registration floor of some patients, at least one; a sentence."""
    largest = max(floor_hu, key=lambda patient: floor_hu[patient])
    return (
        f"Registration floor (MAE of the rigid against the refined CT): {fmean(floor_hu.values()):.1f} HU, "
        f"up to {floor_hu[largest]:.1f} ({largest})."
    )
