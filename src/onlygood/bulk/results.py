"""The folder of results: what it was begun with, which images have a row, and files of further rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onlygood.errors import DataError
from onlygood.files import replacing

#: What the run was begun with. Readers of Parquet folders pass over names that start so.
SETTINGS_FILE = "_bulk.json"
#: There once every image has its row, as other tools that write such folders have it.
DONE_FILE = "_SUCCESS"


@dataclass(frozen=True)
class Bulk:
    """What became of the images.

    Attributes:
        into: Folder or URI of the Parquet files. Columns: `path`, `verdict` (OK, REVIEW, NG), `score`, `p_value`,
            `width`, `height`, `regions` (JSON, as `Region.as_dict`), `pictures` (the name of its map and overlay in
            their folders, without an ending; null if there are none) and `error`, which is null unless the image could
            not be inspected; then all others but `path` are.
        verdicts: Number of images by verdict.
        failed: Number of those that could not be inspected.
        before: Number of those that an earlier run had inspected.
    """

    into: str
    verdicts: dict[str, int]
    failed: int
    before: int = 0


class Results:
    """A folder, or a place in an object store, that holds rows in Parquet files; each file is there as a whole.

    Args:
        into: Folder or URI.
    """

    def __init__(self, into: str) -> None:
        from pyarrow.fs import FileSystem, LocalFileSystem

        self.into = into
        uri = into if "://" in into else Path(into).absolute().as_uri()
        self._files, self._root = FileSystem.from_uri(uri)
        self._is_local = isinstance(self._files, LocalFileSystem)

    def begin(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """Make the folder, or take up what is there; the names of the pictures (or nothing) by finished image.

        Raises:
            DataError: The folder holds something else, or was begun with other settings.
        """
        there = self._names()
        if SETTINGS_FILE in there:
            check_settings(self._read_settings(), settings, self.into)
            if DONE_FILE in there:
                self._files.delete_file(f"{self._root}/{DONE_FILE}")
            return self._finished()
        if there:
            raise DataError(f"{self.into} is there already and holds no bulk inspection. Name another folder.")
        self._files.create_dir(self._root)
        self._write(SETTINGS_FILE, json.dumps(settings, indent=2).encode())
        return {}

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a file of rows, in place of one of this name."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        text, number, whole = pa.string(), pa.float64(), pa.int32()
        kinds = {"path": text, "verdict": text, "score": number, "p_value": number, "width": whole, "height": whole}
        kinds |= {"regions": text, "pictures": text, "error": text}
        content = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_pylist(list(rows), pa.schema(kinds)), content)
        self._write(name, content.getvalue().to_pybytes())

    def close(self) -> None:
        """Mark that every image has its row."""
        self._write(DONE_FILE, b"")

    def counted(self, before: int) -> Bulk:
        """How many rows there are of each kind."""
        counts = self._table(["verdict"])["verdict"].value_counts().to_pylist()
        verdicts = {row["values"]: row["counts"] for row in counts}
        return Bulk(self.into, {name: count for name, count in verdicts.items() if name}, verdicts.get(None, 0), before)

    def _finished(self) -> dict[str, str]:
        table = self._table(["path", "pictures"])
        return {path: name or "" for path, name in zip(*(table[column].to_pylist() for column in table.column_names))}

    def _table(self, columns: list[str]) -> Any:
        import pyarrow as pa
        import pyarrow.dataset as dataset

        files = [f"{self._root}/{name}" for name in sorted(self._names()) if name.endswith(".parquet")]
        if not files:
            return pa.table({column: pa.array([], pa.string()) for column in columns})
        return dataset.dataset(files, format="parquet", filesystem=self._files).to_table(columns)

    def _names(self) -> set[str]:
        """What the folder holds; hidden files, which a killed run may leave, do not count."""
        from pyarrow.fs import FileSelector

        found = self._files.get_file_info(FileSelector(self._root, allow_not_found=True))
        return {one.base_name for one in found if not one.base_name.startswith(".")}

    def _read_settings(self) -> Any:
        with self._files.open_input_stream(f"{self._root}/{SETTINGS_FILE}") as file:
            content = file.read()
        try:
            return json.loads(content)
        except ValueError as error:
            raise DataError(f"{self.into}/{SETTINGS_FILE} is damaged. Name another folder for the results.") from error

    def _write(self, name: str, content: bytes) -> None:
        if self._is_local:
            with replacing(Path(self._root) / name) as partial:
                partial.write_bytes(content)
        else:  # an object store shows a file once it is whole
            with self._files.open_output_stream(f"{self._root}/{name}") as file:
                file.write(content)


def check_settings(begun: Any, now: Mapping[str, Any], into: str) -> None:
    """See that a run goes on with what it was begun with.

    Raises:
        DataError: It does not; the error names what differs.
    """
    begun = begun if isinstance(begun, dict) else {}
    other = [name for name in sorted({*begun, *now}) if begun.get(name) != now.get(name)]
    if other:
        raise DataError(
            f"The results in {into} were begun with other settings ({', '.join(other)}). Go on with the same, or name "
            "another folder."
        )
