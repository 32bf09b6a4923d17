"""An MR against the training patients': geometry, head, and intensities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from synthct.imaging.coding import MrWindow
from synthct.imaging.head_mask import PLAUSIBLE_VOLUME_L
from synthct.planning.fingerprint import Fingerprint, VolumeFacts
from synthct.qa.acceptance_range import Limits, Side, limits_of
from synthct.qa.check import Check
from synthct.qa.mr_facts import ChannelFacts, MrFacts

AXES = ("left_right", "front_back", "foot_head")
TRAINING = "training patients"
MEASURED = "patients of the training"

# The least s of each range (see limits): shares, or absolute where the value is not a ratio.
FLOOR_SPACING = 0.05
FLOOR_FIELD_OF_VIEW = 0.05
FLOOR_VOLUME = 0.05
FLOOR_CRANIUM = 0.02
FLOOR_INTENSITY = 0.05
FLOOR_NOISE = 0.15
FLOOR_DISTANCE = 0.2  # of the median
FLOOR_OBLIQUE_DEG = 3.0


def fingerprint_checks(mr: MrFacts, windows: Sequence[MrWindow], fingerprint: Fingerprint) -> list[Check]:
    """What ``dataset_fingerprint.json`` says of all training patients: geometry, volume, coarse intensities."""
    known = [case.mr for case in fingerprint.cases.values() if case.mr]
    if not known:
        return []
    first = [channels[0] for channels in known]
    spacings = np.array([channel.spacing_mm for channel in first])  # (patients, axes)
    fields = np.array([channel.field_of_view_mm for channel in first])
    checks = []
    for axis, name in enumerate(AXES):
        words = name.replace("_", " to ")
        checks += [
            Check(
                f"spacing_{name}_mm",
                f"The voxel spacing from {words}",
                mr.spacing_mm[axis],
                "mm",
                limits_of(spacings[:, axis].tolist(), floor=FLOOR_SPACING, proportional=True),
                TRAINING,
                "Check the voxel size in the file, or use an MR of the resolution that the model was trained on.",
            ),
            Check(
                f"field_of_view_{name}_mm",
                f"The field of view from {words}",
                mr.field_of_view_mm[axis],
                "mm",
                limits_of(fields[:, axis].tolist(), floor=FLOOR_FIELD_OF_VIEW, proportional=True, side="low"),
                TRAINING,
                "Some of the head may lie outside.",
            ),
        ]
    checks += [
        Check(
            "oblique_deg",
            "The tilt of the image's axes against the body",
            mr.oblique_deg,
            "degrees",
            limits_of([channel.oblique_deg for channel in first], floor=FLOOR_OBLIQUE_DEG, side="high"),
            TRAINING,
            "Check the orientation in the file.",
        ),
        Check(
            "head_volume_l",
            "The volume of the head found in the MR",
            mr.head_volume_l,
            "l",
            limits_of([channel.head_volume_l for channel in first], floor=FLOOR_VOLUME, proportional=True),
            TRAINING,
            "Check the voxel size, and whether the head is complete and its mask right.",
        ),
    ]
    for number, (channel, window) in enumerate(zip(mr.channels, windows)):
        of_channel = [channels[number] for channels in known if number < len(channels)]
        checks += _intensity_checks(number, len(mr.channels), channel, window, of_channel)
    return checks


def _intensity_checks(
    number: int, n_channels: int, channel: ChannelFacts, window: MrWindow, known: Sequence[VolumeFacts]
) -> list[Check]:
    suffix, of_channel = (f"_{number}", f" of channel {number}") if n_channels > 1 else ("", "")
    checks = []
    if window.kind == "fixed":
        checks.append(
            Check(
                f"brightest{suffix}",
                f"The intensity that 99.5 % of the head{of_channel} stay below",
                channel.brightest,
                "",
                limits_of(
                    [volume.head_percentiles["99.5"] for volume in known], floor=FLOOR_INTENSITY, proportional=True
                ),
                TRAINING,
                "The model sees a fixed window of scanner units: use an MR of the same scale, or a model with a "
                "percentile window.",
            )
        )
    for key, index, word in (("5", 2, "dark"), ("95", 20, "bright")):
        ratios = [volume.head_percentiles[key] / max(volume.head_percentiles["50"], 1e-6) for volume in known]
        checks.append(
            Check(
                f"{word}_ratio{suffix}",
                f"The {key}th percentile of the head's intensities over their median{of_channel}",
                channel.quantiles[index],
                "",
                limits_of(ratios, floor=FLOOR_INTENSITY),
                TRAINING,
                "The MR may have another contrast than the training's.",
            )
        )
    return checks


def absolute_checks(mr: MrFacts, windows: Sequence[MrWindow]) -> list[Check]:
    """What needs no other patients: a head's volume, and a fixed window that is missed by a factor of two."""
    min_l, max_l = PLAUSIBLE_VOLUME_L
    checks = [
        Check(
            "plausible_volume_l",
            "The volume of the head found in the MR",
            mr.head_volume_l,
            "l",
            Limits(min_l, max_l, min_l, max_l, 0),
            "heads",
            "Check the image and its voxel spacing, or give a mask of the head.",
        )
    ]
    for number, (channel, window) in enumerate(zip(mr.channels, windows)):
        if window.kind == "fixed":
            low, high = window.high / 2, window.high * 2
            checks.append(
                Check(
                    f"fills_window{f'_{number}' if len(windows) > 1 else ''}",
                    "The intensity that 99.5 % of the head stay below",
                    channel.brightest,
                    "",
                    Limits(low, high, low, high, 0),
                    "MRs",
                    f"The model was trained on MRs up to about {window.high:g}: use an MR of the same scale, or a "
                    "model with a percentile window.",
                )
            )
    return checks


