"""Names of pictures: no two alike, whatever the images are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import ParameterError
from onlygood.reports.pictures import PictureNames, Pictures

images = st.builds(
    lambda stem, ending: Path(stem + ending),
    st.sampled_from(["a", "a-2", "a-3", "b/a", "b/a.x"]),
    st.sampled_from([".png", ".jpg", ".tif"]),
)


@given(st.lists(images), st.sets(images))
def test_no_two_pictures_have_one_name(asked: list[Path], before: set[Path]) -> None:
    taken = {image.with_suffix("") for image in before}
    names = PictureNames(taken)
    given_names = [names.take(image) for image in asked]
    assert len({*given_names, *taken}) == len(asked) + len(taken)
    for image, name in zip(asked, given_names, strict=True):
        assert name.parent == image.parent and name.name.startswith(image.stem)
        others = [*taken, *given_names[: given_names.index(name)]]
        assert image.with_suffix("") in others or name == image.with_suffix("")  # another name only where it must be


def test_a_size_of_maps_needs_maps(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="--maps"):
        Pictures(overlay=tmp_path, original_size=True)
