"""For all tests: one thread, so that workers of a parallel run do not fight for the cores."""

import sys
from pathlib import Path

import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parent))  # for synthetic_heads and synthetic_datasets
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
