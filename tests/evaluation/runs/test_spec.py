"""Keys: the same for the same run, on every machine and with later versions; another for another run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import ParameterError
from onlygood.evaluation.runs.spec import RunSpec

plain = st.sampled_from([0, 1, 1.0, True, False, None, "1", "auto", 0.1, [1], []])
specs = st.builds(
    RunSpec,
    dataset=st.sampled_from(["MVTec AD", "BTAD"]),
    category=st.sampled_from(["bottle", "01"]),
    method=st.sampled_from(["reb", "knn"]),
    preset=st.sampled_from([None, "paper"]),
    parameters=st.dictionaries(st.sampled_from(["k", "alpha", "size"]), plain, max_size=2),
    seed=st.integers(0, 2),
)


def test_keys_are_those_of_records_written_before() -> None:
    assert RunSpec("MVTec AD", "bottle", "reb").key == "f5bc686787b5863d65debd130ba40df9"
    full = RunSpec("MVTec AD", "bottle", "knn", "paper", {"size": 320, "coreset": 0.1}, 2, 5, 1)
    assert full.key == "e0611a116705149d42b09b979611a534"


def test_the_order_and_the_container_of_parameters_do_not_matter() -> None:
    one = RunSpec("a", "b", "knn", parameters={"k": 3, "layers": ["layer2", "layer3"]})
    other = RunSpec("a", "b", "knn", parameters={"layers": ("layer2", "layer3"), "k": 3})
    assert one == other and one.key == other.key and len({one, other}) == 1


@given(specs, specs)
def test_equal_runs_have_equal_keys_and_others_have_others(one: RunSpec, other: RunSpec) -> None:
    same = json.dumps(one.as_dict(), sort_keys=True) == json.dumps(other.as_dict(), sort_keys=True)
    assert (one.key == other.key) == (one == other) == same


@given(specs)
def test_it_comes_back_from_json(spec: RunSpec) -> None:
    again = RunSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec and again.key == spec.key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"protocol": "magic"}, "Unknown protocol 'magic'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": True}, "seed=True"),
        ({"shots": 0}, "shots=0"),
        ({"draw": 1}, "draw=1"),
        ({"shots": 2, "most_train": 5}, "Give one of them"),
        ({"parameters": {"seed": 1}}, "seed is no parameter of a run"),
        ({"parameters": {"threads": 1}}, "threads is no parameter of a run"),
        ({"parameters": {"checkpoint": "a"}}, "checkpoint is no parameter of a run"),
        ({"parameters": {"k": object()}}, "cannot be written as JSON"),
        ({"parameters": {"k": float("nan")}}, "cannot be written as JSON"),
    ],
)
def test_what_no_run_can_be(given: dict[str, object], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        RunSpec("a", "b", "knn", **given)  # type: ignore[arg-type]
