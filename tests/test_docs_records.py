"""docs/records.md has every field of every kind of record, and no other."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from bench import comparison, noise, record
from bench.peers import record as peers

PAGE = (Path(__file__).parent.parent / "docs" / "records.md").read_text(encoding="utf-8")
KINDS = {"run": record, "comparison": comparison, "noise": noise, "peers": peers}
ROOTS = (record.Record, comparison.Comparison, noise.Noise, peers.Peers)
# Whose name another struct has, too.
HEADINGS = {peers.Sample: "Sample of peers"}


def parts(struct: type) -> Iterator[type]:
    """The struct, and those that it is made of."""
    yield struct
    for hint in typing.get_type_hints(struct).values():
        for found in structs(hint):
            yield from parts(found)


def structs(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and (issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint)):
        yield hint
    for inner in typing.get_args(hint):
        yield from structs(inner)


def fields(struct: type) -> list[str]:
    """As they stand in a file, the tag among them."""
    told = msgspec.inspect.type_info(struct)
    assert isinstance(told, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    tag = [told.tag_field] if isinstance(told, msgspec.inspect.StructType) and told.tag_field else []
    return [*tag, *(field.encode_name for field in told.fields)]


def on_page() -> dict[str, list[str]]:
    """The fields of each table of fields, by its heading."""
    sections = re.findall(r"^### (.+)$((?:\n(?!#).*)*)", PAGE, re.MULTILINE)
    rows = {name: re.findall(r"^\| (`.+?) \| ", text, re.MULTILINE) for name, text in sections}
    return {name: [field for row in found for field in re.findall(r"`(\w+)`", row)] for name, found in rows.items()}


ALL = {HEADINGS.get(struct, struct.__name__): struct for root in ROOTS for struct in parts(root)}


def test_the_page_has_a_table_for_each_struct_and_no_other() -> None:
    assert set(on_page()) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_page_has_each_field_of_a_struct_once(name: str) -> None:
    assert sorted(on_page()[name]) == sorted(fields(ALL[name]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_the_version_of_each_kind(kind: str) -> None:
    (row,) = re.findall(rf"^\| \[{kind}\]\(#.*$", PAGE, re.MULTILINE)
    _, _, tag, schema, *_ = (cell.strip() for cell in row.split("|"))
    assert int(schema) == KINDS[kind].SCHEMA
    assert tag == ("none" if kind == "run" else f"`{kind}`")


@pytest.mark.parametrize(("kind", "heading"), [(record, "Of runs"), (comparison, "Of comparisons")])
def test_the_page_tells_of_each_version_what_the_code_does(kind: ModuleType, heading: str) -> None:
    told = re.findall(r"^ +(\d+)  (\S+)  (.+)$", kind.__doc__ or "", re.MULTILINE)
    assert [int(number) for number, _, _ in told] == list(range(1, kind.SCHEMA + 1))
    table = PAGE.partition(f"\n{heading}:\n\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\d+) \| (\S+) \| (.+) \|$", table, re.MULTILINE) == told


def test_links_within_the_page_lead_to_its_headings() -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings
