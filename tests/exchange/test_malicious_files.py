"""Files that no export writes: each is refused in one sentence, and nothing of it is written or executed.

``ZIPS`` are bad as zip files, or by their manifest. ``CONTENTS`` have a proper manifest that lists them, so that only
what reads a member can refuse it. Every case is made from the members of a proper file, and names what the message
must quote.
"""

from __future__ import annotations

import json
import pickle
import random
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from model_files import Payload, changed_json, pack, with_manifest

from synthct.errors import ModelError
from synthct.exchange import check_model_file

WEIGHTS, FIRST = "fold_0/weights.safetensors", "syn_ct.layers.1.bias"


def added(name, data=b"x", **info):
    return lambda path, members: pack(path, {**members, name: data}, {name: info})


def entry(name, **info):
    return lambda path, members: pack(path, members, {name: info})


def without(name):
    return lambda path, members: pack(path, {n: data for n, data in members.items() if n != name})


def patched(change):
    """Change the bytes of a proper file."""
    return lambda path, members: path.write_bytes(change(bytearray(pack(path, members).read_bytes())))


def in_central_directory(member, offset, kind, value):
    """Overwrite a field of a member's entry in the list at the end (APPNOTE 4.3.12)."""

    def change(data):
        start = data.rindex(b"PK\x01\x02", 0, data.rindex(member.encode()))
        struct.pack_into(kind, data, start + offset, value)
        return data

    return patched(change)


