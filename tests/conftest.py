"""For all tests: one thread, so that workers of a parallel run do not fight for the cores."""

import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parent))  # for synthetic_heads and synthetic_datasets
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


@pytest.fixture(autouse=True)
def no_folders_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say themselves where data are, whatever the user's environment says."""
    for name in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        monkeypatch.delenv(name, raising=False)
