"""The zip file that carries a model: written plainly, read with suspicion.

Nothing is ever extracted by a name that stands in the file: only members of the names that this version knows are read,
and checked against the manifest before anything is made of them.
"""

from __future__ import annotations

import hashlib
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthct import __version__
from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.file_format import MANIFEST, MAX_BYTES, MIB, FileRecord, Manifest, max_bytes, of_fold
from synthct.files import parse_json
from synthct.json_dataclasses import from_plain, shown, to_plain

REMEDY = "get the file again from whoever exported it"
_MAX_RATIO = 200  # of the text of fingerprints, the most even of our members, deflate makes a twentieth
_END = struct.Struct("<4s4H2LH")  # PKWARE APPNOTE 4.3.16, end of central directory record
_ZIP64_LOCATOR_BYTES = 20  # APPNOTE 4.3.15, before it
_HEADER_BYTES = 30  # APPNOTE 4.3.7, before the name of a member
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error, zlib.error)


def write_archive(path: Path, manifest: Manifest, members: dict[str, bytes]) -> None:
    """Write a zip file, weights as they are and text deflated; the same members make the same bytes.

    Raises:
        ModelError: a member, or all of them, would be larger than what is read again.
    """
    for name, data in members.items():
        if len(data) > max_bytes(name):
            raise ModelError(f"{name} would have {len(data):,} bytes, more than a model file may hold of it.")
    if sum(map(len, members.values())) > MAX_BYTES:
        raise ModelError("The model file would have more than 3 GiB; export fewer folds with -f.")
    listed = {name: FileRecord(len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(members.items())}
    with zipfile.ZipFile(path, "w", allowZip64=False) as archive:
        for name, data in ({MANIFEST: json_bytes(replace(manifest, files=listed))} | members).items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def json_bytes(value: Any) -> bytes:
    """A member of JSON."""
    return (json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


class ModelArchive:
    """An open model file whose members' names, sizes and manifest have been checked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        """Check what can be checked without reading texts and weights; raises ModelError."""
        self.path = path
        self._archive = archive
        self._check_entries()
        self.manifest = self._read_manifest()
        self._check_listed()

    def where(self, member: str) -> str:
        """For messages."""
        return f"{self.path}: {member}"

    def read(self, member: str, limit: int = MAX_BYTES) -> bytes:
        """The member's bytes, once they have the size and the hash of the manifest.

        Raises:
            ModelError: they have not, or they are more than ``limit``.
        """
        size, record = self._archive.getinfo(member).file_size, self.manifest.files[member]
        if size > limit:
            raise ModelError(f"{self.where(member)} has {size:,} bytes, more than {limit:,}; {REMEDY}.")
        data = self._read(member)
        if FileRecord(len(data), hashlib.sha256(data).hexdigest()) != record:
            raise ModelError(f"{self.where(member)} is not what the manifest lists (SHA-256 or size differ); {REMEDY}.")
        return data

    def read_json(self, member: str) -> Any:
        """What a member of JSON holds, of :meth:`read`; None of a member that is not there."""
        if member not in self.manifest.files:
            return None
        return parse_json(self.read(member), self.where(member), ModelError, REMEDY)

    def _read(self, member: str) -> bytes:
        """A member's bytes; zipfile stops at the size that the list of members states, and compares the CRC."""
        try:
            return self._archive.read(member)
        except _DAMAGE as fault:
            raise ModelError(f"{self.where(member)} is damaged ({fault}); {REMEDY}.") from None

    def _check_entries(self) -> None:
        """What the list of members says, before any is read."""
        end, seen, total = 0, set(), 0
        for info in sorted(self._archive.infolist(), key=lambda info: info.header_offset):
            name, size = info.orig_filename, info.file_size
            total += size
            problems = {
                "is not among the files of a model": not max_bytes(name),
                "is there twice": name in seen,
                "is a link or a device": stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG),
                "is encrypted": info.flag_bits & (0x1 | 0x40 | 0x2000),
                "is compressed in an unusual way": info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
                f"claims {size:,} bytes, too many": size > max_bytes(name) or total > MAX_BYTES,
                f"would grow to {size:,} bytes": size > MIB and size > _MAX_RATIO * info.compress_size,
                "overlaps another member": info.header_offset < end,
            }
            for problem, found in problems.items():
                if found:
                    raise ModelError(f"{self.path}: {name[:80]!r} {problem}, so nothing of it was read; {REMEDY}.")
            seen.add(name)
            end = info.header_offset + _HEADER_BYTES + len(name) + info.compress_size
        if end > self._archive.start_dir:
            raise ModelError(f"{self.path} is a damaged zip file (its members overlap their list); {REMEDY}.")

    def _read_manifest(self) -> Manifest:
        if MANIFEST not in self._archive.namelist():
            raise ModelError(f"{self.path} has no {MANIFEST}, so it is not from synthct_export_model; {REMEDY}.")
        where = self.where(MANIFEST)
        plain = parse_json(self._read(MANIFEST), where, ModelError, REMEDY)
        version = plain.get("format_version") if isinstance(plain, dict) else None
        if not isinstance(version, int) or version not in file_format.READABLE:
            remedy = f"have it exported again with synthct {__version__}" if version == 1 else "update synthct"
            raise ModelError(
                f"{where}: format_version is {shown(version)} and not {file_format.FORMAT_VERSION}; {remedy}."
            )
        return from_plain(Manifest, plain, where, error=ModelError)

    def _check_listed(self) -> None:
        there, listed = set(self._archive.namelist()) - {MANIFEST}, self.manifest.files.keys()
        wanted = {
            *file_format.REQUIRED,
            *(of_fold(fold, name) for fold in self.manifest.folds for name in file_format.OF_A_FOLD),
        }
        for names, problem in (
            (there ^ listed, "is not both listed in the manifest and there"),
            (wanted - there, "is missing"),
            (there - wanted - file_format.OPTIONAL.keys(), "belongs to no fold that the manifest names"),
        ):
            if names:
                raise ModelError(f"{self.path}: {min(names)[:80]!r} {problem}; {REMEDY}.")


@contextmanager
def open_archive(path: Path) -> Iterator[ModelArchive]:
    """Open a model file; the texts and weights in it are not read yet.

    Raises:
        ModelError: it is missing, not a zip file, damaged, of another format, or holds what a model file never does.
    """
    path = Path(path)
    try:
        _check_ends(path)
        try:
            archive = zipfile.ZipFile(path)
        except _DAMAGE as fault:
            raise ModelError(f"{path} is a damaged zip file ({fault}); {REMEDY}.") from None
        with archive:
            yield ModelArchive(path, archive)
    except ModelError as fault:
        raise ModelError(_printable(str(fault))) from None


def _printable(text: str) -> str:
    """Refusals quote the file; what it holds shall neither flood a terminal nor rewrite it."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 600 else f"{text[:300]} ... {text[-200:]}"


def _check_ends(path: Path) -> None:
    """Before zipfile sees it: a zip begins at the first byte and ends at the last, and its list of members is short."""
    if not path.is_file():
        raise ModelError(f"{path} is not a file; give the zip file that synthct_export_model wrote.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - _END.size - _ZIP64_LOCATOR_BYTES))
        end = file.read()
    if start != b"PK\x03\x04":
        raise ModelError(f"{path} is not a zip file but, say, the web page of a failed download; {REMEDY}.")
    signature, *_, list_bytes, start_of_list, comment = _END.unpack(end[-_END.size :].rjust(_END.size))
    if signature != b"PK\x05\x06" or comment or start_of_list + list_bytes + _END.size != size:
        raise ModelError(f"{path} is cut off, or something was added to it; {REMEDY}.")
    if end.startswith(b"PK\x06\x07") or list_bytes > MIB or size > MAX_BYTES:
        raise ModelError(f"{path} is larger than any file of synthct_export_model; {REMEDY}.")
