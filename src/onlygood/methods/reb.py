"""REB: DefectMaker fine-tuning of the backbone + LDKNN (Lyu, Mo and Wong, "Reducing Biases", 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from onlygood.errors import require
from onlygood.images import ImageSource
from onlygood.images.preparing import resize
from onlygood.images.sources import paths_of
from onlygood.methods.ldknn import LDKNN
from onlygood.progress import Report, track

if TYPE_CHECKING:
    from onlygood.features import FeatureGraph

FINE_TUNING = ("none", "quick", "released", "paper", "auto")


@dataclass(kw_only=True, eq=False)
class REB(LDKNN):
    """Reduces two biases: of the domain (fine-tuning) and of the local density (LDKNN).

    Args:
        fine_tune: `none`: ImageNet features as they are. `quick`: the shortened self-supervised recipe that
            a CPU allows. `released`, `paper`: 300 updates of about 1,000 images, for a machine with time.
            `auto`: both `none` and `quick`, whichever tells synthetic defects from good images better.

        checkpoint: A file that fine-tuning writes as it goes, and from which an interrupted fit goes on. Ctrl-C
            during fine-tuning ends it early and fits with the backbone as it is by then; a second one stops the fit.

    See docs/results.md for what fine-tuning did on real images.
    """

    fine_tune: str = "none"
    checkpoint: str | Path | None = None

    method: ClassVar[str] = "reb"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**LDKNN.presets["paper"], "fine_tune": "paper"},
        "released": {**LDKNN.presets["released"], "fine_tune": "released"},
        "quick": {"fine_tune": "quick"},
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_known("fine_tune", FINE_TUNING)

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        self._tuning = self.fine_tune
        if self.fine_tune != "auto":
            return super()._fit(sources, report)
        from onlygood.methods.choice import MARGIN, synthetic_auroc

        notes = {}
        figures = {}
        states = {}
        names = self.training_.names
        for self._tuning in ("none", "quick"):
            self.training_ = type(self.training_)(list(names))
            notes[self._tuning] = super()._fit(sources, report)
            figures[self._tuning] = synthetic_auroc(self, sources, report)
            states[self._tuning] = dict(self.__dict__)
        chosen = "quick" if figures["quick"] > figures["none"] + MARGIN else "none"
        self.__dict__.update(states[chosen])
        return {**notes[chosen], "fine_tune": chosen, "synthetic_auroc": figures}

    def _make_graph(self, sources: list[ImageSource], report: Report) -> FeatureGraph:
        if self._tuning == "none":
            return self._feature_graph()
        require("torch", "fit", "Fine-tuning")
        from onlygood.features.backbones import find_backbone
        from onlygood.features.export import export_network
        from onlygood.features.weights import load_network, resolve
        from onlygood.methods.networks.training import training_device
        from onlygood.synthesis.pretext import fine_tune, recipe

        spec = find_backbone(self.backbone)
        found = resolve(spec, self.weights)
        images = [
            resize(source.read(), self.size, source.name)
            for source in track(sources, "read images", len(sources), report)
        ]
        steps = recipe(self._tuning)
        network = load_network(spec, found).to(training_device(self.device))
        tuned = fine_tune(
            spec,
            network,
            images,
            steps,
            seed=self.seed,
            paths=paths_of(sources),
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            report=report,
        )
        label = f"{self._tuning}, {tuned.updates} of {steps.updates} updates"
        return export_network(
            spec,
            tuned.network.cpu(),
            found,
            self.size,
            self.layers,
            self.aggregator,
            fine_tuned=label,
            threads=self.threads,
        )
