"""Nothing leaves the machine, and nothing that is written says who the patients are, but DICOM that must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from identities import IDENTITIES, PERSON, identities_in, unpacked
from synthetic_dicom import NAME, PATIENT_ID

ROOT = Path(__file__).parent.parent
# Runs at the start of every Python process, workers included: whatever asks for a network is noted.
_SITECUSTOMIZE = """
import os, sys

def _note(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        if event in ("socket.gethostname", "socket.__new__"):
            harmless = event == "socket.gethostname" or arguments[1] == 1  # AF_UNIX
        elif event == "socket.sendmsg":  # how the processes that load slices hand over memory
            harmless = arguments[0].family == 1
        else:
            address = arguments[1] if event.startswith("socket.") and len(arguments) > 1 else None
            harmless = isinstance(address, (str, bytes)) and event in ("socket.connect", "socket.bind")  # a path
        if not harmless:
            with open(os.environ["NETWORK_NOTES"], "a") as file:
                file.write(f"{event} {arguments!r}\\n")

sys.addaudithook(_note)
with open(os.environ["NETWORK_NOTES"], "a") as file:
    file.write(f"watched: {os.getpid()}\\n")
"""


@pytest.fixture(scope="module", params=["short", pytest.param("thorough", marks=pytest.mark.long)])
def home(tmp_path_factory, request) -> Path:
    """Where every command has been run once: by somebody, on a host and in a folder whose names identify, too."""
    folder = tmp_path_factory.mktemp("privacy")
    work, hook = folder / PERSON / "work", folder / "hook"
    work.mkdir(parents=True)
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("synthct_")} | {
        "PYTHONPATH": os.pathsep.join(map(str, (hook, ROOT, ROOT / "tests"))),
        "NETWORK_NOTES": str(folder / "notes.txt"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),  # so that the cache of fonts is made anew
        "USER": PERSON,
        "LOGNAME": PERSON,
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "every_command", f"--{request.param}"]
    if can_unshare():  # no network at all, not even a loopback
        command = ["unshare", "-n", "-u", "sh", "-c", f'hostname {PERSON}; exec "$@"', "-", *command]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (folder / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return work


def can_unshare() -> bool:
    """Whether processes can be started without a network here."""
    if shutil.which("unshare") is None or shutil.which("hostname") is None:
        return False
    return subprocess.run(["unshare", "-n", "-u", "true"], capture_output=True, check=False).returncode == 0


def written(home: Path) -> list[Path]:
    """All files that the commands wrote."""
    return [path for path in home.rglob("*") if path.is_file() and "input" not in path.relative_to(home).parts[:1]]


def test_no_command_opens_a_network_connection(home):
    notes = (home.parent.parent / "notes.txt").read_text().splitlines()
    assert sum(note.startswith("watched") for note in notes) >= 4  # this process and workers
    assert [note for note in notes if not note.startswith("watched")] == []


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket()",
        "socket.getaddrinfo('localhost', 80)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
        "__import__('urllib.request').request.urlopen('http://127.0.0.1:9')",
        "__import__('multiprocessing').get_context('spawn').Process(target=print).start(); socket.socket()",
    ],
)
def test_the_watch_notices_an_attempt(tmp_path, attempt):
    (tmp_path / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NETWORK_NOTES": str(tmp_path / "notes.txt")}
    subprocess.run(
        [sys.executable, "-c", f"import socket; {attempt}"], env=environment, capture_output=True, check=False
    )
    assert any(not note.startswith("watched") for note in (tmp_path / "notes.txt").read_text().splitlines())


@pytest.mark.skipif(not can_unshare(), reason="needs the right to start processes without a network")
def test_every_command_works_without_a_network(home):
    assert (home / "synthct_results" / "Dataset003_Brain" / "evaluation" / "summary.csv").is_file()


def test_only_dicom_tells_who_the_patients_are(home):
    found = {
        str(path.relative_to(home)): words
        for path in written(home)
        if path.suffix != ".dcm" and not is_raw_image(path) and (words := identities_in(path, home))
    }
    assert found == {}


def is_raw_image(path: Path) -> bool:
    """Into which this test has written identities itself."""
    return "synthct_raw" in path.parts and path.name.endswith(".nii.gz")


def test_the_search_finds_what_is_packed(home):
    raw = next((home / "synthct_raw" / "Dataset003_Brain").rglob("*.nii.gz"))
    assert len(identities_in(raw, home)) >= 3
    kinds = {path.suffix for path in written(home)}
    assert kinds >= {".json", ".csv", ".html", ".png", ".npz", ".pth", ".gz", ".mha", ".nrrd", ".dcm"}
    report = home / "synthct_results" / "Dataset003_Brain" / "evaluation" / "report.html"
    assert sum(1 for _ in unpacked(report.read_bytes())) > 5


def test_dicom_goes_back_to_its_patient_and_leaves_the_physicians_behind(home):
    slices = sorted((home / "scts_dicom").rglob("*.dcm"))
    assert {pydicom.dcmread(path).PatientID for path in slices} == {f"{PATIENT_ID}-{number}" for number in range(3)}
    assert str(pydicom.dcmread(slices[0]).PatientName) == NAME
    assert not any(word in str(path.relative_to(home)) for path in slices for word in IDENTITIES)


def test_messages_name_no_person_but_in_the_folders_that_were_typed(home):
    said = (home.parent.parent / "said.txt").read_text(encoding="utf-8")
    message = "\n".join(line for line in said.splitlines() if not line.startswith("$ "))
    message = message.replace(str(home), "here").replace(f"input/{PERSON}", "input")
    assert [word for word in IDENTITIES if word in message] == []
