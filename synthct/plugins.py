"""What other packages can add by name: trainers, metrics, configurations, loggers; an entry-point group for each.

Ours are listed here by the place of their code, which is imported only when the name is asked for: so every stage can
ask for a trainer without importing the stage that trains.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from synthct.errors import DatasetError, PlanError, SynthctError, TrainingError


@dataclass(frozen=True)
class PluginRegistry:
    """Objects by name: ours before those of other packages.

    Attributes:
        kind: what they are, for messages.
        group: the entry-point group in which other packages name theirs.
        ours: name -> ``module:object``.
        base: ``module:class`` whose subclasses they must be; None where any callable will do.
        error: raised where a name cannot be loaded.
        instances: they are objects of ``base`` and not subclasses; an entry point may also name a function that gives
            one.
    """

    kind: str
    group: str
    ours: Mapping[str, str]
    base: str | None
    error: type[SynthctError]
    instances: bool = False

    def names(self) -> list[str]:
        """All names that can be loaded, ours first."""
        return [*self.ours, *sorted({point.name for point in self._points()} - set(self.ours))]

    def load(self, name: str) -> Any:
        """The object of that name.

        Raises:
            SynthctError: (of the registry's ``error`` class) naming those that there are, or the package whose object
                cannot be used.
        """
        if name in self.ours:
            return pkgutil.resolve_name(self.ours[name])
        point = next((point for point in self._points() if point.name == name), None)
        if point is None:
            raise self.error(f"There is no {self.kind} '{name}'; there are {', '.join(self.names())}.")
        try:
            loaded = point.load()
            if self.instances and callable(loaded):
                loaded = loaded()
        except Exception as fault:
            raise self.error(f"The {self.kind} '{name}' ({point.value}) cannot be imported: {fault}.") from fault
        if not self._fits(loaded):
            wanted = (self.base or "callable").replace(":", ".")
            raise self.error(f"The {self.kind} '{name}' ({point.value}) is not a {wanted}.")
        return loaded

    def package_of(self, name: str) -> str:
        """The package that brings a name, with its version, such as ``my-method 0.1``; empty where it is not known."""
        from synthct import __version__

        if name in self.ours:
            return f"synthct {__version__}"
        point = next((point for point in self._points() if point.name == name), None)
        return f"{point.dist.name} {point.dist.version}" if point is not None and point.dist is not None else ""

    def _points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.group))

    def _fits(self, loaded: Any) -> bool:
        if self.base is None:
            return callable(loaded)
        base = pkgutil.resolve_name(self.base)
        return isinstance(loaded, base) if self.instances else isinstance(loaded, type) and issubclass(loaded, base)


TRAINERS = PluginRegistry(
    kind="trainer",
    group="synthct.trainers",
    ours={
        "cyclegan": "synthct.training.cyclegan:CycleGAN",
        "pix2pix": "synthct.training.pix2pix:Pix2Pix",
        "unet": "synthct.training.unet:UNetRegression",
        "unet_unpaired": "synthct.training.unet_unpaired:UNetUnpaired",
        "cyclegan_nce": "synthct.training.cyclegan_nce:CycleGANNce",
        "han2017": "synthct.training.han2017:Han2017",
        "nie2017": "synthct.training.nie2017:Nie2017",
        "dualgan": "synthct.training.dualgan:DualGAN",
        "unet3d": "synthct.training.unet3d:UNet3dRegression",
    },
    base="synthct.training.trainer:Trainer",
    error=TrainingError,
)

TRAINING_LOGGERS = PluginRegistry(
    kind="training logger",
    group="synthct.training_loggers",
    ours={"tensorboard": "synthct.training.tensorboard_log:TensorBoardLog"},
    base="synthct.training.logger:TrainingLogger",
    error=TrainingError,
)

# A configuration is a function from the full-size configuration, ``2d``, to another one.
CONFIGURATIONS = PluginRegistry(
    kind="configuration",
    group="synthct.configurations",
    ours={
        "2d_lowres": "synthct.planning.configurations:low_resolution",
        "2.5d": "synthct.planning.configurations:with_neighbours",
        "2d_axial": "synthct.planning.configurations:axial",
        "2d_coronal": "synthct.planning.configurations:coronal",
        "2.5d_axial": "synthct.planning.configurations:neighbours_axial",
        "2.5d_coronal": "synthct.planning.configurations:neighbours_coronal",
        "2.5d_lowres": "synthct.planning.configurations:low_resolution_neighbours",
        "2.5d_lowres_axial": "synthct.planning.configurations:low_resolution_neighbours_axial",
        "2.5d_lowres_coronal": "synthct.planning.configurations:low_resolution_neighbours_coronal",
        "3d": "synthct.planning.configurations:three_dimensional",
    },
    base=None,
    error=PlanError,
)

# Ours are listed in synthct.evaluation.metrics, in the order of the tables' columns.
METRICS = PluginRegistry(
    kind="metric",
    group="synthct.metrics",
    ours={},
    base="synthct.evaluation.metrics.metric:Metric",
    error=DatasetError,
    instances=True,
)
