"""Heads of attention: a cut removes exactly that head's part of the answer."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench import Dataset, Prune, WorkbenchError
from workbench.pruning.headed import HeadedAttention
from workbench.pruning.heads import head_groups
from workbench.pruning.plan import replay
from workbench.steps.base import Context, Work

TOKENS = Dataset(
    train=(np.random.default_rng(0).normal(size=(48, 6, 16)).astype(np.float32), np.arange(48) % 3), name="tokens"
)
INPUTS = torch.from_numpy(TOKENS.train.inputs[:5])


class Encoder(nn.Module):
    """Two of torch's own encoder layers and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(2))
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))


class Fused(nn.Module):
    """One layer for queries, keys and values, as timm has it; `derived` counts a head's width from the inputs."""

    def __init__(self, derived: bool):
        super().__init__()
        self.num_heads, self.head_dim, self.derived = 4, 4, derived
        self.qkv, self.proj, self.fc = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1] // self.num_heads if self.derived else self.head_dim
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, width)).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.fc((x + self.proj(y)).mean(1))


@pytest.fixture
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return Encoder().eval()


def _pruned(module: nn.Module, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Prune(granularity="head", **knobs).apply(work, Context(TOKENS, module))
    return work


def test_narrower_attention_is_torchs_own_where_no_head_is_gone():
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    ours = HeadedAttention(4, 4, 16, bias=True, batch_first=True)
    ours.load_state_dict(whole.state_dict())
    unseen = torch.arange(6) > torch.tensor([[6], [3], [2], [4], [5]])
    later = torch.ones(6, 6, dtype=torch.bool).triu(1)
    for masks in (
        {},
        {"attn_mask": later},
        {"key_padding_mask": unseen},
        {"attn_mask": later, "key_padding_mask": unseen},
    ):
        expected = whole(INPUTS, INPUTS, INPUTS, need_weights=False, **masks)[0]
        assert torch.allclose(ours(INPUTS, INPUTS, INPUTS, **masks)[0], expected, atol=1e-5)


def test_a_cut_head_is_a_head_that_nothing_takes_in(encoder):
    groups, left = head_groups(encoder, INPUTS)
    assert ([group.name for group in groups], left) == (["layers.0.self_attn", "layers.1.self_attn"], [])
    cut = copy.deepcopy(encoder)
    replay(cut, INPUTS, [groups[1].edit([1, 3])])
    with groups[1].without(encoder, 1), groups[1].without(encoder, 3):
        assert torch.allclose(cut(INPUTS), encoder(INPUTS), atol=1e-5)
    assert not torch.allclose(cut(INPUTS), encoder(INPUTS), atol=1e-3)


@pytest.mark.parametrize("importance", ["l2", "taylor", "ablation"])
def test_the_head_that_does_nothing_goes_first(encoder, importance):
    with torch.no_grad():
        for part in range(3):
            encoder.layers[0].self_attn.in_proj_weight[16 * part + 8 : 16 * part + 12] = 1e-4
            encoder.layers[0].self_attn.in_proj_bias[16 * part + 8 : 16 * part + 12] = 0.0
    work = _pruned(encoder, ratio=0.25, importance=importance)
    assert work.plan[0] == {"edit": "heads", "attention": "layers.0.self_attn", "heads": [2]}
    assert work.module.layers[0].self_attn.num_heads == 3


def test_heads_pruned_twice_are_one_plan_and_one_always_stays(encoder):
    work = _pruned(encoder, ratio=0.5)
    Prune(granularity="head", ratio=0.95).apply(work, Context(TOKENS, encoder))
    assert [layer.self_attn.num_heads for layer in work.module.layers] == [1, 1]
    assert "these keep the least that they can: layers.0.self_attn (1 of 2)" in work.notes[0]
    again = copy.deepcopy(encoder)
    replay(again, INPUTS, work.plan)
    again.load_state_dict(work.module.state_dict())
    assert torch.equal(again(INPUTS), work.module(INPUTS))


def test_a_module_with_one_layer_for_queries_keys_and_values_loses_heads_too():
    torch.manual_seed(0)
    work = _pruned(Fused(derived=False).eval(), ratio=0.5)
    assert (work.module.num_heads, work.module.qkv.out_features, work.module.proj.in_features) == (2, 24, 8)


def test_code_that_counts_its_heads_otherwise_is_left_whole_or_refused():
    torch.manual_seed(0)
    with pytest.raises(WorkbenchError, match="no attention heads that can be told apart"):
        _pruned(Fused(derived=True).eval())


def test_channels_of_a_transformer_are_its_hidden_widths_as_attention_counts_on_the_rest(encoder):
    work = Work(copy.deepcopy(encoder))
    Prune(ratio=0.5).apply(work, Context(TOKENS, encoder))
    assert [(layer.linear1.out_features, layer.linear2.out_features) for layer in work.module.layers] == [(16, 16)] * 2
    assert work.notes[0].startswith("Left whole, as attention counts on their width: ")
    assert "layers.0.linear2" in work.notes[0]


def test_a_model_without_attention_is_refused(lenet5, few_digits):
    with pytest.raises(WorkbenchError, match="no attention heads"):
        Prune(granularity="head").apply(Work(lenet5), Context(few_digits, lenet5))


@pytest.mark.parametrize("granularity", ["mlp", "head", "block"])
def test_heads_widths_and_blocks_have_targets_too(granularity):
    torch.manual_seed(0)
    encoder = Encoder().eval()
    work = Work(copy.deepcopy(encoder))
    Prune(granularity=granularity, target="parameters", keep=0.9).apply(work, Context(TOKENS, encoder))
    left = sum(p.numel() for p in work.module.parameters()) / sum(p.numel() for p in encoder.parameters())
    assert 0.4 < left <= 0.9
    assert f"{left:.1%} of the parameters are left" in " ".join(work.notes)