def reference_checks(mr: MrFacts, known: Sequence[MrFacts]) -> list[Check]:
    """Shape and contrast of the head against those of patients whose MRs were measured in the same way."""
    checks = [
        Check(
            f"cranium_{name}_mm",
            f"The head's size from {name.replace('_', ' to ')} above the brows",
            mr.cranium_size_mm[axis],
            "mm",
            limits_of([facts.cranium_size_mm[axis] for facts in known], floor=FLOOR_CRANIUM, proportional=True),
            MEASURED,
            "Check the voxel size, whether the head is complete, and its mask.",
        )
        for axis, name in enumerate(AXES[:2])
    ]
    for number, channel in enumerate(mr.channels):
        others = [facts.channels[number] for facts in known if number < len(facts.channels)]
        if others:
            checks += _channel_checks(number, len(mr.channels), channel, others)
    return checks


def _channel_checks(number: int, n_channels: int, channel: ChannelFacts, others: Sequence[ChannelFacts]) -> list[Check]:
    suffix, of_channel = (f"_{number}", f" in channel {number}") if n_channels > 1 else ("", "")

    def check(
        name: str, what: str, hint: str, *, floor: float, proportional: bool = False, side: Side = "both"
    ) -> Check:
        values = [getattr(channel, name) for channel in others]
        value = getattr(channel, name)
        limits = limits_of(values, floor=floor, proportional=proportional, side=side)
        return Check(f"{name}{suffix}", what + of_channel, value, "", limits, MEASURED, hint)

    contrast = "The MR seems to have another contrast than the training's, or is not an MR."
    checks = [
        check(
            "brain_dark",
            "The 5th percentile of the brain's intensities over their median",
            contrast,
            floor=FLOOR_INTENSITY,
        ),
        check(
            "brain_bright",
            "The 95th percentile of the brain's intensities over their median",
            contrast,
            floor=FLOOR_INTENSITY,
        ),
        check(
            "noise",
            "The noise in the brain over its intensity",
            "Noise or motion may spoil the sCT; repeat the MR if you can.",
            floor=FLOOR_NOISE,
            proportional=True,
            side="high",
        ),
        check(
            "background",
            "The 95th percentile of the intensities around the head over the head's median",
            "Look for ghosts of motion or flow, noise, or padding that is not black.",
            floor=FLOOR_NOISE,
            proportional=True,
            side="high",
        ),
        check(
            "shading",
            "The ratio of the brightest to the darkest eighth of the brain",
            "The coil's bias field is strong; correct it (N4) and predict again.",
            floor=FLOOR_INTENSITY,
            proportional=True,
            side="high",
        ),
    ]
    if len(others) > 1:
        checks += [
            _distance_check(
                f"histogram_distance{suffix}",
                f"The distance of the head's intensity histogram from the average one{of_channel} "
                "(Wasserstein, in units of the head's median)",
                channel.quantiles,
                [channel.quantiles for channel in others],
                lambda a, b: np.abs(a - b).mean(),
                contrast,
            ),
            _distance_check(
                f"depth_profile_distance{suffix}",
                f"The difference of the intensities of scalp, skull and brain from the average ones{of_channel} "
                "(root mean square, in units of the head's median)",
                channel.depth_profile,
                [channel.depth_profile for channel in others],
                lambda a, b: np.sqrt(((a - b) ** 2).mean()),
                contrast,
            ),
        ]
    return checks


def _distance_check(
    name: str,
    what: str,
    vector: Sequence[float],
    others: Sequence[Sequence[float]],
    distance: Callable[[np.ndarray, np.ndarray], float],
    hint: str,
) -> Check:
    """A vector's distance from the others' mean, compared with the distance of each of them from the rest's mean."""
    value, distances = distances_from_mean(vector, others, distance)
    limits = limits_of(distances, floor=FLOOR_DISTANCE * float(np.median(distances)), side="high")
    return Check(name, what, value, "", limits, MEASURED, hint)


def distances_from_mean(
    vector: Sequence[float],
    others: Sequence[Sequence[float]],
    distance: Callable[[np.ndarray, np.ndarray], float],
) -> tuple[float, list[float]]:
    """The distance of a vector from the mean of at least two others, and of each of these from the mean of the rest."""
    table = np.asarray(others, float)
    total = table.sum(axis=0)
    distances = [float(distance(row, (total - row) / (len(table) - 1))) for row in table]
    return float(distance(np.asarray(vector, float), total / len(table))), distances
