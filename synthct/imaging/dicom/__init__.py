"""DICOM in: which MR and CT series a folder holds, and each as a volume on a regular grid."""

from synthct.imaging.dicom.finding import PatientsBy, find_series
from synthct.imaging.dicom.reading import read_series
from synthct.imaging.dicom.series import DicomSeries, DicomSlice

__all__ = ["DicomSeries", "DicomSlice", "PatientsBy", "find_series", "read_series"]
