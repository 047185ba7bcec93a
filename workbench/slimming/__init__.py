"""Penalties on channels, by the method that they belong to."""

from workbench.slimming.base import ChannelPenalty
from workbench.slimming.growing import Growing
from workbench.slimming.lasso import Lasso
from workbench.slimming.scales import Scales

PENALTIES: dict[str, type[ChannelPenalty]] = {"lasso": Lasso, "scales": Scales, "growing": Growing}

__all__ = ["PENALTIES", "ChannelPenalty"]
