"""Which model files stay: the last ones that were on duty, candidates made from them, and no others.

Only files that the record knows are ever removed, and each is noted in the audit trail before it goes. A station that
is killed in between finds the file again at its next start, and then notes and removes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onlygood.errors import OnlyGoodError
from onlygood.station.logs import log
from onlygood.station.model_files import ModelFiles
from onlygood.station.record import Action, Record
from onlygood.station.record.changes import KnownModel

#: Who removes them.
WHO = "station"


def kept(known: Sequence[KnownModel], count: int) -> set[str]:
    """SHA-256 of the models that stay.

    Of each recipe: the `count` that were on duty last, the one on duty among them, and the candidates made from any of
    these that were never on duty. What one recipe keeps stays for all.

    Args:
        known: Models of all recipes.
        count: At least 1.
    """
    found: set[str] = set()
    for recipe in {one.recipe for one in known}:
        ours = [one for one in known if one.recipe == recipe]
        used = sorted((one for one in ours if one.last), key=lambda one: one.last, reverse=True)
        last = {one.sha256 for one in used[:count]}
        found |= last | {one.sha256 for one in ours if one.parent in last and not one.last}
    return found


def remove_old(files: ModelFiles, record: Record, count: int, needed: Collection[str] = ()) -> None:
    """Remove the files of models that do not stay; what goes wrong is logged, and tried again the next time.

    Args:
        files: The station's copies.
        record: Knows the models, and takes the entries of the audit trail.
        count: As of `kept`; 0 removes none.
        needed: SHA-256 of files that stay in any case.
    """
    if not count:
        return
    try:
        known = record.known_models()
        for sha256 in sorted({one.sha256 for one in known} - kept(known, count) - set(needed)):
            if files.removable(sha256):
                recipes = sorted(one.recipe for one in known if one.sha256 == sha256)
                for recipe in recipes:
                    record.audit(Action.REMOVE_MODEL, recipe, {"sha256": sha256, "keep_models": count}, WHO)
                files.remove(sha256)
                log("model_removed", recipe=", ".join(recipes), model=sha256)
    except (OnlyGoodError, OSError) as error:
        log("model_not_removed", level="warning", problem=str(error))
