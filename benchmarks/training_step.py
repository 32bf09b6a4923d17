"""One training step of cyclegan and pix2pix: the product beside a textbook step on the same networks and images.

python -m benchmarks.training_step                             the paper's network at 256 x 256 (minutes on a CPU)
python -m benchmarks.training_step --configuration 2d_lowres   the small network for trying out (seconds)

The error is that of the gradient of one generator's weights, in the norm, against float64; with a smooth activation in
place of ReLU, whose mask would flip at other places by rounding alone.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.rounds import WAYS, Action, Measured, compare, memory_of_both, show
from benchmarks.textbook import TextbookGenerator
from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.accelerate.cuda_graph import recorded_step
from synthct.networks import PatchDiscriminator, ResnetGenerator
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.planning.method_settings import settings_of
from synthct.planning.plan import Configuration
from synthct.plugins import TRAINERS
from synthct.training.device import select_device
from synthct.training.gan_settings import GanSettings
from synthct.training.trainer import Trainer

REAL, SYNTHETIC = 1.0, 0.0


class TextbookCycleGAN:
    """As the paper says it, and no more: float32, a pass a discriminator and image, default Adam."""

    def __init__(self, plan: GanSettings, device: torch.device) -> None:
        self.syn_ct, self.syn_mr = (
            TextbookGenerator(1, 1, plan.base_channels, plan.n_blocks).to(device) for _ in range(2)
        )
        self.dis_ct, self.dis_mr = (
            PatchDiscriminator(1, plan.discriminator_base_channels).to(device) for _ in range(2)
        )
        self.synthesis = _adam([self.syn_ct, self.syn_mr], plan.learning_rate)
        self.discrimination = _adam([self.dis_ct, self.dis_mr], plan.learning_rate)

    def step(self, mr: Tensor, ct: Tensor) -> None:
        """Eqs. 1 to 3 of the paper, without the history of synthetic images."""
        sct, smr = self.syn_ct(mr), self.syn_mr(ct)
        cycle = functional.l1_loss(self.syn_mr(sct), mr) + functional.l1_loss(self.syn_ct(smr), ct)
        loss = _judged(self.dis_ct, sct, REAL) + _judged(self.dis_mr, smr, REAL) + 10 * cycle
        _update(self.synthesis, loss)
        for dis, real, synthetic in ((self.dis_ct, ct, sct), (self.dis_mr, mr, smr)):
            self.discrimination.zero_grad()
            (0.5 * (_judged(dis, real, REAL) + _judged(dis, synthetic.detach(), SYNTHETIC))).backward()
            self.discrimination.step()


class TextbookPix2Pix:
    """The same for paired training: L1 of weight 100 and a discriminator that sees the MR too."""

    def __init__(self, plan: GanSettings, device: torch.device) -> None:
        self.syn_ct = TextbookGenerator(1, 1, plan.base_channels, plan.n_blocks).to(device)
        self.dis_ct = PatchDiscriminator(2, plan.discriminator_base_channels).to(device)
        self.synthesis = _adam([self.syn_ct], plan.learning_rate)
        self.discrimination = _adam([self.dis_ct], plan.learning_rate)

    def step(self, mr: Tensor, ct: Tensor) -> None:
        """Isola et al. 2017 with the least-squares criterion."""
        sct = self.syn_ct(mr)
        real, synthetic = torch.cat((mr, ct), 1), torch.cat((mr, sct.detach()), 1)
        judged = _judged(self.dis_ct, real, REAL) + _judged(self.dis_ct, synthetic, SYNTHETIC)
        _update(self.discrimination, 0.5 * judged)
        loss = _judged(self.dis_ct, torch.cat((mr, sct), 1), REAL) + 100 * functional.l1_loss(sct, ct)
        _update(self.synthesis, loss)


def _adam(networks: list[nn.Module], learning_rate: float) -> torch.optim.Adam:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=learning_rate, betas=(0.5, 0.999))


def _judged(dis: nn.Module, image: Tensor, label: float) -> Tensor:
    judgement = dis(image)
    return functional.mse_loss(judgement, torch.full_like(judgement, label))


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def product_trainer(name: str, configuration: Configuration, device: torch.device) -> Trainer:
    """The product's, with the settings that it plans for the configuration."""
    return TRAINERS.load(name)(configuration, settings_of(name, configuration, "benchmark"), device)


