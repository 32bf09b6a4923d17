"""The order in which slices are drawn: a pure function of (seed, step), so that a resumed training draws the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

Key = tuple[str, int]  # (patient, slice)
POSITION_SD = 0.03  # of a head's width, about 5 mm: how far apart the two slices of a step are
SLICES_A_PATIENT = 2**32  # more than any patient has
MR, CT, HALVES, POSITIONS = (
    0,
    1,
    2,
    3,
)  # which numbers of the sequence that a seed gives: one independent generator each


class SliceKeys:
    """Keys of many slices, 8 bytes each: a million take 8 MB, where a list of tuples would take 100."""

    def __init__(self, slices: Mapping[str, Sequence[int] | np.ndarray]) -> None:
        """The numbers of each patient's slices, in the order of patients."""
        self.patients = tuple(slices)
        self._patient = np.repeat(np.arange(len(slices), dtype=np.int32), [len(indices) for indices in slices.values()])
        self._slice = np.concatenate([np.asarray(indices, np.int32) for indices in [(), *slices.values()]])

    def __len__(self) -> int:
        return len(self._slice)

    def __getitem__(self, i: int) -> Key:
        return self.patients[self._patient[i]], int(self._slice[i])

    def __iter__(self) -> Iterator[Key]:
        return (self[i] for i in range(len(self)))

    def numbers(self, patients: Sequence[str]) -> np.ndarray:
        """A number for each key, the same in every collection that is given the same ``patients``; int64 (keys,)."""
        place = {patient: i for i, patient in enumerate(patients)}
        patient_numbers = np.array([place[patient] for patient in self.patients], np.int64)
        return patient_numbers[self._patient] * SLICES_A_PATIENT + self._slice

    def positions(self) -> np.ndarray:
        """Where each slice lies between the first and the last one of its patient, 0 to 1; (keys,)."""
        positions = np.zeros(len(self))
        for patient in range(len(self.patients)):
            own = self._patient == patient
            numbers = self._slice[own]
            if len(numbers) > 1:
                positions[own] = (numbers - numbers.min()) / (numbers.max() - numbers.min())
        return positions


def permutation(seed: int, turn: int, domain: int, length: int) -> np.ndarray:
    """The order of a domain's slices in its ``turn``-th passage through all of them; int (length,)."""
    return np.random.default_rng([seed, turn, domain]).permutation(length)


def stream(seed: int, domain: int, length: int, start: int, stop: int) -> np.ndarray:
    """Draws ``start`` to ``stop`` of the endless sequence of a domain's permutations; int (stop - start,)."""
    first, last = start // length, (stop - 1) // length
    passages = [permutation(seed, turn, domain, length) for turn in range(first, last + 1)]
    return np.concatenate(passages)[start - first * length : stop - first * length]


