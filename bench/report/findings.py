"""What the lint found in a record's workloads before they were measured."""

from __future__ import annotations

from bench.record import Record


def finding_sentences(record: Record) -> list[str]:
    """A sentence for each finding; and that there was none, where a workload was looked over."""
    said = [f"{name}: {one.severity}: {one.said}." for name, found in record.findings.items() for one in found]
    return said + [f"{name}: the lint found nothing." for name, found in record.findings.items() if not found]
