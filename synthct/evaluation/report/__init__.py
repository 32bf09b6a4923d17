"""``report.html``: one page that holds an evaluation whole, opens from the disk and needs no network."""

from synthct.evaluation.report.build import REPORT_NAME, ReportContent, write_report

__all__ = ["REPORT_NAME", "ReportContent", "write_report"]
