"""What the lint found in a record's workloads before they were measured."""

from __future__ import annotations

from bench.record import Record


def finding_sentences(record: Record) -> list[str]:
    """A sentence for each finding that isn't said elsewhere; and where a workload has none, that it was looked over."""
    refusing = {
        of.case.workload
        for of in record.cases
        if of.certificate is not None and of.certificate.refused and not of.certificate.failures
    }
    said = [
        f"{name}: {one.severity}: {one.said}."
        for name, found in record.findings.items()
        for one in found
        if one.kind != "mode" or name not in refusing  # whose modes are named by `unchecked_sentences`
    ]
    return said + [f"{name}: the lint found nothing." for name, found in record.findings.items() if not found]
