"""From a PACS and back with the scripts of ``examples/pacs``: an MR arrives, its sCT and body contour are sent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("pynetdicom")

from peers import HOST, ORTHANC, OURS, THEIRS, ask_to_send, held, orthanc, small_pacs
from pydicom.uid import generate_uid
from synthetic_dicom import PATIENT_ID, write_mr
from synthetic_heads import head_mr, make_grid
from tiny_models import write_model

from synthct.commands import predict

EXAMPLES = Path(__file__).parents[2] / "examples" / "pacs"
sys.path.insert(0, str(EXAMPLES))
import send as send_example  # noqa: E402
from receive import receiving  # noqa: E402
from send import NotSent, qa_status, send, series_to_send  # noqa: E402

GRID = make_grid((34, 42, 42), (6, 6, 6), "PIL")
PEERS = {"pynetdicom": small_pacs, "orthanc": orthanc}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def receiver(place):
    with receiving(place / "incoming", aet=OURS) as received:
        yield received


@pytest.fixture(params=["pynetdicom", "orthanc"])
def pacs(request, place, receiver) -> int:
    """The port of a PACS that knows the receiver."""
    if request.param == "orthanc" and ORTHANC is None:
        pytest.skip("Orthanc is not installed")
    with PEERS[request.param](place, receiver.port) as port:
        yield port


@pytest.fixture
def mr(place) -> list[Path]:
    write_mr(head_mr(GRID, scale=3), place / "scanner", description="T1", PatientPosition="HFS")
    return sorted((place / "scanner").iterdir())


def predicted(place: Path, mrs: Path) -> Path:
    model = write_model(place / "model")
    assert predict.main(["-i", str(mrs), "-o", "scts", "-m", str(model), "-device", "cpu", "--body_contour"]) == 0
    (folder,) = (place / "scts").glob("SCT_*")
    return folder


def test_an_mr_of_the_pacs_comes_back_as_an_sct_with_its_qa_status(place, receiver, pacs, mr, capsys):
    send(mr, HOST, pacs, aet=OURS, peer_aet=THEIRS)
    header = pydicom.dcmread(mr[0])
    assert len(held(pacs, PatientID=PATIENT_ID)) == len(mr)

    ask_to_send(pacs, header.StudyInstanceUID, header.SeriesInstanceUID, PATIENT_ID)
    arrived = sorted((place / "incoming").rglob("*.dcm"))
    assert receiver.images == len(arrived) == len(mr)
    sent = {header.SOPInstanceUID: header.PixelData for header in map(pydicom.dcmread, mr)}
    assert {header.SOPInstanceUID: header.PixelData for header in map(pydicom.dcmread, arrived)} == sent

    folder = predicted(place, place / "incoming")
    status = json.loads((place / "scts" / "qa" / f"{folder.name}.json").read_text())["status"]
    assert series_to_send(place / "scts", [status]) == {folder: status}
    others = {"pass", "check", "fail"} - {status}
    assert series_to_send(place / "scts", others) == {}
    arguments = ["scts", HOST, str(pacs), "--aet", OURS, "--peer_aet", THEIRS, "--status"]
    for statuses, word in ((others, "not sent"), ([status], "files sent")):
        capsys.readouterr()
        assert send_example.main([*arguments, *statuses]) == 0
        message = capsys.readouterr().out
        assert f"{folder.name}: QA status {status}" in message and word in message
        slices = {pydicom.dcmread(path).SOPInstanceUID for path in folder.glob("sCT_*.dcm")}
        there = held(pacs, PatientID=PATIENT_ID, StudyInstanceUID=header.StudyInstanceUID, Modality="CT")
        there = {header.SOPInstanceUID for header in there if header.Modality == "CT"}
        assert there == (slices if word == "files sent" else set())
    contours = [header for header in held(pacs, PatientID=PATIENT_ID) if header.Modality == "RTSTRUCT"]
    assert [contour.SOPInstanceUID for contour in contours] == [
        pydicom.dcmread(folder / "body_contour.dcm").SOPInstanceUID
    ]


def test_an_sct_without_quality_assurance_says_so(place):
    (place / "scts" / "SCT_1").mkdir(parents=True)
    (place / "scts" / "SCT_1" / "sCT_0001.dcm").touch()
    assert qa_status(place / "scts" / "SCT_1") == "none"
    assert series_to_send(place / "scts") == {}


def test_a_pacs_that_cannot_be_reached_is_named_with_exit_status_2(place, receiver, mr, capsys):
    with pytest.raises(NotSent, match="OTHER"):
        send(mr, HOST, receiver.port, peer_aet="OTHER")  # which the receiver is not
    (place / "scts" / "SCT_1").mkdir(parents=True)
    mr[0].rename(place / "scts" / "SCT_1" / "sCT_0001.dcm")
    assert send_example.main(["scts", HOST, str(receiver.port), "--status", "none"]) == 2
    message = capsys.readouterr().err
    assert str(receiver.port) in message and message.count("\n") == 1


def test_an_image_that_is_not_an_mr_is_not_received(place, receiver, mr):
    image = pydicom.dcmread(mr[0])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.save_as(place / "ct.dcm")
    with pytest.raises(NotSent):
        send([place / "ct.dcm"], HOST, receiver.port, peer_aet=OURS)
    assert not list(place.glob("incoming/**/*.dcm")) and receiver.images == 0


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_that_is_a_path_is_refused(place, receiver, mr):
    image = pydicom.dcmread(mr[0])
    image.SeriesInstanceUID = "../../elsewhere"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.save_as(place / "bad.dcm")
    with pytest.raises(NotSent, match="0xC000"):
        send([place / "bad.dcm"], HOST, receiver.port, peer_aet=OURS)
    assert not list(place.glob("incoming/**/*.dcm")) and not (place / "elsewhere").exists()
