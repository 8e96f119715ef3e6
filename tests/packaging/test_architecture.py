"""`docs/architecture.md` lists every room of the package, and what the room imports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_imports import PATHS, ours

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROW = re.compile(r"^\| `([a-z_]+)` \|[^|]*\|(?:([^|]*)\|)?$", re.MULTILINE)
ALL = "all"


def tables() -> tuple[list[str], dict[str, set[str]]]:
    """The rooms of the ground in their order, and of each other room those that it may import."""
    ground, others = [], {}
    for name, allowed in ROW.findall(PAGE.read_text(encoding="utf-8")):
        if allowed:
            others[name] = {ALL} if allowed.strip() == ALL else set(re.findall("`(.*?)`", allowed))
        else:
            ground.append(name)
    return ground, others


GROUND, OTHERS = tables()


def room_of(module: str) -> str:
    return f"{module}.".split(".")[1]


def imports_of_rooms() -> Iterator[tuple[str, set[str]]]:
    for room in {room_of(name) for name in PATHS} - {""}:
        imported = {
            room_of(target) for name in PATHS if room_of(name) == room for target in ours(name)
        }
        yield room, imported - {room}


IMPORTS = dict(imports_of_rooms())


def test_the_page_lists_every_room_once() -> None:
    assert sorted((*GROUND, *OTHERS)) == sorted(IMPORTS)


@pytest.mark.parametrize("room", GROUND)
def test_the_ground_imports_what_stands_before_it(room: str) -> None:
    assert IMPORTS[room] <= set(GROUND[: GROUND.index(room)])


@pytest.mark.parametrize("room", OTHERS)
def test_a_room_imports_what_its_row_lists(room: str) -> None:
    if OTHERS[room] != {ALL}:
        # Equal, so that an import that goes leaves the page.
        assert IMPORTS[room] - set(GROUND) == OTHERS[room]
