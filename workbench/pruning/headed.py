"""Attention with fewer heads than its width would make: what is left of `torch.nn.MultiheadAttention`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadedAttention(nn.Module):
    """Multi-head attention whose heads together may be narrower than its inputs (Vaswani et al. 2017, section 3.2.2).

    It takes the place of a `torch.nn.MultiheadAttention`, whose parameters keep their names, and gives no weights of
    attention.

    Parameters
    ----------
    heads, width : int
        So many heads of so many features.
    inputs : int
        Features of what comes in and goes out.
    bias, batch_first : bool
    """

    _qkv_same_embed_dim = False  # keeps torch's encoder layers from their fused kernel, which knows no narrower heads

    def __init__(self, heads: int, width: int, inputs: int, bias: bool, batch_first: bool):
        super().__init__()
        self.num_heads, self.width, self.batch_first = heads, width, batch_first
        self.in_proj_weight = nn.Parameter(torch.empty(3 * heads * width, inputs))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * heads * width)) if bias else None
        self.out_proj = nn.Linear(heads * width, inputs, bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        inputs = (x if self.batch_first else x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (
            F.linear(x, weight, bias).unflatten(-1, (self.num_heads, self.width)).transpose(1, 2)
            for x, weight, bias in zip(inputs, weights, biases, strict=True)
        )
        mask = _added(attn_mask, q)
        if key_padding_mask is not None:
            padding = _added(key_padding_mask[:, None, None, :], q)
            mask = padding if mask is None or padding is None else mask + padding
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.out_proj(y.transpose(1, 2).flatten(2))
        return (y if self.batch_first else y.transpose(0, 1)), None


def _added(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask as what is added to the scores: True, in torch's own attention, means "not seen"."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))
