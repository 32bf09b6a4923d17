"""Slices of a whole volume through the generator: the product's Predictor beside one slice after the other.

python -m benchmarks.prediction                      the configuration 2d_lowres, 92 slices of 128 x 128
python -m benchmarks.prediction --configuration 2d   the seed's 183 slices of 256 x 256 (minutes a round on a CPU)
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from benchmarks.rounds import compare, show
from synthct.imaging.intensity import to_network
from synthct.inference import Predictor
from synthct.networks import ResnetGenerator
from synthct.planning.plan import FORMAT_VERSION, Plan
from synthct.planning.planner import low_resolution, seed_configuration
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.device import select_device

SLICES = {"2d": 183, "2d_lowres": 92}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", choices=list(SLICES), default="2d_lowres")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    name = arguments.configuration
    full = seed_configuration(1)
    configurations = {"2d": full, "2d_lowres": low_resolution(full)}
    plan = Plan(FORMAT_VERSION, "benchmark", "Dataset000_Benchmark", "default", ("T1",), ".nii.gz", 4, configurations)
    network = configurations[name].network
    device, _ = select_device()
    torch.manual_seed(0)
    generator = ResnetGenerator(1, 1, network.base_channels, network.n_blocks).to(device)
    predictor = Predictor(plan, name, [{"syn_ct": generator.state_dict()}], device)
    shape = (SLICES[name], *configurations[name].preprocessing.slice_size)
    grey = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    stack = SliceStack("benchmark", grey, None, np.ones(shape, np.uint8), {})

    def textbook() -> np.ndarray:
        """Slice by slice, eager, float32."""
        slices = []
        with torch.no_grad():
            for index in range(shape[0]):
                batch = torch.from_numpy(to_network(grey[:, index : index + 1])).to(device)
                slices.append(generator(batch)[0, 0].cpu().numpy())
        return np.stack(slices)

    difference = np.abs(predictor.synthesize(stack) - textbook()).mean() * 1000  # [-1, 1] is 2000 HU
    work = f"{shape[0]} slices of {shape[1]} x {shape[2]}, width {network.base_channels}"
    line = compare(work, textbook, lambda: predictor.synthesize(stack), rounds=arguments.rounds)
    show([type(line)(line.work, line.textbook_s, line.product_s, f"{difference:.2g} HU")])


if __name__ == "__main__":
    main()
