"""Zip files that no export writes: each is refused in one sentence, and nothing of it is written or executed."""

from __future__ import annotations

import json
import pickle
import random
import stat
import struct
import zipfile

import pytest
from model_files import Payload, check_refused, pack

from synthct.errors import ModelError
from synthct.exchange import check_model_file


def added(name, data=b"x", **info):
    return lambda path, members: pack(path, {**members, name: data}, {name: info})


def entry(name, **info):
    return lambda path, members: pack(path, members, {name: info})


def patched(change):
    """Change the bytes of a proper file."""

    def make(path, members):
        path.write_bytes(change(bytearray(pack(path, members).read_bytes())))
        return path

    return make


def in_central_directory(member, offset, kind, value):
    """Overwrite a field of a member's entry in the list at the end (APPNOTE 4.3.12)."""

    def change(data):
        start = data.rindex(b"PK\x01\x02", 0, data.rindex(member.encode()))
        struct.pack_into(kind, data, start + offset, value)
        return data

    return patched(change)


def renamed_in_place(old, new):
    return patched(lambda data: data.replace(old.encode(), new.encode()))


def without(name):
    return lambda path, members: pack(path, {n: data for n, data in members.items() if n != name})


def duplicate(path, members):
    pack(path, members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("plans.json", members["plans.json"])
    return path


def bomb(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(20 << 20) if name == "qa_reference.json" else data)
    return path


def raw(data):
    return lambda path, members: path.write_bytes(data) and path


def manifest(**changes):
    """The manifest with other values, all else as it was."""

    def make(path, members):
        plain = json.loads(members["manifest.json"]) | changes
        return pack(path, {**members, "manifest.json": json.dumps(plain).encode()})

    return make


def other_hash(path, members):
    files = json.loads(members["manifest.json"])["files"]
    files["plans.json"]["sha256"] = "0" * 64
    return manifest(files=files)(path, members)


ZIPS = {
    "traversal": (added("../../evil.py"), "no name of a file inside a model folder"),
    "traversal in the middle": (added("fold_0/../../evil.py"), "no name of a file inside a model folder"),
    "absolute path": (added("/etc/cron.d/evil"), "no name of a file inside a model folder"),
    "drive letter": (added("C:evil.py"), "no name of a file inside a model folder"),
    "backslashes": (added("..\\evil.py"), "no name of a file inside a model folder"),
    "null byte": (renamed_in_place("model_card.md", "plans\0ison.md"), "no name of a file inside a model folder"),
    "terminal escapes": (added("\x1b[2Jplans.json"), "no name of a file inside a model folder"),
    "folder entry": (added("fold_0/", b""), "no name of a file inside a model folder"),
    "symbolic link": (added("plan", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16), "a link or a device"),
    "link in place of a member": (entry("plans.json", external_attr=stat.S_IFLNK << 16), "a link or a device"),
    "device": (entry("plans.json", external_attr=stat.S_IFCHR << 16), "a link or a device"),
    "duplicate": (duplicate, "is there twice"),
    "names that differ in case": (added("PLANS.JSON"), "is there twice"),
    "unknown member": (added("setup.py", b"import os"), "'setup.py' is not among the files of a model"),
    "unknown member of a fold": (added("fold_0/hook.pth"), "'fold_0/hook.pth' is not among"),
    "known member in the wrong place": (added("fold_0/plans.json"), "is not among the files of a model"),
    "member that is not listed": (added("fold_7/split.json"), "is not listed in the manifest"),
    "missing member": (
        without("fold_1/weights.safetensors"),
        "'fold_1/weights.safetensors' is listed in the manifest but",
    ),
    "no manifest": (without("manifest.json"), "has no manifest.json"),
    "encrypted": (in_central_directory("plans.json", 8, "<H", 1), "is encrypted"),
    "unusual compression": (entry("plans.json", compress_type=zipfile.ZIP_LZMA), "compressed in an unusual way"),
    "zip bomb": (bomb, "would grow from"),
    "huge declared size": (in_central_directory("plans.json", 24, "<L", 4_000_000_000), "claims 4,000,000,000 bytes"),
    "declared smaller than it is": (in_central_directory("plans.json", 24, "<L", 3), "bytes"),
    "overlapping members": (in_central_directory("plans.json", 42, "<L", 1), "overlaps another member"),
    "something before the zip": (patched(lambda data: b"#!/bin/sh\n" + data), "is no zip file"),
    "a zip before the zip": (patched(lambda data: data[:5000] + data), "damaged zip file"),
    "something after the zip": (patched(lambda data: data + b"rm -rf"), "cut off, or something was added"),
    "cut off": (patched(lambda data: data[: len(data) // 2]), "cut off"),
    "cut off at the start of the end": (patched(lambda data: data[:-10]), "cut off"),
    "one bit wrong": (patched(lambda data: data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]), "damaged"),
    "many members": (patched(lambda data: data[:-14] + b"\xff\xff\xff\xff" + data[-10:]), "claims to hold 65535 files"),
    "empty": (lambda path, members: path.touch() or path, "is empty"),
    "web page": (raw(b"\n<!DOCTYPE html><html>Sign in</html>"), "is a web page"),
    "pickle": (raw(pickle.dumps(Payload())), "is no zip file"),
    "nothing but PK": (raw(b"PK\x03\x04"), "cut off"),
    "wrong hash": (other_hash, "plans.json is not what the manifest lists (SHA-256 differs)"),
    "newer version": (manifest(format_version=3, novelty=1), "update synthct"),
    "no version": (manifest(format_version="1"), "does not tell its format_version"),
    "unknown key of the manifest": (manifest(run="rm -rf /"), "the key 'run' is unknown"),
    "manifest of nonsense": (lambda path, m: pack(path, {**m, "manifest.json": b"\xff\x00"}), "is not valid JSON"),
    "manifest that is a list": (lambda path, m: pack(path, {**m, "manifest.json": b"[]"}), "format_version"),
    "deep manifest": (lambda path, m: pack(path, {**m, "manifest.json": b"[" * 500_000}), "is not valid JSON"),
    "huge number": (
        lambda path, m: pack(path, {**m, "manifest.json": b'{"format_version": ' + b"9" * 9999 + b"}"}),
        "is not valid JSON",
    ),
    "key twice": (
        lambda path, m: pack(path, {**m, "manifest.json": b'{"format_version": 1, "format_version": 1}'}),
        "a key stands twice",
    ),
    "dataset that is a path": (manifest(dataset_name="Dataset001_../../../evil"), "no name of a folder"),
    "trainer that is a path": (manifest(trainer="../evil"), "no name of a folder"),
    "configuration with escapes": (manifest(configuration="2d\x1b[2J"), "no name of a folder"),
    "fold that is a path": (manifest(folds=["0", "1", "/../../x"]), "is missing"),
    "fold named twice": (manifest(folds=["0", "1", "1"]), "names no folds, or one twice"),
    "long garbage in the manifest": (manifest(trainer=["\x1b" * 5000]), "must be of type str"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_bad_zip_is_refused(case, members, here, refused):
    make, words = ZIPS[case]
    check_refused(make(here / "model.zip", members), words, here, refused)


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
            assert (found.manifest, found.kept) == (proper.manifest, proper.kept)
    assert refusals > 5


def test_a_file_that_is_missing_or_a_folder_is_told(here, refused):
    assert "is no file" in refused("install_model", "model.zip")
    assert "is no file" in refused("install_model", here)
