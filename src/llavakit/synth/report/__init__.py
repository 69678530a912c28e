"""What a file of instruction data is like: numbers, a terminal's table, one page with everything."""

from llavakit.synth.report.findings import Example, Findings
from llavakit.synth.report.look import SAMPLE, look
from llavakit.synth.report.page import MOST_BYTES, write_report
from llavakit.synth.report.terminal import summary

__all__ = ["MOST_BYTES", "SAMPLE", "Example", "Findings", "look", "summary", "write_report"]
