"""The one file a fitted detector lives in: write, read, verify."""

from onlygood.modelfile.archive import FORMAT_VERSION, Parts, read_manifest, read_parts, write_parts

__all__ = ["FORMAT_VERSION", "Parts", "read_manifest", "read_parts", "write_parts"]
