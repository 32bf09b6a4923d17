"""CycleGAN and pix2pix as Wolterink et al. 2017 compare them, written out again: results must not move by a bit.

Weights, order of slices, batches, losses, updates and learning rates are stated here a second time, in torch's own
layers and in plain numpy. A training of the product is compared with that after every step. Who changes a reference
method on purpose changes this file too, and says so in CHANGELOG.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from batchgenerators.augmentations.crop_and_pad_augmentations import random_crop
from tiny_training import PAIRED, make_configuration, make_plan, make_settings, make_stack, what_to_train
from torch import Tensor, nn

from synthct.accelerate.few_channels_out import FewChannelsOut
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import HEAD
from synthct.training import run as run_module
from synthct.training.loader import SliceDataset, batches
from synthct.training.loop import train
from synthct.training.sampling import PairedOrder, UnpairedOrder
from synthct.training.slices import SlicesToDraw, TrainingSlices
from synthct.training.what_to_train import TrainingOptions

SEED, WIDTH, POOL_SIZE = 7, 4, 3
PADDED, CROP = 36, 32  # pixels; in the paper 286 and 256
EPOCHS_CONSTANT, EPOCHS_DECAY, STEPS = 2, 2, 4  # steps an epoch
PATIENTS = PAIRED[:3]
CONFIGURATION = make_configuration(
    settings={"pool_size": POOL_SIZE},
    seed=SEED,
    padded_size=(PADDED, PADDED),
    crop_size=(CROP, CROP),
    epochs_constant=EPOCHS_CONSTANT,
    epochs_decay=EPOCHS_DECAY,
    iterations_per_epoch=STEPS,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Holds ``tiny/PATIENT.npz``; the head reaches below the CT's field of view."""
    folder = tmp_path_factory.mktemp("data")
    for number, patient in enumerate(PATIENTS):
        stack = make_stack(patient, number)
        stack.regions[:, -3:] |= HEAD
        stack.save(folder / "tiny" / f"{patient}.npz")
    return folder


# -- data: sections 2 and 4 -------------------------------------------------------------------------------------------


def in_network_units(stored: np.ndarray, low: float, high: float) -> np.ndarray:
    """256 grey levels over a window, in [-1, 1]; what is outside (-32768) is black. (channels, rows, cols)"""
    grey = np.rint(np.clip((stored.astype(np.float32) - low) * (255 / (high - low)), 0, 255))
    grey[stored == -32768] = 0
    return grey * np.float32(2 / 255) - np.float32(1)


