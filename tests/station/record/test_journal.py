"""The journal: whole lines, in order, on the disk; torn ones known; bounded; a full disk leaves it as it was."""

from __future__ import annotations

import errno
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.station.record import journal as module
from onlygood.station.record.journal import Journal, JournalFullError


def lines(count: int, start: int = 0) -> list[bytes]:
    return [json.dumps({"id": i, "name": "ü" * (i % 50)}).encode() for i in range(start, start + count)]


def taken(journal: Journal, step: int) -> list[bytes]:
    found: list[bytes] = []
    while journal.waiting:
        some, mark = journal.first(step)
        assert some
        found += some
        journal.take(len(some), mark)
    return found


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_lines_come_out_in_order_once(tmp_path: Path, step: int) -> None:
    journal = Journal(tmp_path / "journal", 2**20)
    expected = lines(100)
    for i in range(0, 100, 9):
        journal.append(expected[i : i + 9])
    assert journal.waiting == 100
    assert taken(journal, step) == expected
    assert journal.waiting == 0 and journal.path.stat().st_size == 0
    journal.append(expected[:3])
    assert taken(journal, step) == expected[:3]


def test_lines_may_be_added_while_others_are_taken(tmp_path: Path) -> None:
    journal, draw = Journal(tmp_path / "journal", 2**20), random.Random(4)
    expected, found, waiting = lines(300), [], 0
    for line in expected:
        journal.append([line])
        waiting += 1
        if draw.random() < 0.4:
            some, mark = journal.first(draw.randint(1, 5))
            journal.take(len(some), mark)
            found += some
            waiting -= len(some)
        assert journal.waiting == waiting
    assert found + taken(journal, 10) == expected


def test_what_was_not_taken_is_there_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", 2**20)
    journal.append(lines(10))
    _, mark = journal.first(4)
    journal.take(4, mark)
    journal.close()
    again = Journal(tmp_path / "journal", 2**20)
    # those taken may come again: the database knows them by their ids. None may be missing.
    assert taken(again, 3) == lines(10) and again.damage == ""


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_line_torn_anywhere_is_dropped_and_the_others_stay(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    first = Journal(path, 2**20)
    first.append(lines(5))
    whole = path.stat().st_size
    first.append(lines(1, 5))
    first.close()
    cut = data.draw(st.integers(whole, path.stat().st_size - 1))
    path.write_bytes(path.read_bytes()[:cut])
    again = Journal(path, 2**20)
    assert again.damage == "" and again.waiting == 5
    again.append(lines(2, 10))
    again.close()
    assert taken(Journal(path, 2**20), 100) == lines(5) + lines(2, 10)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_byte_costs_its_line_alone_and_the_file_is_kept(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    first = Journal(path, 2**20)
    first.append(lines(6))
    first.close()
    content = bytearray(path.read_bytes())
    ends = [i for i, byte in enumerate(content) if byte == 10]
    place = data.draw(st.integers(0, len(content) - 1).filter(lambda i: i not in ends))
    content[place] ^= data.draw(st.integers(1, 255).filter(lambda bits: content[place] ^ bits != 10))
    path.write_bytes(bytes(content))
    again = Journal(path, 2**20)
    hit = sum(end < place for end in ends)
    assert taken(again, 2) == lines(6)[:hit] + lines(6)[hit + 1 :]
    (kept,) = path.parent.glob("journal.damaged-*")
    assert kept.name in again.damage and kept.read_bytes() == bytes(content)


def test_zeros_at_the_end_are_no_lines(tmp_path: Path) -> None:
    """What some file systems leave behind when the power goes."""
    path = tmp_path / "journal"
    first = Journal(path, 2**20)
    first.append(lines(3))
    first.close()
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert taken(Journal(path, 2**20), 2) == lines(3)


def test_the_bound_holds_and_refused_lines_leave_no_trace(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", 1000)
    expected: list[bytes] = []
    with pytest.raises(JournalFullError, match="full"):
        for line in lines(100):
            journal.append([line])
            expected.append(line)
    assert 0 < len(expected) < 100 and journal.path.stat().st_size <= 1000
    with pytest.raises(JournalFullError):
        journal.append(lines(100))
    assert taken(journal, 3) == expected
    journal.append(lines(2))
    assert taken(journal, 3) == lines(2)


@pytest.mark.parametrize("after", [0, 1, 20])
@pytest.mark.parametrize("failing", ["write", "sync"])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, after: int
) -> None:
    journal = Journal(tmp_path / "journal", 2**20)
    journal.append(lines(3))
    size = journal.path.stat().st_size

    def full(file, *rest) -> None:
        if rest:
            data, at = rest
            file.seek(at)
            file.write(data[:after])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, f"_{failing}", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                journal.append(lines(2, 50))
    assert journal.path.stat().st_size == size and journal.waiting == 3
    journal.append(lines(2, 3))
    journal.close()
    assert taken(Journal(tmp_path / "journal", 2**20), 2) == lines(5)