def gradient_errors(configuration: Configuration, image: Tensor) -> str:
    """Relative errors of textbook and product in the precision that trains, against the textbook in float64."""
    trained_in = product_trainer("pix2pix", configuration, image.device)
    plan = trained_in.settings
    sizes = (1, 1, plan.base_channels, plan.n_blocks)
    textbook, product = TextbookGenerator(*sizes), with_fast_convolutions(ResnetGenerator(*sizes))
    product.load_state_dict(textbook.state_dict())
    precise = TextbookGenerator(*sizes).double()
    precise.load_state_dict(textbook.state_dict())
    gradients = []
    for network, autocast in ((precise, False), (textbook, False), (product, True)):
        network = _smooth(network).to(image.device)
        with trained_in.autocast() if autocast else torch.autocast(image.device.type, enabled=False):
            output = network(image.to(next(network.parameters()).dtype))
        (output - 0.5).square().mean().backward()
        gradients.append(torch.cat([weight.grad.flatten().double() for weight in network.parameters()]))
    exact, *others = gradients
    return " -> ".join(f"{((output - exact).norm() / exact.norm()).item():.1e}" for output in others)


def _smooth(network: nn.Module) -> nn.Module:
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
    return network


def prepare(way: str, trainer_name: str, configuration: Configuration, cuda_graph: bool = False) -> Action:
    """A step on random images of the plan's crop size, of either way."""
    device, _ = select_device()
    torch.manual_seed(0)
    shape = (1, 1, *configuration.training.crop_size)
    mr, ct = (2 * torch.rand(shape, device=device) - 1 for _ in range(2))
    if way == "textbook":
        settings = settings_of(trainer_name, configuration, "benchmark")
        textbook = {"cyclegan": TextbookCycleGAN, "pix2pix": TextbookPix2Pix}[trainer_name](settings, device)
        return lambda: textbook.step(mr, ct)
    batch = {"mr": mr, "ct": ct, "known": torch.ones(shape, device=device)}
    product = product_trainer(trainer_name, configuration, device)
    step = recorded_step(product) if cuda_graph else product.training_step
    for _ in range(5 if cuda_graph else 0):  # a step that is recorded becomes fast at its fifth
        step(batch)
    return lambda: step(batch)


def measure(trainer_name: str, configuration: Configuration, rounds: int, cuda_graph: bool) -> Measured:
    """The product's step beside the textbook's."""
    device, _ = select_device()
    options = (trainer_name, configuration, cuda_graph)
    rows, cols = configuration.training.crop_size
    product = product_trainer(trainer_name, configuration, device)
    image = 2 * torch.rand((1, 1, rows, cols), generator=torch.Generator().manual_seed(0)).to(device) - 1
    return compare(
        f"{trainer_name} step, {rows} x {cols}, width {product.settings.base_channels}, {product.precision}",
        *(prepare(way, *options) for way in WAYS),
        rounds=rounds,
        memory_gib=memory_of_both(prepare, *options),
        error=gradient_errors(configuration, image),
        count_flops=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", choices=["2d", "2d_lowres"], default="2d")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cuda_graph", action="store_true", help="record the product's step as a CUDA graph")
    arguments = parser.parse_args()
    full = reference_configuration(1)
    configuration = full if arguments.configuration == "2d" else low_resolution(full)[0]
    options = (configuration, arguments.rounds, arguments.cuda_graph)
    show([measure(name, *options) for name in ("cyclegan", "pix2pix")])


if __name__ == "__main__":
    main()
