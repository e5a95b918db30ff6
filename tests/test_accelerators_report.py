"""What is said of a GPU's clocks and of devices that one process may hold: from records made by hand."""

from __future__ import annotations

import dataclasses

import msgspec
from records import case, measured, record

from bench.nvml import Gpu, Reading
from bench.record import Record
from bench.report import table
from bench.report.accelerators import sentences

CARDS = (Gpu("GPU-0", "a card", power_limit_w=700.0), Gpu("GPU-1", "a card", power_limit_w=700.0))


def on_gpus(*readings: Reading, gpus: tuple[Gpu, ...] = CARDS) -> Record:
    """A record of two cards that told these readings."""
    made = record(measured(case("single"), [[1e-3]]), platform="gpu")
    backend = dataclasses.replace(made.backend, runtime="PJRT C API; cuda 12090", driver="575.57.08", gpus=gpus)
    return msgspec.structs.replace(made, backend=backend, gpu_readings=readings)


def reading(
    clock_hz: float | None = 1.98e9, throttling: tuple[str, ...] | None = (), device: int = 0, power_w: float = 300.0
) -> Reading:
    return Reading(0, 0, device, power_w, clock_hz, 50.0, throttling)


def test_runtime_driver_power_and_clocks_are_told_in_lines() -> None:
    told = on_gpus(reading(), reading(clock_hz=1.9e9, power_w=512.4))
    assert table.build(told).environment[2:4] == (
        "runtime PJRT C API; cuda 12090; driver 575.57.08",
        "right after rounds: power 300 to 512 W, of 700 W allowed; SM clock 1.90 to 1.98 GHz; at 50 °C",
    )


def test_what_a_card_does_not_tell_is_left_out() -> None:
    silent = Reading(0, 0, 0, None, None, None, None)
    assert not any("right after rounds" in line for line in table.build(on_gpus(silent)).environment)
    assert (
        "right after rounds: SM clock 1.98 GHz"
        in table.build(on_gpus(Reading(0, 0, 0, None, 1.98e9, None, None))).environment
    )
    assert sentences(on_gpus(silent)) == []


def test_a_slice_of_a_card_is_told_to_be_one() -> None:
    parts = (dataclasses.replace(CARDS[0], mig="MIG-7"),)
    told = table.build(on_gpus(reading(), gpus=parts)).environment[3]
    assert told.endswith("(of whole cards, of which MIG slices were used)")


def test_clocks_that_differ_by_over_5_percent_on_one_card_are_warned_of() -> None:
    assert sentences(on_gpus(reading(1.0e9), reading(1.05e9))) == []
    assert sentences(on_gpus(reading(1.0e9), reading(1.5e9, device=1))) == []  # two cards may differ
    (said,) = sentences(on_gpus(reading(1.2e9), reading(1.8e9), reading(1.5e9, device=1)))
    assert said.startswith("The SM clock of GPU 0 differed by 50% between rounds (1.20 to 1.80 GHz): ")


def test_throttling_is_warned_of_with_its_reasons_and_how_often_it_was_seen() -> None:
    hot = reading(throttling=("hardware slowdown", "heat, by the hardware"), device=1)
    (said,) = sentences(on_gpus(reading(), reading(device=1), hot, hot, reading(throttling=None)))
    assert said.startswith("GPU 1 was throttled at 2 of 3 readings (hardware slowdown, heat, by the hardware): ")


def test_workers_that_were_not_alive_at_once_are_told_beside_their_ratios() -> None:
    made = record(measured(case("single"), [[1e-3]]), platform="tpu")
    apart = table.build(msgspec.structs.replace(made, alternation="restarts"))
    assert any("Only one process at a time may hold this tpu: ratios are" in said for said in apart.sentences)
    assert "each had the devices to itself, one after the other in the same restart." in " ".join(apart.legend)
    paired = table.build(made)
    assert not any("one process" in said for said in paired.sentences)
    assert "both were asked in turn in the same rounds." in " ".join(paired.legend)
