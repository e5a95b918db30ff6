"""Records in other tools' formats, a module for each with `render(sources) -> str`; docs/exports.md says who reads."""

from typing import Literal

Format = Literal["gobench", "github-action-benchmark", "bmf", "pytest-benchmark", "csv", "columns", "job-summary"]
