"""A storage SCU: sCT series that ``synthct_predict`` wrote are sent to a PACS (C-STORE), by their QA status.

python send.py scts pacs.example 104 --peer_aet PACS
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pydicom
from pynetdicom import AE

from synthct.errors import SynthctError
from synthct.qa.qa_report import qa_path, read_status

STATUSES = ("pass", "check", "fail", "none")


class NotSent(Exception):
    """The peer cannot be reached, or did not take an image."""


def qa_status(series: Path) -> str:
    """Of an sCT series' folder: pass, check or fail; none where it was predicted with ``--qa off``.

    Raises:
        SynthctError: the report beside it is damaged.
    """
    report = qa_path(series)
    return read_status(report)[0] if report.exists() else "none"


def series_to_send(scts: Path, statuses: Collection[str] = ("pass", "check")) -> dict[Path, str]:
    """The series' folders that have one of these QA statuses, each with its status."""
    folders = [path for path in sorted(Path(scts).iterdir()) if any(path.glob("sCT_*.dcm"))]
    found = {folder: qa_status(folder) for folder in folders}
    return {folder: status for folder, status in found.items() if status in statuses}


def send(files: Sequence[Path], host: str, port: int, *, aet: str = "SYNTHCT", peer_aet: str = "ANY-SCP") -> None:
    """Send DICOM files over one association, as they are.

    Args:
        files: of any storage class, at most 128 kinds of class and transfer syntax.
        host, port, peer_aet: of the PACS.
        aet: own AE title.

    Raises:
        NotSent: the PACS cannot be reached, or refused an image; what was sent before stays there.
    """
    ae = AE(ae_title=aet)
    headers = [pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]) for path in files]
    for kind, syntax in {(header.SOPClassUID, header.file_meta.TransferSyntaxUID) for header in headers}:
        ae.add_requested_context(kind, syntax)
    association = ae.associate(host, port, ae_title=peer_aet)
    if not association.is_established:
        raise NotSent(f"{peer_aet} at {host}, port {port}, did not take the association; check address and AE titles.")
    try:
        for path in files:
            try:
                status = association.send_c_store(path).get("Status")
            except (ValueError, RuntimeError) as fault:
                raise NotSent(f"{path} was not sent: {fault}") from None
            if status is None or (status != 0 and status >> 12 != 0xB):  # 0xB...: taken, with a warning
                answer = "no answer" if status is None else f"status 0x{status:04X}"
                raise NotSent(f"{path} was not taken by {peer_aet} ({answer}).")
    finally:
        association.release()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scts", type=Path, help="output folder of synthct_predict, with DICOM series")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--aet", default="SYNTHCT", help="own AE title (default: %(default)s)")
    parser.add_argument("--peer_aet", default="ANY-SCP", help="AE title of the PACS (default: %(default)s)")
    parser.add_argument(
        "--status",
        nargs="+",
        choices=STATUSES,
        default=["pass", "check"],
        help="QA statuses to send (default: pass check)",
    )
    arguments = parser.parse_args(argv)
    try:
        for folder, status in series_to_send(arguments.scts, STATUSES).items():
            if status not in arguments.status:
                print(f"{folder.name}: QA status {status}, not sent")
                continue
            files = sorted(folder.glob("*.dcm"))
            peer = (arguments.host, arguments.port)
            send(files, *peer, aet=arguments.aet, peer_aet=arguments.peer_aet)
            print(f"{folder.name}: QA status {status}, {len(files)} files sent")
    except (NotSent, SynthctError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
