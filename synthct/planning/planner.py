"""From fingerprint to plan. A planner is a function ``(raw, fingerprint) -> Plan`` in :data:`PLANNERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from synthct import __version__
from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.planning import rules
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import (
    FORMAT_VERSION,
    Configuration,
    NetworkPlan,
    Plan,
    PreprocessingPlan,
    Reason,
    TrainingPlan,
)

LOWRES = "2d_lowres"
CONFIGURATIONS = ("2d", LOWRES)  # that every planner plans


def plan_as_seed(raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """Everything as in Wolterink et al. 2017, whatever the data; only the number of folds yields to fewer pairs."""
    full = seed_configuration(len(raw.channel_names))
    folds = rules.n_folds(fingerprint)
    reasons = {"configurations": Reason("all values are the seed's (Wolterink et al. 2017)", "nothing"),
               "n_folds": folds.reason}  # fmt: skip
    return _plan(raw, "wolterink2017", folds.value, full, reasons)


def plan_by_rules(raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """The seed's values where the data allow them, else what the rules derive from the fingerprint."""
    n_channels = len(raw.channel_names)
    plane = rules.slice_plane(fingerprint)
    spacing = rules.spacing_mm(fingerprint, plane.value)
    size = rules.slice_size(spacing.value[1])
    windows = [rules.mr_window(fingerprint, channel) for channel in range(n_channels)]
    blocks = rules.n_blocks(size.value)
    iterations = rules.iterations_per_epoch(fingerprint, plane.value, spacing.value[0])
    folds = rules.n_folds(fingerprint)
    seed = seed_configuration(n_channels)
    full = Configuration(
        replace(
            seed.preprocessing,
            slice_plane=plane.value,
            spacing_mm=spacing.value,
            slice_size=size.value,
            mr_windows=tuple(window.value for window in windows),
        ),
        replace(seed.network, n_blocks=blocks.value),
        replace(
            seed.training,
            padded_size=_padded(size.value),
            crop_size=size.value,
            iterations_per_epoch=iterations.value,
        ),
    )
    decisions = {
        "n_folds": folds,
        "configurations.2d.preprocessing.slice_plane": plane,
        "configurations.2d.preprocessing.spacing_mm": spacing,
        "configurations.2d.preprocessing.slice_size": size,
        **{f"configurations.2d.preprocessing.mr_windows[{i}]": window for i, window in enumerate(windows)},
        "configurations.2d.network.n_blocks": blocks,
        "configurations.2d.training.iterations_per_epoch": iterations,
    }
    return _plan(raw, "default", folds.value, full, {path: decision.reason for path, decision in decisions.items()})


PLANNERS: dict[str, Callable[[RawDataset, Fingerprint], Plan]] = {
    "default": plan_by_rules,
    "wolterink2017": plan_as_seed,
}


def make_plan(planner: str, raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """Plan a dataset.

    Raises:
        PlanError: there is no such planner, or there is no MR or no CT to learn from.
    """
    if planner not in PLANNERS:
        raise PlanError(f"There is no planner '{planner}'; the planners are {', '.join(PLANNERS)}.")
    for modality, folder, present in (
        ("MR", "imagesTr", any(case.mr for case in fingerprint.cases.values())),
        ("CT", "targetsTr", any(case.ct is not None for case in fingerprint.cases.values())),
    ):
        if not present:
            raise PlanError(f"{raw.folder} has no {modality} to learn from; put some into {folder}.")
    return PLANNERS[planner](raw, fingerprint)


def seed_configuration(n_channels: int) -> Configuration:
    """The seed's configuration (sections 2 to 4)."""
    return Configuration(
        PreprocessingPlan(
            slice_plane="sagittal",
            spacing_mm=rules.SEED_SPACING_MM,
            slice_scale=rules.SEED_SLICE_SCALE,
            slice_size=rules.SEED_SLICE_SIZE,
            interpolation="linear",
            ct_window_hu=rules.SEED_CT_WINDOW_HU,
            mr_windows=(rules.SEED_MR_WINDOW,) * n_channels,
            grey_levels=256,
        ),
        NetworkPlan(mr_channels=n_channels, base_channels=64, n_blocks=9, discriminator_base_channels=64),
        TrainingPlan(
            padded_size=rules.SEED_PADDED_SIZE,
            crop_size=rules.SEED_SLICE_SIZE,
            min_head_fraction=0.01,
            batch_size=1,
            epochs_constant=100,
            epochs_decay=100,
            iterations_per_epoch=None,
            learning_rate=2e-4,
            adam_betas=(0.5, 0.999),
            lambda_cycle=10.0,
            lambda_identity=0.0,
            lambda_l1=100.0,
            pool_size=50,
            precision="auto",
            seed=0,
        ),
    )


def low_resolution(full: Configuration) -> Configuration:
    """Half the resolution along every axis, a quarter of the width, few steps: minutes on a laptop's CPU."""
    size = tuple(4 * max(16, round(pixels / 8)) for pixels in full.preprocessing.slice_size)
    return Configuration(
        replace(
            full.preprocessing,
            spacing_mm=tuple(min(2 * spacing, 20.0) for spacing in full.preprocessing.spacing_mm),  # the plan's limit
            slice_size=size,
        ),
        replace(
            full.network,
            base_channels=full.network.base_channels // 4,
            n_blocks=rules.n_blocks(size).value,
            discriminator_base_channels=full.network.discriminator_base_channels // 4,
        ),
        replace(
            full.training,
            padded_size=_padded(size),
            crop_size=size,
            epochs_constant=5,
            epochs_decay=5,
            iterations_per_epoch=350,
        ),
    )


def _padded(size: tuple[int, ...]) -> tuple[int, int]:
    """The seed's margin for random crops, 286 for 256, in proportion."""
    rows, cols = (round(pixels * rules.SEED_PADDED_SIZE[0] / rules.SEED_SLICE_SIZE[0]) for pixels in size)
    return rows, cols


def _plan(raw: RawDataset, planner: str, folds: int, full: Configuration, reasons: dict[str, Reason]) -> Plan:
    return Plan(
        format_version=FORMAT_VERSION,
        synthct_version=__version__,
        dataset_name=raw.name,
        planner=planner,
        channel_names=raw.channel_names,
        file_ending=raw.file_ending,
        n_folds=folds,
        configurations=dict(zip(CONFIGURATIONS, (full, low_resolution(full)))),
        reasons={
            **reasons,
            f"configurations.{LOWRES}": Reason(
                "Half the resolution along every axis, a quarter of the width, few steps", "2d"
            ),
        },
    )
