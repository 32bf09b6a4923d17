"""What stands for a PACS: an Orthanc of its own, and a small one of pynetdicom that runs everywhere."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelMove,
    RTStructureSetStorage,
    Verification,
)

FIND, MOVE = PatientRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelMove
HOST, OURS, THEIRS = "127.0.0.1", "SYNTHCT", "PACS"
ORTHANC = shutil.which("Orthanc")
START_S = 60
_PENDING, _SUCCESS = 0xFF00, 0x0000


@contextmanager
def small_pacs(folder: Path, destination: int) -> Iterator[int]:
    """Keeps what it is sent, finds it, and sends it to SYNTHCT at the port ``destination``; yields its own port."""
    kept: dict[str, Dataset] = {}

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        kept[dataset.SOPInstanceUID] = dataset
        return _SUCCESS

    def matching(identifier: Dataset) -> list[Dataset]:
        wanted = {name: identifier.get(name) for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")}
        return [file for file in kept.values() if all(not v or file.get(name) == v for name, v in wanted.items())]

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for dataset in matching(event.identifier):
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            for element in event.identifier:
                if element.keyword != "QueryRetrieveLevel":
                    setattr(answer, element.keyword, dataset.get(element.keyword, ""))
            yield _PENDING, answer

    def move(event: evt.Event) -> Iterator[object]:
        found = matching(event.identifier)
        yield HOST, destination, {"ae_title": OURS}
        yield len(found)
        for dataset in found:
            yield _PENDING, dataset

    ae = AE(ae_title=THEIRS)
    for kind in (Verification, MRImageStorage, CTImageStorage, RTStructureSetStorage, FIND, MOVE):
        ae.add_supported_context(kind)
    ae.add_requested_context(MRImageStorage)
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)]
    server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@contextmanager
def orthanc(folder: Path, destination: int) -> Iterator[int]:
    """As :func:`small_pacs`; it talks to SYNTHCT on this machine alone, and its web server is off."""
    port = _free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpServerEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomAet": THEIRS,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowStore": False,
        "DicomModalities": {"synthct": [OURS, HOST, destination]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "orthanc.log", "wb") as log:
        process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + START_S
        while not _answers(port):
            said = (folder / "orthanc.log").read_text(errors="replace")
            assert process.poll() is None and time.monotonic() < until, said
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def _answers(port: int) -> bool:
    ae = AE(ae_title=OURS)
    ae.add_requested_context(Verification)
    association = ae.associate(HOST, port, ae_title=THEIRS)
    if not association.is_established:
        return False
    answer = association.send_c_echo()
    association.release()
    return answer.get("Status") == _SUCCESS


def held(port: int, **wanted: str) -> list[Dataset]:
    """What a PACS says of its images (C-FIND): patient, series, modality and UIDs."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"):
        setattr(query, name, wanted.get(name, ""))
    ae = AE(ae_title=OURS)
    ae.add_requested_context(FIND)
    association = ae.associate(HOST, port, ae_title=THEIRS)
    assert association.is_established
    answers = [answer for status, answer in association.send_c_find(query, FIND) if answer is not None]
    association.release()
    return answers


def ask_to_send(port: int, study_uid: str, series_uid: str, patient_id: str) -> None:
    """Have a PACS send a series to SYNTHCT (C-MOVE)."""
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.PatientID, query.StudyInstanceUID, query.SeriesInstanceUID = patient_id, study_uid, series_uid
    ae = AE(ae_title=OURS)
    ae.add_requested_context(MOVE)
    association = ae.associate(HOST, port, ae_title=THEIRS)
    assert association.is_established
    statuses = [status.get("Status") for status, _ in association.send_c_move(query, OURS, MOVE)]
    association.release()
    assert statuses[-1] == _SUCCESS, statuses
