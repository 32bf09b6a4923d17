"""A storage SCP: MR images that a PACS or a scanner sends (C-STORE) become files below a folder, a folder a series.

python receive.py incoming --port 11112 --aet SYNTHCT --until_idle 60
synthct_predict -i incoming -o scts --body_contour
python send.py scts pacs.example 104 --peer_aet PACS
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.sop_class import EnhancedMRImageStorage, MRImageStorage, Verification

from synthct.files import written_whole

SUCCESS, CANNOT_UNDERSTAND, OUT_OF_RESOURCES = 0x0000, 0xC000, 0xA700


@dataclass
class Received:
    """What came so far."""

    port: int
    images: int = 0
    last_at: float = 0.0  # time.monotonic() of the last image


@contextmanager
def receiving(folder: Path, *, address: str = "127.0.0.1", port: int = 0, aet: str = "SYNTHCT") -> Iterator[Received]:
    """Listen while the block runs; images are written as ``folder/SERIES_UID/SOP_INSTANCE_UID.dcm``, whole or not.

    Args:
        folder: made where it is missing.
        address: to listen at; ``0.0.0.0`` for other machines.
        port: 0 takes a free one.
        aet: the AE title that senders must call.

    Raises:
        OSError: the port is taken.
    """

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        uids = [UID(str(dataset.get(name, ""))) for name in ("SeriesInstanceUID", "SOPInstanceUID")]
        if not all(uid.is_valid for uid in uids):  # they become the names of a folder and a file
            return CANNOT_UNDERSTAND
        dataset.file_meta = event.file_meta
        try:
            with written_whole(Path(folder) / uids[0] / f"{uids[1]}.dcm") as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
        except OSError as fault:
            print(f"{fault.filename}: {fault.strerror}", file=sys.stderr)
            return OUT_OF_RESOURCES
        received.images, received.last_at = received.images + 1, time.monotonic()
        return SUCCESS

    ae = AE(ae_title=aet)
    ae.require_called_aet = True
    ae.add_supported_context(Verification)
    for kind in (MRImageStorage, EnhancedMRImageStorage):
        ae.add_supported_context(kind)
    received = Received(port)
    server = ae.start_server((address, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    received.port = server.server_address[1]
    try:
        yield received
    finally:
        server.shutdown()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the images")
    parser.add_argument(
        "--address", default="127.0.0.1", help="0.0.0.0: other machines may send (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=11112, help="default: %(default)s")
    parser.add_argument("--aet", default="SYNTHCT", help="own AE title (default: %(default)s)")
    parser.add_argument("--until_idle", type=float, metavar="SECONDS", help="end when no image has come for so long")
    arguments = parser.parse_args(argv)
    try:
        where = {"address": arguments.address, "port": arguments.port, "aet": arguments.aet}
        with receiving(arguments.folder, **where) as received:
            print(f"{arguments.aet} listens at {arguments.address}, port {received.port}", flush=True)
            while not (
                arguments.until_idle and received.images and time.monotonic() - received.last_at > arguments.until_idle
            ):
                time.sleep(0.2)
    except OSError as fault:
        print(
            f"Port {arguments.port} cannot be listened at ({fault.strerror}); choose another --port.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        pass
    print(f"Received {received.images} images into {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
