"""A run that was ended goes on: with what it lacks, where it began, and nowhere else."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import test_conductor
from records import case, measured, record_of
from test_conductor import CASES, SINGLE, WIDE, World, rounds

from bench import resuming
from bench.cli import main
from bench.conductor import Conductor
from bench.events import Before, Event, RoundEnded, Schedule, Started
from bench.measured import REFERENCE
from bench.record import CaseResult, Process, Record, Resumed, read, write
from bench.run import Plan, groups, measure
from toynet.errors import UsageError

STEP_S = 0.001
