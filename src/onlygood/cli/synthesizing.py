"""`onlygood synthesize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from onlygood.cli.output import pairs
from onlygood.errors import DataError, ParameterError

#: Good images held in memory at once, spread evenly over the folder.
MOST_IMAGES = 200


def synthesize(
    folder: Annotated[Path, typer.Argument(help="Folder of good images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write images/ and masks/ into.")],
    count: Annotated[int, typer.Option(min=1, help="Images to make.")] = 60,
    kinds: Annotated[
        str,
        typer.Option(
            help="Kinds or sets of kinds, with commas: defectmaker, bezier, scar, clump, noise_fill, cutpaste_fill, "
            "cutpaste, draem, or single ones such as bezier_noise."
        ),
    ] = "defectmaker",
    saliency: Annotated[
        str, typer.Option(help="Where defects may lie: auto, whole, foreground or files (<stem>_saliency.jpg).")
    ] = "auto",
    size: Annotated[
        int | None, typer.Option(min=32, max=4096, help="Side in pixels to resize to; as they are by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same images.")] = 0,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also write sheet.png, every kind at a glance.")] = False,
) -> None:
    """Make synthetic defects (DefectMaker) in good images, with their masks, to look at or to test with.

    \b
      onlygood synthesize parts/good -o made --count 30 --sheet
      onlygood synthesize parts/good -o made --kinds bezier_noise,scar --saliency whole

    The detectors use the same defects for fine-tuning and to choose parameters. At most 200 images of
    the folder, spread evenly, are drawn from.
    """
    import numpy as np
    from PIL import Image

    from onlygood.errors import require
    from onlygood.files import replacing
    from onlygood.images import find_good_images, read_image, resize
    from onlygood.images.sources import spread
    from onlygood.progress import TerminalProgress, track

    require("scipy", "fit", "Making synthetic defects")
    from onlygood.synthesis import DefectMaker, SaliencyMode, contact_sheet

    modes = get_args(SaliencyMode)
    if saliency not in modes:
        raise ParameterError(f"Unknown saliency {saliency!r}. Known are: {', '.join(modes)}")
    chosen = _kinds(kinds)
    paths = find_good_images(folder)
    places = spread(len(paths), MOST_IMAGES)
    paths = [paths[place] for place in places]
    folders = _fresh_folders(output)
    with TerminalProgress() as progress:
        images = []
        for path in track(paths, "read images", len(paths), progress):
            image = read_image(path)
            images.append(image if size is None else resize(image, size, str(path)))
        maker = DefectMaker(images, kinds=chosen, saliency=saliency, paths=paths, seed=seed)  # type: ignore[arg-type]
        for number, made in enumerate(track(maker.sample(count), "synthesize", count, progress)):
            for target, picture in zip(folders, (made.image, made.mask.astype(np.uint8) * np.uint8(255))):
                with replacing(target / f"{number:05d}_{made.kind}.png") as partial:
                    Image.fromarray(picture).save(partial, format="PNG")
        if sheet:
            with replacing(output / "sheet.png") as partial:
                contact_sheet(maker, seed=seed).save(partial, format="PNG")
    rows = [
        ("images", f"{count} in {folders[0]}, from {len(paths)} good ones"),
        ("masks", f"the same names in {folders[1]}"),
        ("saliency", maker.saliency.mode),
    ]
    pairs([*rows, ("sheet", str(output / "sheet.png"))] if sheet else rows)


def _kinds(text: str) -> list[str]:
    """Single kinds from names of kinds and of sets."""
    from onlygood.synthesis import DEFECT_KINDS, VARIANTS

    chosen: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if name not in DEFECT_KINDS and name not in VARIANTS:
            known = ", ".join([*VARIANTS, *DEFECT_KINDS])
            raise ParameterError(f"Unknown kind of defect {name!r}. Known are: {known}")
        chosen += [one for one in VARIANTS.get(name, (name,)) if one not in chosen]
    return chosen


def _fresh_folders(output: Path) -> tuple[Path, Path]:
    """The folders images and masks; old results are not mixed with new ones."""
    folders = output / "images", output / "masks"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DataError(f"The folder {folder} holds files already. Name another output folder or empty it.")
    return folders
