"""What is computed with what: numbers that no kernel knows, that stay floats, or that are turned into others."""

from workbench.causes.base import NOTABLE, Case, Cause, names_of


def simulated(case: Case) -> Cause | None:
    """What no kernel computes with."""
    assert case.trial.metrics is not None
    said = case.trial.metrics.simulated
    return Cause("simulated", 1.0, f"Simulated, so that it can't be faster: {' '.join(said)}") if said else None


def conversions(case: Case) -> Cause | None:
    """Floats turned into integers and back, and numbers laid out anew."""
    turned = sum(operation.milliseconds for operation in case.operations if operation.converts) / case.total
    moved = sum(operation.milliseconds for operation in case.operations if operation.reorders) / case.total
    parts = {"into turning floats into integers and back": turned, "into laying the same numbers out anew": moved}
    said = " and ".join(f"{share:.0%} {what}" for what, share in parts.items() if share >= NOTABLE)
    return (
        Cause("conversions", turned + moved, f"Of the time, {said}: arithmetic is only in the rest.") if said else None
    )


def floats_left(case: Case) -> Cause | None:
    """Layers that a quantized model still computes with floats."""
    floats = [layer for layer in case.by_time if not layer.integer]
    share = case.share(*floats)
    if share < NOTABLE or all(layer.bits == 32 for layer in case.layers):
        return None
    only = any(layer.bits < 32 for layer in floats)
    stored = " (fewer bits are only stored, and turned into floats at each run)" if only else ""
    return Cause(
        "floats left", share, f"{share:.0%} of the time is still arithmetic with floats: {names_of(floats)}{stored}."
    )
