"""The commands of the command line, in the order of its help."""

from collections.abc import Callable

from workbench.commands import carry_out, here, studies, trials

COMMANDS: list[Callable[..., None]] = [
    carry_out.run,
    carry_out.search,
    studies.predict,
    studies.sensitivity,
    trials.trials,
    trials.compare,
    trials.why,
    trials.best,
    trials.grid,
    trials.sparse,
    trials.export,
    studies.report,
    here.app,
    here.lab,
    here.steps,
    here.data,
    here.doctor,
    carry_out.train,
]
"""Each is a command of its own name; its docstring is its help."""