class SliceOrder:
    """Shared by both orders: which draws belong to a step, and to a rank of several that train together.

    Attributes:
        steps_per_epoch: as many as show every slice of the larger domain once.
    """

    def __init__(self, larger_domain: int, batch_size: int, rank: int, world_size: int) -> None:
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.steps_per_epoch = -(-larger_domain // (batch_size * world_size))

    def draws(self, step: int) -> range:
        """Numbers of the draws that this rank makes in a step; ranks never share a draw."""
        first = (step * self.world_size + self.rank) * self.batch_size
        return range(first, first + self.batch_size)


class UnpairedOrder(SliceOrder):
    """MR and CT slices of a step are independent in patient and position (Wolterink et al. 2017, Fig. 1 right).

    Each domain runs through permutations of its own; the smaller one begins anew more often. Where a step would by
    accident show the same slice of the same patient in both, it changes its slice with another step of the passage.

    With ``position_matched`` both slices of a step lie at similar places between the first and the last slice of their
    heads (as MaskGAN draws them, Phan et al. 2023), in other pairs in each passage; each slice is drawn as often.
    """

    def __init__(
        self,
        mr: SliceKeys,
        ct: SliceKeys,
        seed: int,
        *,
        position_matched: bool = False,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(max(len(mr), len(ct)), batch_size, rank, world_size)
        self.mr, self.ct, self.seed = mr, ct, seed
        self._positions = (mr.positions(), ct.positions()) if position_matched else None
        patients = list(dict.fromkeys([*mr.patients, *ct.patients]))
        self._mr_number, self._ct_number = mr.numbers(patients), ct.numbers(patients)
        self._passage: tuple[int, np.ndarray, np.ndarray] | None = None

    def draw(self, step: int) -> list[tuple[Key, Key]]:
        """(MR slice, CT slice) for each image of the step's batch."""
        length = max(len(self.mr), len(self.ct))
        drawn = []
        for draw in self.draws(step):
            mr, ct = self._passage_through_larger_domain(draw // length)
            drawn.append((self.mr[mr[draw % length]], self.ct[ct[draw % length]]))
        return drawn

    def _passage_through_larger_domain(self, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices into ``mr`` and ``ct``, each (length of the larger domain,)."""
        if self._passage is None or self._passage[0] != turn:
            length = max(len(self.mr), len(self.ct))
            mr = stream(self.seed, MR, len(self.mr), turn * length, (turn + 1) * length)
            ct = stream(self.seed, CT, len(self.ct), turn * length, (turn + 1) * length)
            if self._positions is not None:
                ct = matched(mr, self._positions[MR], ct, self._positions[CT], [self.seed, turn, POSITIONS])
            if len(self.mr) >= len(self.ct):
                avoid_same_patient(mr, self._mr_number, ct, self._ct_number)
            else:
                avoid_same_patient(ct, self._ct_number, mr, self._mr_number)
            self._passage = turn, mr, ct
        return self._passage[1:]


def matched(
    mr: np.ndarray, mr_positions: np.ndarray, ct: np.ndarray, ct_positions: np.ndarray, seed: Sequence[int]
) -> np.ndarray:
    """The CT slices of a passage in another order, beside the MR slices at similar places.

    Args:
        mr, ct: index drawn at each step.
        mr_positions, ct_positions: of each index, 0 to 1.
        seed: of the differences between the places of a step's slices.

    Returns:
        ``ct`` in another order.
    """
    random = np.random.default_rng(seed)
    ranks = [
        np.argsort(positions[drawn] + POSITION_SD * random.standard_normal(len(drawn)))
        for drawn, positions in ((mr, mr_positions), (ct, ct_positions))
    ]
    reordered = np.empty_like(ct)
    reordered[ranks[0]] = ct[ranks[1]]
    return reordered


def avoid_same_patient(
    moved: np.ndarray, moved_number: np.ndarray, fixed: np.ndarray, fixed_number: np.ndarray
) -> None:
    """Exchange entries of ``moved`` in place until no step shows one slice in both domains (where that is possible).

    Args:
        moved, fixed: index drawn at each step, of the larger and of the other domain.
        moved_number, fixed_number: a number for each index, equal for the same patient and slice.
    """
    length = len(moved)

    def is_pair(step: int) -> bool:
        return moved_number[moved[step]] == fixed_number[fixed[step]]

    for step in np.flatnonzero(moved_number[moved] == fixed_number[fixed]).tolist():
        for other in ((step + distance) % length for distance in range(1, length)):
            moved[[step, other]] = moved[[other, step]]
            if not is_pair(step) and not is_pair(other):
                break
            moved[[step, other]] = moved[[other, step]]


class PairedOrder(SliceOrder):
    """The same slice of the same patient in both domains (Wolterink et al., Fig. 1 left), permuted anew each epoch."""

    def __init__(self, pairs: SliceKeys, seed: int, *, batch_size: int = 1, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(pairs), batch_size, rank, world_size)
        self.pairs, self.seed = pairs, seed
        self._passage: tuple[int, np.ndarray] | None = None

    def draw(self, step: int) -> list[tuple[Key, Key]]:
        """(MR slice, CT slice), the same key twice, for each image of the step's batch."""
        drawn = []
        for draw in self.draws(step):
            turn, place = divmod(draw, len(self.pairs))
            if self._passage is None or self._passage[0] != turn:
                self._passage = turn, permutation(self.seed, turn, MR, len(self.pairs))
            key = self.pairs[self._passage[1][place]]
            drawn.append((key, key))
        return drawn


def disjoint_patients(with_mr: set[str], with_ct: set[str], seed: int) -> tuple[set[str], set[str]]:
    """Divide patients so that one side gives only MR and the other only CT (Wolterink et al., section 5).

    Patients with one modality go to its side; those with both are divided in halves, at random by ``seed``; of an odd
    number the last goes to the side with fewer patients.

    Returns:
        Patients that give their MR, patients that give their CT.
    """
    both = sorted(with_mr & with_ct)
    shuffled = [both[i] for i in permutation(seed, 0, HALVES, len(both))]
    half = len(both) // 2
    if len(both) % 2 and len(with_mr - with_ct) <= len(with_ct - with_mr):
        half += 1
    return (with_mr - with_ct) | set(shuffled[:half]), (with_ct - with_mr) | set(shuffled[half:])
