"""A model folder -> one ONNX file: from a network's MR input to HU, for programs that run neither Python nor torch.

The file is compared with torch before it is put in its place. Torch's exporter by tracing is used, because the other
one (``dynamo=True``) needs a further package and fixes the size of the slices where a network pads them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from synthct import __version__, locks
from synthct.errors import ModelError
from synthct.files import remove_leftovers, written_whole
from synthct.imaging.coding import Coding
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import Model, predicting_networks, read_model
from synthct.json_dataclasses import to_plain
from synthct.model_folder import CHECKPOINT_FINAL
from synthct.planning.plan import voxel_mm
from synthct.training.trainer import Trainer

FORMAT_VERSION = 1
OPSET = 17
INPUT, OUTPUT = "mr", "sct_hu"
MAX_DIFFERENCE_HU = 0.1  # from torch, in any pixel of the slices that are compared
_OTHER_SIZE = (12, 20)  # pixels that the second size is larger by: no multiples of what networks halve


@dataclass(frozen=True)
class OnnxFile:
    """A file that was written.

    Attributes:
        difference_hu: the largest difference from torch in the slices that were compared.
    """

    path: Path
    folds: int
    difference_hu: float
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class LinearHu:
    """``hu = scale * output + offset``, then between ``low`` and ``high`` where they are not None."""

    scale: float
    offset: float
    low: float | None
    high: float | None

    @staticmethod
    def of(coding: Coding) -> LinearHu | None:
        """How a coding makes HU of a network's output; None where it is not linear to within 0.01 HU."""
        below, above = (float(hu) for hu in coding.network_to_hu(np.array([-0.5, 0.5], np.float32)))
        scale, offset = above - below, (above + below) / 2
        if not np.isfinite([scale, offset]).all() or scale == 0:
            return None
        low, high = coding.hu_range
        wanted = np.linspace(low - 1000, high + 1000, 1001)
        given = coding.network_to_hu(((wanted - offset) / scale).astype(np.float32))
        for limits in ((None, None), (low, high)):
            expected = wanted if limits[0] is None else np.clip(wanted, *limits)
            if np.abs(given - expected).max() <= 0.01:
                return LinearHu(scale, offset, *limits)
        return None


class HuNetwork(nn.Module):
    """The networks of all folds: (batch, channels, rows, cols) network input -> (batch, 1, rows, cols) HU, their mean.

    Slices are padded and cut again as in a prediction.
    """

    def __init__(self, method: type[Trainer], folds: Sequence[Mapping[str, nn.Module]], coding: Coding) -> None:
        super().__init__()
        self.method, self.outside = method, coding.mr_outside
        self.folds = nn.ModuleList(nn.ModuleDict(networks) for networks in folds)
        linear = LinearHu.of(coding)
        assert linear is not None  # checked before
        self.linear = linear

    def forward(self, mr: Tensor) -> Tensor:
        rows, cols = mr.shape[-2:]
        multiple = self.method.size_multiple
        if multiple > 1:  # whether it is needed or not: what is exported is for all sizes
            mr = pad(mr, (0, -cols % multiple, 0, -rows % multiple), value=self.outside)
        folds = [dict(networks.items()) for networks in self.folds if isinstance(networks, nn.ModuleDict)]
        hu = torch.stack([self._hu(self.method.synthesize(networks, mr)) for networks in folds])
        return hu.mean(dim=0)[..., :rows, :cols]

    def _hu(self, output: Tensor) -> Tensor:
        hu = output[:, :1] * self.linear.scale + self.linear.offset
        return hu if self.linear.low is None else hu.clamp(self.linear.low, self.linear.high)


def export_onnx(
    model_folder: Path,
    output: Path,
    folds: Sequence[str] | None = None,
    *,
    checkpoint: str = CHECKPOINT_FINAL,
    overwrite: bool = False,
) -> OnnxFile:
    """Write the predicting networks of a model as one ONNX file.

    The graph takes ``mr``, float32 (batch, channels, rows, cols) as the coding makes it of a patient's slices, and
    gives ``sct_hu``, float32 HU (batch, 1, rows, cols), the mean of the folds; batch, rows and cols are of any size.
    What the input must be is said by the file's metadata.

    Args:
        model_folder: such as ``synthct_results/Dataset001_Brain/unet__plans__2d``.
        output: the file, ``.onnx``.
        folds: those to export; every trained one by default.
        checkpoint: the checkpoint's file name in each fold.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ModelError: the extra is not installed, the model is damaged or of a kind that cannot be exported, the file
            would not give torch's HU to within 0.1 HU, or it is there already.
    """
    path = Path(output)
    _check_output(path, overwrite)
    onnx, _ = _packages()
    model = read_model(Path(model_folder), folds, checkpoint)
    network = _network(model, model_folder)
    metadata = _metadata(model)
    with locks.section(path, "synthct_export_model"):
        _check_output(path, overwrite)
        remove_leftovers(path.parent, of=path.name)
        with written_whole(path) as temporary:
            try:
                difference = _written(network, model, temporary)
            except _Unlike as fault:
                raise ModelError(
                    f"{model_folder}: an ONNX file of the networks of {model.trainer} would not give their HU "
                    f"({fault}); export the model as a zip file instead."
                ) from None
            proto = onnx.load(str(temporary))
            onnx.helper.set_model_props(proto, metadata)
            proto.producer_name, proto.producer_version = "synthct", __version__
            onnx.checker.check_model(proto)
            temporary.write_bytes(proto.SerializeToString())
    return OnnxFile(path, len(model.networks), difference, metadata)


