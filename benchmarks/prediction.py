"""Slices through the generator: the product's Predictor beside a textbook generator, one slice after the other.

python -m benchmarks.prediction                                   random weights; every ninth slice of 183 on a CPU
python -m benchmarks.prediction --slices 183                      a whole volume (minutes a round on a CPU)
python -m benchmarks.prediction --model MODEL_FOLDER --mr MR      a trained model on a real MR: its error counts
python -m benchmarks.prediction --trainer unet                    processor seconds of a trainer's networks beside
                                                                  the generator's, both the product's

The error is the product's mean absolute difference to the textbook in float32, in HU; with a trained model inside the
head. With a model, reading the MR, preprocessing, synthesis and writing are timed too, file to file. Both ways run as
synthct_predict does, with large memory pages.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.rounds import WAYS, compare, memory_of_both, show, synchronise
from benchmarks.textbook import TextbookGenerator
from synthct.commands.console import use_large_pages
from synthct.imaging.coding import MrStatistics
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.planning.plan import FORMAT_VERSION, Plan
from synthct.preprocessing.slice_stack import HEAD, MR_KNOWN, SliceStack
from synthct.training.device import select_device

SLICES = {"2d": 183, "2d_lowres": 92}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", choices=list(SLICES), default="2d")
    parser.add_argument("--slices", type=int, help="evenly spread over the volume")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--mr", type=Path, metavar="FILE")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--trainer", help="its networks, untrained, instead of the textbook")
    arguments = parser.parse_args()
    use_large_pages()
    if arguments.trainer:
        print(beside_generator(arguments))
        return
    options = (arguments.configuration, arguments.slices, arguments.model, arguments.mr, arguments.precision)
    predictor, stack = _work(*options)
    textbook, product = (prepare(way, *options) for way in WAYS)
    counted = (stack.regions & HEAD) > 0
    difference = np.abs(product() - textbook())[counted].mean()
    shape, width = stack.regions.shape, predictor.model.settings.base_channels
    work = f"{shape[0]} slices of {shape[1]} x {shape[2]}, width {width}, {predictor.precision}"
    error = f"{difference:.2g} HU{'' if arguments.model else ' (untrained)'}"
    memory = memory_of_both(prepare, *options)
    line = compare(work, textbook, product, rounds=arguments.rounds, memory_gib=memory, error=error, count_flops=True)
    show([line])
    if arguments.model:
        seconds = _file_to_file(predictor, arguments.mr, arguments.rounds)
        print(f"\nfile to file, {arguments.mr.name}: {seconds:.2f} s")


def beside_generator(arguments: argparse.Namespace) -> str:
    """Processor seconds of a trainer's synthesis and of pix2pix's, medians of interleaved rounds."""
    device, _ = select_device()
    predictors = [
        _untrained(arguments.configuration, device, arguments.precision, trainer)
        for trainer in ("pix2pix", arguments.trainer)
    ]
    stack = _evenly_spread(predictors[0][1], arguments.slices or len(predictors[0][1].regions) // 9)
    seconds: list[list[float]] = [[], []]
    for _ in range(1 + arguments.rounds):  # the first warms up
        for taken, (predictor, _) in zip(seconds, predictors):
            before = time.process_time()
            predictor.synthesize(stack)
            taken.append(time.process_time() - before)
    generator, networks = (statistics.median(taken[1:]) for taken in seconds)
    rows, cols = stack.regions.shape[1:]
    precisions = " and ".join(str(predictor.precision) for predictor, _ in predictors)
    return (
        f"{len(stack.regions)} slices of {rows} x {cols}, {precisions}: generator {generator:.2f} s of the processor, "
        f"{arguments.trainer} {networks:.2f} s ({networks / generator:.2f})"
    )


def prepare(way: str, *options: object) -> Callable[[], np.ndarray]:
    """The slices to HU, either way; the options are those of :func:`_work`."""
    use_large_pages()
    predictor, stack = _work(*options)
    if way == "product":
        return lambda: predictor.synthesize(stack).sct_hu
    settings, channels = predictor.model.settings, predictor.configuration.input.channels
    generator = TextbookGenerator(channels, 1, settings.base_channels, settings.n_blocks).to(predictor.device)
    generator.load_state_dict(predictor._networks[0]["syn_ct"].state_dict())

    def textbook() -> np.ndarray:
        slices = []
        with torch.no_grad():
            for index in range(len(stack.regions)):
                batch = torch.from_numpy(predictor.input.mr(stack, index)[None]).to(predictor.device)
                slices.append(generator(batch)[0, 0].cpu().numpy())
        return predictor.input.coding.network_to_hu(np.stack(slices))

    return textbook


def _work(
    configuration: str, n_slices: int | None, model: Path | None, mr: Path | None, precision: str
) -> tuple[object, SliceStack]:
    """A predictor, and the slices that it is given."""
    from synthct.inference import Predictor  # needs SimpleITK

    device, _ = select_device()
    if model:
        predictor = Predictor.from_model_folder(model, device=device, precision=precision)
        stack = _stack_of(predictor, mr)
    else:
        predictor, stack = _untrained(configuration, device, precision)
    return predictor, _evenly_spread(stack, n_slices or (len(stack.regions) // (1 if device.type == "cuda" else 9)))


def _untrained(
    configuration_name: str, device: torch.device, precision: str, trainer: str = "pix2pix"
) -> tuple[object, SliceStack]:
    from synthct.inference import Predictor
    from synthct.inference.read_model import Model, predicting_networks

    full = reference_configuration(1)
    configurations = {"2d": full, "2d_lowres": low_resolution(full)[0]}
    plan = Plan(FORMAT_VERSION, "benchmark", "Dataset000_Benchmark", "default", ("T1",), ".nii.gz", 4, configurations)
    model = Model(plan, configuration_name, trainer, [])
    torch.manual_seed(0)
    networks = predicting_networks(model.method, model.configuration, model.settings)
    states = {name: network.state_dict() for name, network in networks.items()}
    predictor = Predictor(replace(model, networks=[states]), device, precision)
    shape = (SLICES[configuration_name], *model.configuration.preprocessing.slice_size)
    mr = np.random.default_rng(0).integers(0, 3500, (1, *shape), np.int16)
    regions = np.full(shape, HEAD | MR_KNOWN, np.uint8)
    statistics = (MrStatistics.of(mr.astype(np.float32)),)
    return predictor, SliceStack("benchmark", mr, None, regions, mr_steps=(1.0,), mr_statistics=statistics)


def _stack_of(predictor: object, mr: Path) -> SliceStack:
    from synthct.dataset.images import CaseImages
    from synthct.imaging.io import read_image
    from synthct.preprocessing.case import slices_of_case

    return slices_of_case(CaseImages(mr.name, (read_image(mr),)), predictor.configuration.preprocessing)


def _evenly_spread(stack: SliceStack, n: int) -> SliceStack:
    chosen = ((np.arange(n) + 0.5) * len(stack.regions) / n).astype(int)
    return replace(stack, mr=stack.mr[:, chosen], regions=stack.regions[chosen])


def _file_to_file(predictor: object, mr: Path, rounds: int) -> float:
    from synthct.imaging.io import read_image, write_image

    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            started = time.perf_counter()
            write_image(predictor.predict(read_image(mr)), Path(folder) / "sct.nii.gz")
            synchronise()
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