def duplicate(path, members):
    pack(path, members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("plans.json", members["plans.json"])


def bomb(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(20 << 20) if name == "qa_reference.json" else data)


def raw(data):
    return lambda path, members: path.write_bytes(data)


def manifest(**changes):
    """The manifest with other values, all else as it was."""
    return lambda path, members: added(
        "manifest.json", json.dumps(json.loads(members["manifest.json"]) | changes).encode()
    )(path, members)


def other_hash(path, members):
    files = json.loads(members["manifest.json"])["files"]
    files["plans.json"]["sha256"] = "0" * 64
    manifest(files=files)(path, members)


ZIPS = {
    "traversal": (added("../../evil.py"), "evil.py"),
    "traversal in the middle": (added("fold_0/../../evil.py"), "fold_0/../../evil.py"),
    "absolute path": (added("/etc/cron.d/evil"), "/etc/cron.d/evil"),
    "absolute path of a known member": (added("/plans.json"), "'/plans.json'"),
    "drive letter": (added("C:evil.py"), "C:evil.py"),
    "backslashes": (added("..\\evil.py"), "evil.py"),
    "null byte": (patched(lambda data: data.replace(b"model_card.md", b"plans\0ison.md")), "ison.md"),
    "terminal escapes": (added("\x1b[2Jplans.json"), "plans.json"),
    "folder entry": (added("fold_0/", b""), "fold_0/"),
    "symbolic link": (entry("plans.json", external_attr=(stat.S_IFLNK | 0o777) << 16), "plans.json"),
    "device": (entry("plans.json", external_attr=stat.S_IFCHR << 16), "plans.json"),
    "duplicate": (duplicate, "plans.json"),
    "names that differ in case": (added("PLANS.JSON"), "PLANS.JSON"),
    "unknown member": (added("setup.py", b"import os"), "setup.py"),
    "unknown member of a fold": (added("fold_0/hook.pth"), "fold_0/hook.pth"),
    "known member in the wrong place": (added("fold_0/plans.json"), "fold_0/plans.json"),
    "member of a fold that is not one": (added("fold_01/split.json"), "fold_01/split.json"),
    "member that is not listed": (added("fold_7/split.json"), "fold_7/split.json"),
    "missing member": (without(WEIGHTS), WEIGHTS),
    "no manifest": (without("manifest.json"), "manifest.json"),
    "encrypted": (in_central_directory("plans.json", 8, "<H", 1), "plans.json"),
    "unusual compression": (entry("plans.json", compress_type=zipfile.ZIP_LZMA), "plans.json"),
    "zip bomb": (bomb, "qa_reference.json"),
    "huge declared size": (in_central_directory("plans.json", 24, "<L", 4_000_000_000), "4,000,000,000"),
    "declared smaller than it is": (in_central_directory("plans.json", 24, "<L", 3), "plans.json"),
    "overlapping members": (in_central_directory("plans.json", 42, "<L", 1), "overlaps"),
    "something before the zip": (patched(lambda data: b"#!/bin/sh\n" + data), ""),
    "a zip before the zip": (patched(lambda data: data[:5000] + data), ""),
    "something after the zip": (patched(lambda data: data + b"rm -rf"), ""),
    "cut off": (patched(lambda data: data[: len(data) // 2]), ""),
    "cut off at the start of the end": (patched(lambda data: data[:-10]), ""),
    "one bit wrong": (patched(lambda data: data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]), ""),
    "more members than there can be": (
        lambda path, members: pack(path, members | {f"fold_{n}/split.json": b"" for n in range(30_000)}),
        "",
    ),
    "zip64": (patched(lambda data: data[:-42] + b"PK\x06\x07" + data[-38:]), ""),
    "empty": (raw(b""), ""),
    "web page": (raw(b"\n<!DOCTYPE html><html>Sign in</html>"), ""),
    "pickle": (raw(pickle.dumps(Payload())), ""),
    "nothing but PK": (raw(b"PK\x03\x04"), ""),
    "wrong hash": (other_hash, "plans.json"),
    "newer version": (manifest(format_version=4, novelty=1), "format_version"),
    "no version": (manifest(format_version="2"), "format_version"),
    "unknown key of the manifest": (manifest(run="rm -rf /"), "'run'"),
    "manifest of nonsense": (added("manifest.json", b"\xff\x00"), "manifest.json"),
    "manifest that is a list": (added("manifest.json", b"[]"), "format_version"),
    "deep manifest": (added("manifest.json", b"[" * 500_000), "manifest.json"),
    "huge number": (added("manifest.json", b'{"format_version": ' + b"9" * 9999 + b"}"), "manifest.json"),
    "key twice": (added("manifest.json", b'{"format_version": 2, "format_version": 2}'), "format_version"),
    "dataset that is a path": (manifest(dataset_name="Dataset001_../../../evil"), "Dataset001_../../../evil"),
    "dataset without a number": (manifest(dataset_name="Heads"), "'Heads'"),
    "trainer that is a path": (manifest(trainer="../evil"), "../evil"),
    "configuration with escapes": (manifest(configuration="2d\x1b[2J"), "2d"),
    "hash that is not one": (manifest(model_hash="../evil"), "../evil"),
    "fold that is a path": (manifest(folds=["0", "1", "/../../x"]), "/../../x"),
    "fold named twice": (manifest(folds=["0", "1", "1"]), "'1', '1'"),
    "no folds": (manifest(folds=[]), "folds"),
    "long garbage in the manifest": (manifest(trainer=["\x1b" * 5000]), "'trainer'"),
}


def member(name, make):
    """Other bytes in place of a member, listed in the manifest."""
    return lambda path, members: pack(path, with_manifest({**members, name: make(members[name])}))


def other(name, **changes):
    """Other values in a member of JSON."""
    return lambda path, members: pack(path, changed_json(members, name, **changes))


def network(**changes):
    """Another network of the CycleGAN in the plan."""

    def make(data):
        plan = json.loads(data)
        plan["configurations"]["small"]["methods"]["cyclegan"] |= changes
        return json.dumps(plan).encode()

    return member("plans.json", make)


def safetensors(plain, numbers=b"", length=None):
    text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + numbers


def weights(*of_safetensors, **how):
    return member(WEIGHTS, lambda data: safetensors(*of_safetensors, **how))


def header(change):
    """A safetensors file with another header and the same numbers."""

    def make(data):
        length = int.from_bytes(data[:8], "little")
        plain = json.loads(data[8 : 8 + length])
        change(plain)
        return safetensors(plain, data[8 + length :])

    return member(WEIGHTS, make)


def tensor(**changes):
    return header(lambda plain: plain[FIRST].update(changes))


def overlapping(plain):
    plain[FIRST]["data_offsets"] = plain["syn_mr.layers.1.bias"]["data_offsets"]  # of the same shape


def first_weight(value):
    def make(data):
        start = 8 + int.from_bytes(data[:8], "little")
        start += json.loads(data[8:start])[FIRST]["data_offsets"][0]
        return data[:start] + np.float32(value).tobytes() + data[start + 4 :]

    return member(WEIGHTS, make)


def pickled_checkpoint(data):
    path = Path("checkpoint.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload()))
    packed = path.read_bytes()
    path.unlink()
    return packed


def case_id(name):
    def make(data):
        fingerprint = json.loads(data)
        fingerprint["cases"][name] = fingerprint["cases"].pop("P1")
        return json.dumps(fingerprint).encode()

    return member("dataset_fingerprint.json", make)


CONTENTS = {
    "pickle in place of weights": (member(WEIGHTS, lambda data: pickle.dumps(Payload())), WEIGHTS),
    "checkpoint in place of weights": (member(WEIGHTS, pickled_checkpoint), WEIGHTS),
    "no weights": (member(WEIGHTS, lambda data: b""), WEIGHTS),
    "huge header": (weights({}, length=1 << 62), WEIGHTS),
    "header longer than the file": (weights({}, length=900), WEIGHTS),
    "header that is no JSON": (weights(b"\x80\x04K\x01."), WEIGHTS),
    "header that is a list": (weights([]), WEIGHTS),
    "deep header": (weights(b'{"a":' * 9000), WEIGHTS),
    "tensor twice": (weights(b'{"a": 1, "a": 2}'), WEIGHTS),
    "no tensors": (weights({}), "'syn_ct.layers.1.bias'"),
    "one tensor too many": (header(lambda plain: plain.update(evil=plain[FIRST])), WEIGHTS),
    "one empty tensor too many": (
        header(lambda plain: plain.update(evil=plain[FIRST] | {"shape": [0], "data_offsets": [0, 0]})),
        "'evil'",
    ),
    "one tensor missing": (header(lambda plain: plain.pop(FIRST)), WEIGHTS),
    "one tensor by another name": (header(lambda plain: plain.update(evil=plain.pop(FIRST))), "'evil'"),
    "tensor that is not a table": (header(lambda plain: plain.update({FIRST: 7})), WEIGHTS),
    "wrong type": (tensor(dtype="F64"), WEIGHTS),
    "wrong type of the same size": (tensor(dtype="I32"), "int32"),
    "type that is a list": (tensor(dtype=["F32"]), WEIGHTS),
    "wrong shape": (tensor(shape=[1, 2]), "[1, 2]"),
    "negative shape": (tensor(shape=[-2]), WEIGHTS),
    "shape of huge numbers": (tensor(shape=[1 << 62, 1 << 62]), WEIGHTS),
    "shape of booleans": (tensor(shape=[True, True]), WEIGHTS),
    "offsets behind the file": (tensor(data_offsets=[1 << 40, 8 + (1 << 40)]), WEIGHTS),
    "negative offsets": (tensor(data_offsets=[-8, 0]), WEIGHTS),
    "offsets backwards": (tensor(data_offsets=[8, 0]), WEIGHTS),
    "overlapping tensors": (header(overlapping), WEIGHTS),
    "numbers left over": (member(WEIGHTS, lambda data: data + bytes(8)), WEIGHTS),
    "numbers missing": (member(WEIGHTS, lambda data: data[:-8]), WEIGHTS),
    "metadata that is not text": (header(lambda plain: plain.update(__metadata__={"a": [1]})), WEIGHTS),
    "NaN": (first_weight(np.nan), FIRST),
    "infinity": (first_weight(-np.inf), FIRST),
    "weights of another model": (first_weight(1.0), "hash"),
    "weights far larger than the network": (member(WEIGHTS, lambda data: data + bytes(3 << 20)), WEIGHTS),
    "network of a million channels": (network(base_channels=1_000_000), "base_channels"),
    "network of a million blocks": (network(n_blocks=1_000_000), "n_blocks"),
    "another network": (network(base_channels=3), WEIGHTS),
    "plan of another dataset": (other("plans.json", dataset_name="Dataset002_X"), "plans.json"),
    "plan without the configuration": (other("plans.json", configurations={}), "configurations"),
    "unknown key of the plan": (other("plans.json", hook="os.system"), "'hook'"),
    "plan with NaN": (other("plans.json", n_folds=float("nan")), "NaN"),
    "plan of a newer version": (other("plans.json", format_version=9), "format_version"),
    "case id that is a path": (case_id("../../evil"), "../../evil"),
    "case id that is hidden": (case_id(".evil"), ".evil"),
    "case id with escapes": (case_id("\x1b[2J"), "dataset_fingerprint.json"),
    "case id of a split that is a path": (other("fold_0/split.json", train=["../../evil"]), "../../evil"),
    "split that is text": (other("fold_0/split.json", train="P1"), "'train'"),
    "training of nonsense": (other("fold_0/training.json", epoch="last"), "'epoch'"),
    "dataset.json without channels": (other("dataset.json", channel_names=[]), "channel_names"),
    "metrics without patients": (other("metrics.json", held_out=[{}]), "metrics.json"),
    "baselines without a model": (other("metrics.json", baselines=[{}]), "metrics.json"),
    "metrics of a million patients": (
        other("metrics.json", test=[{"patient": "P", "mae_hu": 1}] * 1_000_000),
        "metrics.json",
    ),
    "reference of nonsense": (other("qa_reference.json", patients=3), "'patients'"),
}


@pytest.mark.parametrize("case", [*ZIPS, *CONTENTS])
def test_a_bad_file_is_refused_and_nothing_of_it_is_written(case, members, here, refused):
    make, quoted = (ZIPS | CONTENTS)[case]
    make(here / "model.zip", members)
    message = refused("install_model", "model.zip")
    assert "model.zip" in message and quoted in message, message
    assert {file.name for file in here.rglob("*")} == {"synthct_results", "model.zip"}


def test_the_members_that_were_made_worse_install_when_they_are_not(members, here, run):
    run("install_model", pack(here / "model.zip", with_manifest(members)))


@pytest.mark.parametrize("seed", range(5))
def test_random_damage_is_refused_or_changes_nothing(seed, shared_file, here):
    proper, whole = check_model_file(shared_file), shared_file.read_bytes()
    generator, refusals = random.Random(seed), 0
    for _ in range(20):
        damaged = bytearray(whole)
        for _ in range(generator.choice([1, 2, 8])):
            place = generator.choice([generator.randrange(len(whole)), len(whole) - 1 - generator.randrange(900)])
            damaged[place] = generator.randrange(256)
        (here / "model.zip").write_bytes(damaged)
        try:
            found = check_model_file(here / "model.zip")
        except ModelError:
            refusals += 1
        else:  # the damage is where a zip holds dates and the like
            assert (found.manifest, found.texts()) == (proper.manifest, proper.texts())
    assert refusals > 5


@pytest.mark.parametrize("path", ["model.zip", "."], ids=["missing", "folder"])
def test_what_is_not_a_file_is_refused(path, here, refused):
    assert str(here / path) in refused("install_model", here / path)
