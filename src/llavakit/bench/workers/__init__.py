"""Processes that are measured, one for each contender, and one that measures the machine."""
