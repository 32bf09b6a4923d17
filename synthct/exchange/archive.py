"""The zip file that carries a model: written plainly, read with suspicion.

Nothing is ever extracted by a name that stands in the file: members are asked for by the names that this version knows,
and checked against the manifest before anything is made of them.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from synthct import __version__
from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.checked_json import read_checked_json
from synthct.exchange.file_format import FORMAT_VERSION, MANIFEST, Manifest
from synthct.files import written_whole
from synthct.json_dataclasses import from_plain

REMEDY = "get the file again from whoever exported it"
_GREATEST_RATIO = 200  # of the text of fingerprints, the most even of our members, deflate makes a twentieth
_END = struct.Struct("<4s4H2LH")  # PKWARE APPNOTE 4.3.16, end of central directory record
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error, zlib.error)
_DATE = (1980, 1, 1, 0, 0, 0)  # the same model makes the same bytes
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a zip file, whole or not at all; weights as they are, text deflated."""
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=False) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, _PLAIN_FILE
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


class ModelArchive:
    """An open model file whose members' names, sizes and manifest have been checked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._archive = archive

    def __contains__(self, member: str) -> bool:
        return member in self.manifest.files

    def size(self, member: str) -> int:
        """Bytes, uncompressed."""
        return self.manifest.files[member].bytes

    def where(self, member: str) -> str:
        """For messages."""
        return f"{self.path}: {member}"

    def read(self, member: str) -> bytes:
        """The member's bytes, once they have the size and the hash of the manifest.

        Raises:
            ModelError: they have not.
        """
        data = _read(self.path, self._archive, member)
        record = self.manifest.files[member]
        if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
            raise ModelError(f"{self.where(member)} is not what the manifest lists (SHA-256 differs); {REMEDY}.")
        return data


@contextmanager
def open_archive(path: Path) -> Iterator[ModelArchive]:
    """Open a model file; the text and weights in it are not read yet.

    Raises:
        ModelError: it is missing, no zip, damaged, of a later format, or holds what a model file never does.
    """
    path = Path(path)
    _check_ends(path)
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as fault:
        raise ModelError(f"{path} is a damaged zip file ({_short(fault)}); {REMEDY}.") from None
    with archive:
        _check_entries(path, archive)
        manifest = _read_manifest(path, archive)
        _check_listed(path, archive, manifest)
        yield ModelArchive(path, archive, manifest)


def _check_ends(path: Path) -> None:
    """Before zipfile sees it: a zip begins at the first byte and ends at the last, and its list of members is short."""
    if not path.is_file():
        raise ModelError(f"{path} is no file; give the zip file that synthct_export_model wrote.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
        file.seek(max(0, size - _END.size - 20))
        end = file.read()
    if not start:
        raise ModelError(f"{path} is empty; {REMEDY}.")
    if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        raise ModelError(f"{path} is a web page and no model, as a failed download leaves it; {REMEDY}.")
    if not start.startswith(b"PK\x03\x04"):
        raise ModelError(f"{path} is no zip file of synthct_export_model; {REMEDY}.")
    if size > file_format.MOST_BYTES:
        raise ModelError(f"{path} has {size:,} bytes, more than any model file ({file_format.MOST_BYTES:,}); {REMEDY}.")
    if size < _END.size or not end[-_END.size :].startswith(b"PK\x05\x06"):
        raise ModelError(f"{path} is cut off, or something was added to its end; {REMEDY}.")
    _, disk, first_disk, here, members, listed_bytes, start_of_list, comment = _END.unpack(end[-_END.size :])
    zip64 = end[: -_END.size].startswith(b"PK\x06\x07") or 0xFFFFFFFF in (listed_bytes, start_of_list)
    if disk or first_disk or comment or here != members or zip64:
        raise ModelError(f"{path} is a kind of zip file that synthct_export_model does not write; {REMEDY}.")
    if members > file_format.MOST_MEMBERS or listed_bytes > file_format.MIB:
        raise ModelError(f"{path} claims to hold {members} files, more than any model file; {REMEDY}.")
    if start_of_list + listed_bytes + _END.size != size:
        raise ModelError(f"{path} is a damaged zip file (its list of members is not at its end); {REMEDY}.")


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    """What the list of members says, before any is read."""
    seen: set[str] = set()
    end = 0  # of the member before, in the file
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.orig_filename
        problem = _problem_of_name(name) or _problem_of_entry(info)
        if name.casefold() in seen:
            problem = "is there twice"
        if info.header_offset != end and end == 0 or info.header_offset < end:
            problem = "overlaps another member" if end else "does not begin where the file does"
        if problem:
            raise ModelError(f"{path}: {name[:80]!r} {problem}, so nothing of it was read; {REMEDY}.")
        seen.add(name.casefold())
        end = info.header_offset + 30 + len(name.encode("utf-8", "replace")) + info.compress_size
    total = sum(info.file_size for info in archive.infolist())
    if total > file_format.MOST_BYTES or end > archive.start_dir:
        raise ModelError(f"{path} claims to hold {total:,} bytes, more than there can be; {REMEDY}.")


def _problem_of_name(name: str) -> str | None:
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        return "is no name of a file inside a model folder"
    return None


def _problem_of_entry(info: zipfile.ZipInfo) -> str | None:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or a device"
    if info.flag_bits & (0x1 | 0x40 | 0x2000):
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way"
    if info.file_size > file_format.most_bytes(info.orig_filename):
        return f"claims {info.file_size:,} bytes, more than such a file can have"
    if info.file_size > file_format.MIB and info.file_size > _GREATEST_RATIO * info.compress_size:
        return f"would grow from {info.compress_size:,} to {info.file_size:,} bytes"
    return None


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise ModelError(f"{path} has no {MANIFEST}, so it is no model file of synthct_export_model; {REMEDY}.")
    where = f"{path}: {MANIFEST}"
    plain = read_checked_json(_read(path, archive, MANIFEST), where, REMEDY)
    version = plain.get("format_version") if isinstance(plain, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelError(f"{where} does not tell its format_version; {REMEDY}.")
    if version < FORMAT_VERSION:
        raise ModelError(
            f"{path} is a model file of format {version}, of an earlier synthct; have it exported again with synthct "
            f"{__version__}, whose format is {FORMAT_VERSION}."
        )
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{path} is a model file of format {version}, but this synthct {__version__} reads up to {FORMAT_VERSION}; "
            "update synthct."
        )
    manifest = from_plain(Manifest, plain, where, error=ModelError)
    names = (manifest.dataset_name, manifest.trainer, manifest.configuration)
    if not all(map(file_format.is_safe_name, names)) or not re.fullmatch(r"Dataset\d{3}_.+", manifest.dataset_name):
        raise ModelError(f"{where} names a dataset, trainer or configuration that is no name of a folder; {REMEDY}.")
    if not file_format.is_package(manifest.trainer_package):
        raise ModelError(f"{where} has a trainer_package that is not a package with its version; {REMEDY}.")
    if not re.fullmatch(r"[0-9a-f]{12}", manifest.model_hash):
        raise ModelError(f"{where} has no proper model_hash; {REMEDY}.")
    if not manifest.folds or len(set(manifest.folds)) != len(manifest.folds):
        raise ModelError(f"{where} names no folds, or one twice; {REMEDY}.")
    return manifest


def _check_listed(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    there = {info.filename: info.file_size for info in archive.infolist() if info.filename != MANIFEST}
    for name in sorted(there):
        if not file_format.is_known(name):
            raise ModelError(f"{path}: {name[:80]!r} is not among the files of a model; {REMEDY}.")
    for name in sorted(there.keys() ^ manifest.files.keys()):
        what = "is not listed in the manifest" if name in there else "is listed in the manifest but missing"
        raise ModelError(f"{path}: {name[:80]!r} {what}; {REMEDY}.")
    wanted = {
        *file_format.REQUIRED,
        *(file_format.of_fold(fold, n) for fold in manifest.folds for n in file_format.OF_A_FOLD),
    }
    if missing := sorted(wanted - there.keys()):
        raise ModelError(f"{path}: {missing[0][:80]!r} is missing; {REMEDY}.")
    if extra := sorted(there.keys() - wanted - set(file_format.OPTIONAL)):
        raise ModelError(f"{path}: {extra[0]!r} belongs to no fold that the manifest names; {REMEDY}.")
    for name, record in manifest.files.items():
        if record.bytes != there[name]:
            raise ModelError(
                f"{path}: {name} has {there[name]:,} bytes and not the {record.bytes:,} of the manifest; {REMEDY}."
            )


def _read(path: Path, archive: zipfile.ZipFile, member: str) -> bytes:
    """A member's bytes; zipfile stops at the size that the list of members tells and compares the CRC."""
    try:
        with archive.open(member) as file:
            return file.read(file_format.most_bytes(member) + 1)
    except _DAMAGE as fault:
        raise ModelError(f"{path}: {member} is damaged ({_short(fault)}); {REMEDY}.") from None


def _short(fault: Exception) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(fault))[:120] or type(fault).__name__
