"""Where a model's attention is: its heads, and the weights that belong to each."""

from dataclasses import dataclass

from torch import nn

from workbench.pruning.headed import HeadedAttention

QUERIES = ("q", "q_proj", "query", "to_q", "wq", "q_lin")
KEYS = ("k", "k_proj", "key", "to_k", "wk", "k_lin")
VALUES = ("v", "v_proj", "value", "to_v", "wv", "v_lin")
FUSED = ("qkv", "qkv_proj", "to_qkv", "in_proj", "Wqkv")
OUTPUTS = ("out", "out_proj", "o_proj", "proj", "to_out", "dense", "wo", "out_lin")
COUNTS = ("num_heads", "n_heads", "heads", "num_attention_heads", "n_head")


@dataclass(frozen=True)
class Attention:
    """One module that attends.

    Attributes
    ----------
    name : str
    heads : int
    width : int
        Features of one head.
    parts : tuple of (str, int)
        The name of each weight of shape (parts * heads * width, ...) that computes queries, keys or values, and how
        many of these three it holds, one after the other.
    output : str
        The layer that takes the heads in, of weight (..., heads * width).
    count : str
        The module's attribute that counts the heads.
    """

    name: str
    heads: int
    width: int
    parts: tuple[tuple[str, int], ...]
    output: str
    count: str

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers inside whose width is that of the heads together."""
        return tuple(name.removesuffix(".weight") for name, _ in self.parts)


def attentions(module: nn.Module) -> list[Attention]:
    """Every attention whose heads can be told apart, by the names that the usual libraries give its layers.

    These are `torch.nn.MultiheadAttention`, and modules that count their heads and have one linear layer for queries,
    keys and values (or one each), all with as many heads, and one for the output.
    """
    found = []
    for name, part in module.named_modules():
        dot = f"{name}." if name else ""
        if isinstance(part, (nn.MultiheadAttention, HeadedAttention)):
            if part.in_proj_weight is not None and getattr(part, "bias_k", None) is None:
                width = part.in_proj_weight.shape[0] // 3 // part.num_heads
                fused_part = ((f"{dot}in_proj_weight", 3),)
                found.append(Attention(name, part.num_heads, width, fused_part, f"{dot}out_proj", "num_heads"))
            continue
        linear = {child: layer for child, layer in part.named_children() if isinstance(layer, nn.Linear)}
        count = next((c for c in COUNTS if isinstance(getattr(part, c, None), int)), None)
        output = next((linear[child] for child in OUTPUTS if child in linear), None)
        fused = [child for child in FUSED if child in linear]
        single = [child for names in (QUERIES, KEYS, VALUES) for child in names if child in linear]
        if count is None or output is None or not (len(fused) == 1 or len(single) == 3):
            continue
        heads, features = getattr(part, count), output.in_features
        layers = fused or single
        size = features * (3 if fused else 1)
        if heads > 0 and features % heads == 0 and all(linear[child].out_features == size for child in layers):
            parts = tuple((f"{dot}{child}.weight", 3 if fused else 1) for child in layers)
            end = next(child for child in OUTPUTS if child in linear)
            found.append(Attention(name, heads, features // heads, parts, f"{dot}{end}", count))
    return found