class _Unlike(Exception):
    """What was exported cannot be run, or gives other HU."""


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as fault:
        raise ModelError(
            f"--onnx needs the package {fault.name or 'onnx'}, which is not installed here; "
            "install it: pip install 'synthct[onnx]'."
        ) from None
    return onnx, onnxruntime


def _check_output(path: Path, overwrite: bool) -> None:
    if path.suffix != ".onnx":
        raise ModelError(f"{path} does not end in .onnx; name an ONNX file with --onnx.")
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name an ONNX file with --onnx.")
    if path.exists() and not overwrite:
        raise ModelError(f"{path} is there already; name another file with --onnx, or add --overwrite.")


def _network(model: Model, folder: Path) -> HuNetwork:
    method, coding = model.method, model.input.coding
    by_slices = vars(Trainer)["synthesize_volume"].__func__
    if method.dimensions != 2 or getattr(method.synthesize_volume, "__func__", None) is not by_slices:
        raise ModelError(
            f"{folder}: {model.trainer} does not synthesise slice by slice, and --onnx exports networks of slices "
            "alone; export the model as a zip file instead."
        )
    if LinearHu.of(coding) is None:
        raise ModelError(
            f"{folder}: the coding {type(coding).__name__} of {model.trainer} is not linear in HU, as --onnx needs it; "
            "export the model as a zip file instead."
        )
    folds = []
    for states in model.networks:
        model.build_networks(states)  # says what does not fit
        networks = predicting_networks(method, model.configuration, model.settings)  # in torch's own layers
        for name, network in networks.items():
            network.load_state_dict(states[name])
        folds.append(networks)
    return HuNetwork(method, folds, coding).eval()


def _metadata(model: Model) -> dict[str, str]:
    """What a program needs to make the input and to know the output; JSON but for plain texts. No case ids."""
    configuration, coding = model.configuration, model.input.coding
    low, high = coding.hu_range
    values: dict[str, Any] = {
        "synthct_onnx_format": FORMAT_VERSION,
        "synthct_version": __version__,
        "dataset": model.plan.dataset_name,
        "trainer": model.trainer,
        "configuration": model.configuration_name,
        "folds_combined": len(model.networks),
        "model_hash": Predictor(model, "cpu", "float32").model_hash,
        "channel_names": list(model.plan.channel_names),
        "preprocessing": to_plain(configuration.preprocessing),
        "slice_plane": configuration.input.plane,
        "slice_spacing_mm": list(voxel_mm(configuration.preprocessing, configuration.input.plane)),
        "input": to_plain(configuration.input),
        "coding": type(coding).__name__,
        "coding_settings": to_plain(coding),
        "mr_outside": coding.mr_outside,
        "output_unit": "HU",
        "output_combines": "mean of the folds",
        "hu_range": [low, high],
        "hu_of_network_output": to_plain(LinearHu.of(coding)),
        "use": "research; not for clinical use",
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _written(network: HuNetwork, model: Model, path: Path) -> float:
    """Export; the largest difference from torch, HU.

    Raises:
        _Unlike: what was written gives other HU, or cannot be run.
    """
    _, onnxruntime = _packages()
    rows, cols = model.configuration.preprocessing.slice_size
    sizes = ((2, rows, cols), (1, rows + _OTHER_SIZE[0], cols + _OTHER_SIZE[1]))
    names = {0: "batch", 2: "rows", 3: "cols"}
    channels = model.configuration.input.channels
    generator = torch.Generator().manual_seed(0)
    slices = [torch.randn(batch, channels, *size, generator=generator) for batch, *size in sizes]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: what depends on a size is found by the comparison
        try:
            torch.onnx.export(
                network,
                (slices[0],),
                str(path),
                dynamo=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: names, OUTPUT: names},
                opset_version=OPSET,
            )
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4  # what fails is said by an exception
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            given = [session.run(None, {INPUT: one.numpy()})[0] for one in slices]
        except Exception as fault:  # torch and the runtime raise a dozen kinds
            raise _Unlike((str(fault).strip().splitlines() or [type(fault).__name__])[0][:120]) from fault
        expected = [network(one).numpy() for one in slices]
    shapes = [one.shape for one in given]
    if shapes != [one.shape for one in expected]:
        raise _Unlike(f"slices of {list(shapes[-1])} in place of {list(expected[-1].shape)}")
    difference = max(float(np.abs(one - other).max()) for one, other in zip(given, expected))
    if not difference <= MAX_DIFFERENCE_HU:
        raise _Unlike(f"they differ by up to {difference:.3g} HU")
    return difference
