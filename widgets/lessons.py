"""Where each knob is explained: the lesson, and the heading in it."""

FIRST, FASTER, BITS = "01-first-trade-off", "02-pruned-but-not-faster", "03-what-bits-cost"
WHERE = {
    "prune": (FASTER, "Channels-really-go"),
    "prune.granularity": (FASTER, "Zeros-are-not-gone"),
    "prune.threshold": (FASTER, "Zeros-are-not-gone"),
    "prune.n": (FASTER, "Zeros-are-not-gone"),
    "prune.m": (FASTER, "Zeros-are-not-gone"),
    "prune.round_to": (FASTER, "Numbers-that-kernels-like"),
    "prune.target": (FASTER, "Numbers-that-kernels-like"),
    "prune.scope": (FASTER, "Which-layers-to-spare"),
    "prune.layers": (FASTER, "Which-layers-to-spare"),
    "slim": (FASTER, "Channels-really-go"),
    "sparsify": (FASTER, "Zeros-are-not-gone"),
    "quantize": (BITS, "Eight-bits-have-kernels"),
    "quantize.weight_bits": (BITS, "Fewer-bits-are-simulated"),
    "quantize.activation_bits": (BITS, "Fewer-bits-are-simulated"),
    "quantize.simulate": (BITS, "Fewer-bits-are-simulated"),
    "quantize.ternary": (BITS, "Fewer-bits-are-simulated"),
    "quantize.average_bits": (BITS, "Bits-where-they-matter"),
    "quantize.latency_budget": (BITS, "Bits-where-they-matter"),
    "quantize.keep_ends": (BITS, "Bits-where-they-matter"),
    "quantize.layers": (BITS, "Bits-where-they-matter"),
    "half": (BITS, "Eight-bits-have-kernels"),
    "shareweights": (BITS, "Bits-where-they-matter"),
    "pack": (BITS, "Bits-where-they-matter"),
    "distill": (FIRST, "Training-afterwards"),
    "finetune": (FIRST, "Training-afterwards"),
}
"""By step, or by step and knob: the lesson's file and the name of its heading."""


def lesson(step: str, knob: str = "") -> tuple[str, str] | None:
    """File and heading of the lesson on a knob, or on its step; None where there is none."""
    return WHERE.get(f"{step}.{knob}", WHERE.get(step))


def mark(step: str, knob: str) -> str:
    """The class by which the browser knows what a control's "why" leads to; "" for nothing."""
    found = lesson(step, knob)
    return f"wb-why-{found[0]}--{found[1]}" if found else ""
