"""Model files whose manifest lists what they hold, and whose content no export writes: each is refused in one sentence.

Every case takes the members of a proper file and makes the worst of them, so that only what reads it can refuse it.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from model_files import (
    Payload,
    changed_json,
    changed_network,
    check_refused,
    header_of,
    pack,
    safetensors,
    with_manifest,
)

WEIGHTS = "fold_0/weights.safetensors"
FIRST = "syn_ct.layers.1.bias"


def weights(make):
    """Other bytes in place of a fold's weights."""
    return lambda members: with_manifest({**members, WEIGHTS: make(members[WEIGHTS])})


def header(change):
    """A safetensors file with another header and the same numbers."""

    def make(data):
        plain, numbers = header_of(data)
        change(plain)
        return safetensors(plain, numbers)

    return weights(make)


def tensor(**changes):
    return header(lambda plain: plain[FIRST].update(changes))


def overlapping(plain):
    plain[FIRST]["data_offsets"] = plain["syn_mr.layers.1.bias"]["data_offsets"]  # of the same shape


def first_weight(value):
    def make(data):
        plain, numbers = header_of(data)
        start = plain[FIRST]["data_offsets"][0]
        changed = bytearray(numbers)
        changed[start : start + 4] = np.float32(value).tobytes()
        return safetensors(plain, bytes(changed))

    return weights(make)


def pickled_checkpoint(data):
    path = Path("checkpoint.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload()))
    packed = path.read_bytes()
    path.unlink()
    return packed


def other(member, **changes):
    """Other values in a member of JSON."""
    return lambda members: changed_json(members, member, **changes)


def network(**changes):
    return lambda members: changed_network(members, **changes)


def case_id(name):
    def make(members):
        fingerprint = json.loads(members["dataset_fingerprint.json"])
        fingerprint["cases"][name] = fingerprint["cases"].pop("P1")
        return changed_json(members, "dataset_fingerprint.json", cases=fingerprint["cases"])

    return make


CONTENTS = {
    "pickle in place of weights": (weights(lambda data: pickle.dumps(Payload())), "no safetensors file"),
    "checkpoint in place of weights": (weights(pickled_checkpoint), "no safetensors file"),
    "no weights": (weights(lambda data: b""), "no safetensors file"),
    "huge header": (weights(lambda data: safetensors({}, length=1 << 62)), "its header does not fit"),
    "header longer than the file": (weights(lambda data: safetensors({}, length=900)), "its header does not fit"),
    "header that is no JSON": (weights(lambda data: safetensors(b"\x80\x04K\x01.")), "is not valid JSON"),
    "header that is a list": (weights(lambda data: safetensors([])), "its header is no table"),
    "deep header": (weights(lambda data: safetensors(b'{"a":' * 9000)), "is not valid JSON"),
    "tensor twice": (weights(lambda data: safetensors(b'{"a": 1, "a": 2}')), "a key stands twice"),
    "no tensors": (weights(lambda data: safetensors({})), "lacks the tensor"),
    "one tensor too many": (header(lambda plain: plain.update(evil=plain[FIRST])), "has the tensor 'evil'"),
    "one tensor missing": (header(lambda plain: plain.pop(FIRST)), f"lacks the tensor '{FIRST}'"),
    "tensor that is no table": (header(lambda plain: plain.update({FIRST: 7})), "does not say what"),
    "wrong type": (tensor(dtype="F64"), "of type 'F64' and not F32"),
    "type that is a list": (tensor(dtype=["F32"]), "and not F32"),
    "wrong shape": (tensor(shape=[1, 2]), "of shape [1, 2] and not [2]"),
    "negative shape": (tensor(shape=[-2]), "of shape [-2]"),
    "shape of huge numbers": (tensor(shape=[1 << 62, 1 << 62]), "and not [2]"),
    "shape of booleans": (tensor(shape=[True, True]), "and not [2]"),
    "offsets behind the file": (tensor(data_offsets=[1 << 40, 8 + (1 << 40)]), "where another tensor lies or none"),
    "negative offsets": (tensor(data_offsets=[-8, 0]), "which do not hold its shape"),
    "offsets backwards": (tensor(data_offsets=[8, 0]), "which do not hold its shape"),
    "overlapping tensors": (header(overlapping), "where another tensor lies or none ends"),
    "numbers left over": (weights(lambda data: data + bytes(8)), "bytes of numbers and not"),
    "numbers missing": (weights(lambda data: data[:-8]), "bytes of numbers and not"),
    "metadata that is no text": (header(lambda plain: plain.update(__metadata__={"a": [1]})), "is damaged"),
    "NaN": (first_weight(np.nan), f"{FIRST} holds NaN or infinite"),
    "infinity": (first_weight(-np.inf), f"{FIRST} holds NaN or infinite"),
    "weights of another model": (first_weight(1.0), "have the hash"),
    "weights far larger than the network": (weights(lambda data: data + bytes(3 << 20)), "more than the network"),
    "network of a million channels": (network(base_channels=1_000_000), "base_channels must lie between 1 and 512"),
    "network of a million blocks": (network(n_blocks=1_000_000), "n_blocks must lie between 1 and 64"),
    "another network": (network(base_channels=3), "as plans.json has it"),
    "plan of another dataset": (other("plans.json", dataset_name="Dataset002_X"), "is not of the model"),
    "plan without the configuration": (other("plans.json", configurations={}), "configurations"),
    "unknown key of the plan": (other("plans.json", hook="os.system"), "the key 'hook' is unknown"),
    "plan with NaN": (other("plans.json", n_folds=float("nan")), "NaN is no"),
    "plan of a newer version": (other("plans.json", format_version=9), "format_version is 9"),
    "newer model card": (other("model_card.json", format_version=3), "update synthct"),
    "model card of another model": (other("model_card.json", model_hash="0" * 12), "of another model"),
    "model card with a wrong type": (other("model_card.json", patients="all"), "'patients' must be"),
    "case id that is a path": (case_id("../../evil"), "cannot be a patient's files' name"),
    "case id with escapes": (case_id("\x1b[2J"), "cannot be a patient's files' name"),
    "split that is text": (other("fold_0/split.json", train="P1"), "'train' must be a list"),
    "training of nonsense": (other("fold_0/training.json", epoch="last"), "'epoch' must be"),
    "dataset.json without channels": (other("dataset.json", channel_names=[]), "channel_names"),
    "metrics without patients": (other("metrics.json", held_out=[{}]), "every row must have a patient"),
    "reference of nonsense": (other("qa_reference.json", patients=3), "'patients' must be a table"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_bad_content_is_refused_though_the_manifest_lists_it(case, members, here, refused):
    make, words = CONTENTS[case]
    check_refused(pack(here / "model.zip", make(members)), words, here, refused)


def test_the_members_that_were_made_worse_install_when_they_are_not(members, here, run):
    run("install_model", pack(here / "model.zip", with_manifest(members)))
