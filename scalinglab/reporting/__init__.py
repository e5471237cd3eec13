"""A report on a run table or a study: what it says, as one page for a browser, a PDF, or Markdown."""

from scalinglab.reporting.bundle import need_report
from scalinglab.reporting.report import Report, report
from scalinglab.reporting.views import View

__all__ = ["Report", "View", "need_report", "report"]
