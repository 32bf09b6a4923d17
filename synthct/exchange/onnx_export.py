"""A model folder -> one ONNX file: from a network's MR input to HU, for programs that run neither Python nor torch.

The file is compared with torch before it is put in its place. Torch's exporter by tracing is used, because the other
one (``dynamo=True``) needs a further package and fixes the size of the slices where a network pads them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from synthct import __version__
from synthct.errors import ModelError
from synthct.exchange.output_file import check_output, output_file
from synthct.imaging.coding import Coding
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import Model, predicting_networks, read_model
from synthct.json_dataclasses import to_plain
from synthct.model_folder import CHECKPOINT_FINAL
from synthct.planning.plan import voxel_mm
from synthct.training.trainer import Trainer

FORMAT_VERSION = 1
OPSET = 17
MAX_DIFFERENCE_HU = 0.1  # from torch, in any pixel of the slices that are compared
_OTHER_SIZE = (12, 20)  # pixels that the second size is larger by: no multiples of what networks halve


@dataclass(frozen=True)
class OnnxFile:
    """A file that was written; ``difference_hu`` is the largest from torch in the slices that were compared."""

    path: Path
    folds: int
    difference_hu: float


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
        if np.abs(given - wanted).max() <= 0.01:
            return LinearHu(scale, offset, None, None)
        if np.abs(given - wanted.clip(low, high)).max() <= 0.01:
            return LinearHu(scale, offset, low, high)
        return None


class HuNetwork(nn.Module):
    """The networks of all folds: (batch, channels, rows, cols) network input -> (batch, 1, rows, cols) HU, their mean.

    Slices are padded and cut again as in a prediction.
    """

    def __init__(self, model: Model, linear: LinearHu) -> None:
        super().__init__()
        self.method, self.outside, self.linear = model.method, model.input.coding.mr_outside, linear
        self.folds = []
        for states in model.networks:
            model.build_networks(states)  # says what does not fit
            networks = predicting_networks(model.method, model.configuration, model.settings)  # in torch's own layers
            for name, network in networks.items():
                network.load_state_dict(states[name])
            self.folds.append(networks)
        self.networks = nn.ModuleList(network for networks in self.folds for network in networks.values())
        self.eval()

    def forward(self, mr: Tensor) -> Tensor:
        rows, cols = mr.shape[-2:]
        multiple = self.method.size_multiple
        if multiple > 1:  # whether it is needed or not: what is exported is for all sizes
            mr = pad(mr, (0, -cols % multiple, 0, -rows % multiple), value=self.outside)
        output = torch.stack([self.method.synthesize(networks, mr)[:, :1] for networks in self.folds])
        hu = output * self.linear.scale + self.linear.offset
        if self.linear.low is not None:
            hu = hu.clamp(self.linear.low, self.linear.high)
        return hu.mean(dim=0)[..., :rows, :cols]


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
    if path.suffix != ".onnx":
        raise ModelError(f"{path} does not end in .onnx; name an ONNX file with --onnx.")
    check_output(path, overwrite)
    try:
        import onnx
        import onnxruntime  # noqa: F401  which compares the file with torch
    except ImportError as fault:
        raise ModelError(
            f"--onnx needs the package {fault.name or 'onnx'}, which is not installed here; "
            "install it: pip install 'synthct[onnx]'."
        ) from None
    model = read_model(Path(model_folder), folds, checkpoint)
    try:
        network = HuNetwork(model, _linear_hu(model))
        with output_file(path, overwrite) as temporary:
            difference = _write(network, model, temporary)
            proto = onnx.load(str(temporary))
            onnx.helper.set_model_props(proto, _metadata(model, network.linear))
            proto.producer_name, proto.producer_version = "synthct", __version__
            onnx.checker.check_model(proto)
            temporary.write_bytes(proto.SerializeToString())
    except _NotPossible as fault:
        raise ModelError(
            f"{model_folder}: the networks of {model.trainer} cannot be exported as ONNX ({fault}); export the model "
            "as a zip file instead."
        ) from None
    return OnnxFile(path, len(model.networks), difference)


class _NotPossible(Exception):
    """Why a model cannot be an ONNX file."""


def _linear_hu(model: Model) -> LinearHu:
    """How its networks' output becomes HU, where they are networks of slices whose coding is linear."""
    by_slices = vars(Trainer)["synthesize_volume"].__func__
    if model.method.dimensions != 2 or getattr(model.method.synthesize_volume, "__func__", None) is not by_slices:
        raise _NotPossible("they do not synthesise slice by slice")
    linear = LinearHu.of(model.input.coding)
    if linear is None:
        raise _NotPossible(f"the coding {type(model.input.coding).__name__} is not linear in HU")
    return linear


def _metadata(model: Model, linear: LinearHu) -> dict[str, str]:
    """What a program needs to make the input and to know the output; JSON but for plain texts. No case ids."""
    configuration, coding = model.configuration, model.input.coding
    values: dict[str, Any] = {
        "synthct_onnx_format": FORMAT_VERSION,
        "synthct_version": __version__,
        "dataset": model.plan.dataset_name,
        "trainer": model.trainer,
        "configuration": model.configuration_name,
        "folds_combined": len(model.networks),
        "model_hash": Predictor(model, "cpu", "float32").model_hash,
        "channel_names": model.plan.channel_names,
        "preprocessing": configuration.preprocessing,
        "slice_plane": configuration.input.plane,
        "slice_spacing_mm": voxel_mm(configuration.preprocessing, configuration.input.plane),
        "input": configuration.input,
        "coding": type(coding).__name__,
        "coding_settings": coding,
        "mr_outside": coding.mr_outside,
        "output_unit": "HU",
        "output_combines": "mean of the folds",
        "hu_range": coding.hu_range,
        "hu_of_network_output": linear,
        "use": "research; not for clinical use",
    }
    return {name: value if isinstance(value, str) else json.dumps(to_plain(value)) for name, value in values.items()}


def _write(network: HuNetwork, model: Model, path: Path) -> float:
    """Write the graph; its largest difference from torch in slices of two sizes, HU."""
    import onnxruntime

    rows, cols = model.configuration.preprocessing.slice_size
    sizes = ((2, rows, cols), (1, rows + _OTHER_SIZE[0], cols + _OTHER_SIZE[1]))
    generator = torch.Generator().manual_seed(0)
    channels = model.configuration.input.channels
    slices = [torch.randn(batch, channels, *size, generator=generator) for batch, *size in sizes]
    axes = {0: "batch", 2: "rows", 3: "cols"}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is said by an exception
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: what depends on a size is found by the comparison
        expected = [network(image).numpy() for image in slices]
        try:
            torch.onnx.export(
                network,
                (slices[0],),
                str(path),
                dynamo=False,
                input_names=["mr"],
                output_names=["sct_hu"],
                dynamic_axes={"mr": axes, "sct_hu": axes},
                opset_version=OPSET,
            )
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            given = [session.run(None, {"mr": image.numpy()})[0] for image in slices]
        except Exception as fault:  # torch and the runtime raise a dozen kinds
            reason = str(fault).strip().splitlines() or [type(fault).__name__]
            raise _NotPossible(reason[0][:120]) from fault
    if [output.shape for output in given] != [output.shape for output in expected]:
        raise _NotPossible(f"slices of {given[-1].shape} in place of {expected[-1].shape}")
    difference = max(float(np.abs(output - wanted).max()) for output, wanted in zip(given, expected))
    if not difference <= MAX_DIFFERENCE_HU:
        raise _NotPossible(f"they would differ by up to {difference:.3g} HU")
    return difference
