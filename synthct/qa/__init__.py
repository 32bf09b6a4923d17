"""Quality assurance of a prediction: what is measured, what it is compared with, and the status."""

from synthct.qa.judge import Judgement, judge
from synthct.qa.measure_sct import HuFacts, Measurements, measure_hu, measure_output
from synthct.qa.mr_facts import MrFacts, measure_mr
from synthct.qa.qa_reference import PatientRecord, Reference
from synthct.qa.qa_report import QaReport, qa_path

__all__ = [
    "HuFacts",
    "Judgement",
    "Measurements",
    "MrFacts",
    "PatientRecord",
    "QaReport",
    "Reference",
    "judge",
    "measure_hu",
    "measure_mr",
    "measure_output",
    "qa_path",
]
