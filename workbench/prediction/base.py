"""A prediction: what a recipe would give, without doing it. Never to be shown as a measurement."""

from pydantic import BaseModel, ConfigDict

from workbench.estimates import Estimate
from workbench.metrics import bytes_text

CONFIDENCE = 0.90


class Prediction(BaseModel):
    """What a recipe would give: each figure a mean with its 90 % interval, counts as they are.

    Attributes
    ----------
    accuracy : Estimate or None
        A share, on the validation split; None until the sensitivity of the model is known.
    size_bytes : Estimate
        Of the file.
    latency : Estimate or None
        Milliseconds on the baseline's scale; None where nothing of the kind was timed yet, or none is claimed.
    speedup : Estimate or None
        Against the baseline.
    energy : Estimate or None
        Millijoules of one input, by the counters or the model that told the baseline's.
    memory : Estimate or None
        Bytes, the peak of a process that runs only the artifact.
    macs, parameters : int
        Exact where no note says otherwise.
    notes : list of str
        What could not be followed, one sentence each.
    warnings : list of str
        What this study's own measurements say against the recipe, one sentence each.
    prepared : bool
        Whether what predictions go by was measured, so that measuring it tells no more of this recipe.
    looked : bool
        Whether its accuracy is of this very recipe, tried on some samples without its trainings.
    quick : bool
        Whether to look at it (`look=True`) would take about a second, and tell its accuracy better.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    accuracy: Estimate | None = None
    size_bytes: Estimate
    latency: Estimate | None = None
    speedup: Estimate | None = None
    energy: Estimate | None = None
    memory: Estimate | None = None
    macs: int
    parameters: int
    notes: list[str] = []
    warnings: list[str] = []
    prepared: bool = False
    looked: bool = False
    quick: bool = False

    def sentence(self) -> str:
        """The prediction in a line: what it says of accuracy, size and speed, each with its interval."""
        said = []
        if a := self.accuracy:
            said.append(f"accuracy {a.value:.1%} [{a.low:.1%}, {a.high:.1%}]")
        s = self.size_bytes
        wide = s.high - s.low > 0.02 * s.value
        said.append(bytes_text(s.value) + (f" [{bytes_text(s.low)}, {bytes_text(s.high)}]" if wide else ""))
        if x := self.speedup:
            said.append(f"{x.value:.2g}x the speed [{x.low:.2g}, {x.high:.2g}]")
        return "Predicted, not measured: " + ", ".join(said) + "."
