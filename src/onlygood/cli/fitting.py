"""`onlygood fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onlygood.cli.config import ConfigOption, parse_value
from onlygood.cli.output import pairs
from onlygood.errors import ParameterError
from onlygood.files import check_writable

#: REVIEW's default rate; a higher --false-reject takes it along.
REVIEW = 0.05


def fit(
    folder: Annotated[Path, typer.Argument(help="Folder of good images; train/good or good inside it is found.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")],
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="reb, ldknn, knn, kth_nn, patchcore, simplenet, ulsad, spade, padim, dfm, lof, ldof, dn2, gde, btf "
            "or btm.",
        ),
    ] = "reb",
    preset: Annotated[
        str | None,
        typer.Option(help="paper, released or quick: a named set of parameters. Options given win over it."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Pretrained network, efficientnet_lite0 by default; see `onlygood weights list`.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weight file (.pth, .pt, .safetensors) of the backbone.")] = None,
    size: Annotated[int | None, typer.Option(help="Input side in pixels, a multiple of 32; 256 by default.")] = None,
    false_reject: Annotated[
        float | None, typer.Option(help="Rate of good images that may be called NG; 0.01 by default.")
    ] = None,
    review: Annotated[
        float | None, typer.Option(help="Rate of good images that may be called NG or REVIEW; 0.05 by default.")
    ] = None,
    coreset: Annotated[
        float | None, typer.Option(help="Share of the patch vectors kept, such as 0.1; all by default.")
    ] = None,
    k: Annotated[str | None, typer.Option("--k", help="Neighbours, or auto (chosen with synthetic defects).")] = None,
    alpha: Annotated[str | None, typer.Option(help="Weight of the local density, or auto.")] = None,
    fine_tune: Annotated[
        str | None, typer.Option(help="none, quick, released, paper or auto: fine-tune the backbone (reb).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; 0 by default.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other parameter of the method; may be repeated."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Learn what good looks like from a folder of good images, and write a model file.

    \b
      onlygood fit parts/good -o part.og
      onlygood fit bottle -o bottle.og --false-reject 0.005
      onlygood fit parts/good -o part.og --method patchcore --coreset 0.01
      onlygood fit parts/good -o part.og --k auto --alpha auto --set image_score=max

    Ends with what can be promised: the false-reject rate, from how many images.
    """
    from onlygood.cli.describe import file_size, summary_rows
    from onlygood.methods import find_method
    from onlygood.methods.registry import check_parameters
    from onlygood.modelfile import read_manifest

    given: dict[str, Any] = {
        "backbone": backbone,
        "weights": weights,
        "size": size,
        "false_reject": false_reject,
        "review": review,
        "coreset": coreset,
        "k": None if k is None else parse_value(k),
        "alpha": None if alpha is None else parse_value(alpha),
        "fine_tune": fine_tune,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    given |= dict(read_setting(text) for text in settings or ())
    if "review" not in given and given.get("false_reject", 0) > REVIEW:
        given["review"] = given["false_reject"]
    kind = find_method(method)
    check_parameters(kind, given)
    detector = kind.from_preset(preset, **given) if preset else kind(**given)
    check_writable(output, "part.og")
    detector.fit(folder)
    detector.save(output)
    pairs([*summary_rows(read_manifest(output), output), ("written", f"{output} ({file_size(output)})")])


def read_setting(text: str) -> tuple[str, Any]:
    """Name and value of `--set name=value`."""
    name, sign, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or not name:
        raise ParameterError(f"--set {text}: write it as name=value, such as --set image_score=max.")
    if name == "layers":
        return name, [layer.strip() for layer in value.split(",")]
    return name, parse_value(value.strip())