def augmented(image: np.ndarray, air: list[float]) -> np.ndarray:
    """Padded with air, and cropped at random; one row and column more let the crop reach every place."""
    more = PADDED + 1 - image.shape[1]
    margin = (more // 2, more - more // 2)
    padded = [
        np.pad(channel, (margin, margin), constant_values=value) for channel, value in zip(image, air, strict=True)
    ]
    return random_crop(np.stack(padded)[None], crop_size=(CROP, CROP))[0][0]


def batch_by_hand(folder: Path, draw: int, mr_key: tuple[str, int], ct_key: tuple[str, int], paired: bool) -> dict:
    """The batch of one image that a draw shows."""
    (mr_patient, i), (ct_patient, j) = mr_key, ct_key
    mr_arrays, ct_arrays = (np.load(folder / "tiny" / f"{patient}.npz") for patient in (mr_patient, ct_patient))
    mr = in_network_units(mr_arrays["mr"][:, i], 0, 3500)
    ct = in_network_units(ct_arrays["ct"][None, j], -600, 1400)
    np.random.seed(np.random.SeedSequence([SEED, draw]).generate_state(4))
    if paired:
        head, both = (mr_arrays["regions"][i] & 1) > 0, (mr_arrays["regions"][i] & 6) == 6
        whole = np.concatenate(
            [mr, ct, (~head | both).astype(np.float32)[None], (head & both).astype(np.float32)[None]]
        )
        parts = dict(zip(("mr", "ct", "known", "head"), augmented(whole, [-1, -1, 1, 0])[:, None]))
    else:
        parts = {"mr": augmented(mr, [-1]), "ct": augmented(ct, [-1])}
    return {name: torch.from_numpy(part[None].astype(np.float32)) for name, part in parts.items()}


def drawn_by_hand(paired: bool, n: int) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """Every slice with head in a random order, passage after passage; here MR and CT have the same number of slices."""
    keys = [(patient, i) for patient in PATIENTS for i in range(1, 7)]

    def passages(domain: int) -> list[tuple[str, int]]:
        turns = [np.random.default_rng([SEED, turn, domain]).permutation(len(keys)) for turn in range(n)]
        return [keys[i] for turn in turns for i in turn][:n]

    return list(zip(passages(0), passages(0 if paired else 1)))


def dataset_of(data: Path, paired: bool) -> SliceDataset:
    """The product's."""
    slices = TrainingSlices(data / "tiny", PATIENTS, CONFIGURATION.input, SlicesToDraw(paired, 0.05))
    order = PairedOrder(slices.mr, SEED) if paired else UnpairedOrder(slices.mr, slices.ct, SEED)
    coding = make_settings("cyclegan").coding
    return SliceDataset(slices, order, NetworkInput(CONFIGURATION.input, coding), CONFIGURATION.training)


@pytest.mark.parametrize("paired", [False, True])
def test_slices_are_drawn_in_the_order_of_the_seeded_permutations(data, paired):
    order = dataset_of(data, paired).order
    found, expected = [order.draw(step)[0] for step in range(40)], drawn_by_hand(paired, 40)
    if paired:
        assert found == expected
    else:  # a step that would by accident show one slice in both domains changes its MR slice with another step's
        by_accident = sum(mr == ct for mr, ct in expected)
        assert [ct for _, ct in found] == [ct for _, ct in expected]
        assert sum(value != other for value, other in zip(found, expected)) <= 2 * by_accident + 2
        assert not any(mr == ct for mr, ct in found)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("paired", [False, True])
def test_batches_are_those_made_by_hand(data, paired, workers):
    dataset = dataset_of(data, paired)
    unknown = 0
    with batches(dataset, workers) as drawn:
        for step in range(25):
            batch, expected = next(drawn), batch_by_hand(data, step, *dataset.order.draw(step)[0], paired)
            assert set(batch) == {*expected, "mr_keys", "ct_keys"}
            for name, image in expected.items():
                assert batch[name].dtype == torch.float32
                assert torch.equal(batch[name], image), name
            unknown += int((batch["known"] == 0).sum()) if paired else 0
    assert unknown > 0 or not paired


# -- networks: section 3.1 --------------------------------------------------------------------------------------------


class Block(nn.Module):
    """R256, narrower."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.layers = nn.Sequential(*half, nn.ReLU(), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def generator() -> nn.Module:
    """c7s1-64, d128, d256, R256, u128, u64, c7s1-1, narrower; the last convolution is the fast one of the product."""
    w = WIDTH
    return nn.Sequential(
        *(nn.ReflectionPad2d(3), nn.Conv2d(1, w, 7), nn.InstanceNorm2d(w), nn.ReLU()),
        *(nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * w), nn.ReLU()),
        *(nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1), nn.InstanceNorm2d(4 * w), nn.ReLU()),
        Block(4 * w),
        *(nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(2 * w), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(w), nn.ReLU()),
        *(nn.ReflectionPad2d(3), FewChannelsOut(w, 1, 7), nn.Tanh()),
    )


def discriminator(channels: int) -> nn.Module:
    """C64 without norm, C128, C256, C512, one number a patch; narrower."""
    w = WIDTH
    return nn.Sequential(
        *(nn.Conv2d(channels, w, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(w, 2 * w, 4, 2, 1), nn.InstanceNorm2d(2 * w), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.InstanceNorm2d(4 * w), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(4 * w, 8 * w, 4, 1, 1), nn.InstanceNorm2d(8 * w), nn.LeakyReLU(0.2)),
        nn.Conv2d(8 * w, 1, 4, 1, 1),
    )


def initialised(*networks: nn.Module) -> tuple[nn.Module, ...]:
    """Weights from N(0, 0.02), biases 0, one network after the other from one generator."""
    random = torch.Generator().manual_seed(SEED)
    for network in networks:
        for parameter in network.parameters():
            is_bias = parameter.ndim == 1
            parameter.data = (
                torch.zeros_like(parameter) if is_bias else parameter.data.normal_(0, 0.02, generator=random)
            )
    return networks


def adam(*networks: nn.Module) -> torch.optim.Adam:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


def update(optimiser: torch.optim.Adam, loss: Tensor, step: int) -> None:
    """At the full rate for the first epochs, then linearly down."""
    epoch = step // STEPS
    for group in optimiser.param_groups:
        group["lr"] = 2e-4 * (1 - max(0, epoch + 1 - EPOCHS_CONSTANT) / (EPOCHS_DECAY + 1))
    optimiser.zero_grad()  # of what the other update left here on its way
    loss.backward()
    optimiser.step()


# -- losses and updates: eqs. 1 to 3 ----------------------------------------------------------------------------------


class HandwrittenCycleGAN:
    """SynCT, SynMR, DisCT and DisMR of Zhu et al. 2017."""

    def __init__(self) -> None:
        self.networks = dict(
            zip(
                ("syn_ct", "syn_mr", "dis_ct", "dis_mr"),
                initialised(generator(), generator(), discriminator(1), discriminator(1)),
            )
        )
        self.syn_ct, self.syn_mr, self.dis_ct, self.dis_mr = self.networks.values()
        self.synthesis, self.discrimination = adam(self.syn_ct, self.syn_mr), adam(self.dis_ct, self.dis_mr)
        self.history: dict[str, list[Tensor]] = {"ct": [], "mr": []}
        self.random = {"ct": torch.Generator().manual_seed(SEED + 1), "mr": torch.Generator().manual_seed(SEED + 2)}

    def from_history(self, name: str, image: Tensor) -> Tensor:
        """The image itself or, in half of the cases once the history is full, an earlier one in exchange."""
        history, random = self.history[name], self.random[name]
        if len(history) < POOL_SIZE:
            history.append(image)
            return image
        if torch.rand((), generator=random) < 0.5:
            place = int(torch.randint(POOL_SIZE, (), generator=random))
            earlier, history[place] = history[place], image
            return earlier
        return image

    def step(self, number: int, batch: dict[str, Tensor]) -> None:
        mr, ct = batch["mr"], batch["ct"]
        sct, smr = self.syn_ct(mr), self.syn_mr(ct)
        adversarial = ((1 - self.dis_ct(sct)) ** 2).mean() + ((1 - self.dis_mr(smr)) ** 2).mean()
        cycle = (self.syn_mr(sct) - mr).abs().mean() + (self.syn_ct(smr) - ct).abs().mean()
        update(self.synthesis, adversarial + 10 * cycle, number)

        loss = torch.zeros(())
        for name, dis, real, synthetic in (("ct", self.dis_ct, ct, sct), ("mr", self.dis_mr, mr, smr)):
            shown = self.from_history(name, synthetic.detach().clone())
            real_scores, synthetic_scores = dis(torch.cat((real, shown))).chunk(2)
            loss = loss + 0.5 * (((1 - real_scores) ** 2).mean() + (synthetic_scores**2).mean())
        update(self.discrimination, loss, number)


class HandwrittenPix2Pix:
    """SynCT, and DisCT which sees the MR beside the CT: Isola et al. 2017 with the losses of the CycleGAN."""

    def __init__(self) -> None:
        self.networks = dict(zip(("syn_ct", "dis_ct"), initialised(generator(), discriminator(2))))
        self.syn_ct, self.dis_ct = self.networks.values()
        self.synthesis, self.discrimination = adam(self.syn_ct), adam(self.dis_ct)

    def step(self, number: int, batch: dict[str, Tensor]) -> None:
        mr, ct, known = batch["mr"], batch["ct"], batch["known"]
        sct = self.syn_ct(mr)
        shown = torch.where(known > 0, sct, ct)
        real, synthetic = torch.cat((mr, ct), 1), torch.cat((mr, shown.detach()), 1)
        real_scores, synthetic_scores = self.dis_ct(torch.cat((real, synthetic))).chunk(2)
        update(self.discrimination, 0.5 * (((1 - real_scores) ** 2).mean() + (synthetic_scores**2).mean()), number)

        adversarial = ((1 - self.dis_ct(torch.cat((mr, shown), 1))) ** 2).mean()
        l1 = ((sct - ct).abs() * known).sum() / known.sum()
        update(self.synthesis, adversarial + 100 * l1, number)


@pytest.mark.parametrize(("name", "handwritten"), [("cyclegan", HandwrittenCycleGAN), ("pix2pix", HandwrittenPix2Pix)])
def test_a_training_is_the_one_written_out_here_bit_for_bit(name, handwritten, data, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module.ProgressFigure, "draw", lambda *_: None)
    after: list[dict[str, list[Tensor]]] = []  # of every step, the weights of every network
    train_step = run_module.TrainingRun.train_step

    def watched(run: run_module.TrainingRun, batch: dict) -> None:
        train_step(run, batch)
        networks = run.trainer.networks.items()
        after.append({name: [weight.detach().clone() for weight in network.parameters()] for name, network in networks})

    monkeypatch.setattr(run_module.TrainingRun, "train_step", watched)
    what = what_to_train(name, make_plan(CONFIGURATION), data, tmp_path / "fold_0", {"train": PATIENTS, "val": []})
    train(what, TrainingOptions(device=torch.device("cpu"), loaders=0))
    assert len(after) == (EPOCHS_CONSTANT + EPOCHS_DECAY) * STEPS

    expected, order = handwritten(), dataset_of(data, paired=name == "pix2pix").order
    start = {
        key: [weight.detach().clone() for weight in network.parameters()] for key, network in expected.networks.items()
    }
    for step, found in enumerate(after):
        expected.step(step, batch_by_hand(data, step, *order.draw(step)[0], name == "pix2pix"))
        for network, twin in expected.networks.items():
            for weight, same in zip(twin.parameters(), found[network], strict=True):
                assert torch.equal(weight, same), f"{network} after step {step + 1}"
    for network, weights in after[-1].items():
        assert all(not torch.equal(weight, first) for weight, first in zip(weights, start[network]) if weight.ndim > 1)
