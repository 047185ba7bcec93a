"""Mixed precision: the integer program finds what trying everything finds, and the sensitivity is measured."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import WorkbenchError
from workbench.quantization.activations import observe
from workbench.quantization.layer_times import LayerTimes
from workbench.quantization.layers import weighted
from workbench.quantization.mixed import allocate, sensitivity

BITS = (2, 4, 8)
COSTS = st.lists(st.tuples(*[st.floats(0, 10) for _ in BITS]), min_size=1, max_size=4)


@settings(max_examples=30)
@given(COSTS, st.data())
def test_the_integer_program_equals_trying_everything(table, data):
    costs = {f"layer{i}": dict(zip(BITS, row, strict=True)) for i, row in enumerate(table)}
    sizes = {name: data.draw(st.integers(1, 50)) for name in costs}
    whole = sum(sizes.values())
    budget = data.draw(st.integers(2 * whole, 8 * whole)) + 0.5  # no choice lies on it, where the solver tolerates 1e-6

    def cost(bits: dict[str, int]) -> float:
        return sum(costs[name][width] for name, width in bits.items())

    every = [dict(zip(costs, choice, strict=True)) for choice in itertools.product(BITS, repeat=len(costs))]
    allowed = [bits for bits in every if sum(sizes[n] * b for n, b in bits.items()) <= budget]
    chosen = allocate(costs, sizes, budget)
    assert sum(sizes[n] * b for n, b in chosen.items()) <= budget + 1e-6
    assert cost(chosen) == pytest.approx(min(map(cost, allowed)), abs=1e-6)


def test_the_layer_that_suffers_most_gets_the_bits():
    costs = {"tough": {2: 0.1, 8: 0.0}, "frail": {2: 9.0, 8: 0.0}}
    assert allocate(costs, {"tough": 10, "frail": 10}, 100) == {"tough": 2, "frail": 8}


def test_a_budget_below_the_fewest_bits_is_refused_with_what_is_needed():
    with pytest.raises(WorkbenchError, match=r"No choice of bits.*at least 3\.00 bits"):
        allocate({"a": {2: 1.0, 4: 0.0}, "b": {4: 1.0}}, {"a": 5, "b": 5}, 20)


def test_fewer_bits_hurt_more_and_the_weights_come_back(zoo_lenet5, digits):
    batches = [torch.from_numpy(digits.prepare(digits.calibration.inputs[:64]))]
    layers = {name: weighted(zoo_lenet5)[name] for name in ("conv1", "conv2")}
    before = {name: layer.weight.clone() for name, layer in layers.items()}
    costs = sensitivity(zoo_lenet5, layers, batches, dict.fromkeys(layers, BITS))
    for name, table in costs.items():
        assert table[2] > table[4] > table[8] >= 0
        assert torch.equal(layers[name].weight, before[name])


def test_what_flows_in_is_rounded_too_where_it_has_a_grid_and_floats_cost_nothing(zoo_lenet5, digits):
    batches = [torch.from_numpy(digits.prepare(digits.calibration.inputs[:64]))]
    layers = {"fc1": weighted(zoo_lenet5)["fc1"]}
    grids = observe(zoo_lenet5, layers, batches, {"fc1": 2}, "minmax")
    (weights,) = sensitivity(zoo_lenet5, layers, batches, {"fc1": (8, 32)}).values()
    (both,) = sensitivity(zoo_lenet5, layers, batches, {"fc1": (8, 32)}, inputs=grids).values()
    assert both[8] > weights[8] > weights[32] == both[32] == 0


TIMES = LayerTimes({"slow": {8: 1.0, 32: 6.0}, "quick": {8: 1.0, 32: 2.0}}, rest=1.0, floats=10.0)


def test_under_a_latency_budget_the_layer_that_suffers_most_stays_in_floats_if_there_is_time():
    costs = {"slow": {8: 9.0, 32: 0.0}, "quick": {8: 1.0, 32: 0.0}}
    assert TIMES.choose(costs, 0.9) == {"slow": 32, "quick": 32}
    assert TIMES.choose(costs, 0.8) == {"slow": 32, "quick": 8}
    assert TIMES.choose(costs, 0.4) == {"slow": 8, "quick": 32}
    assert TIMES.choose(costs, 0.3) == {"slow": 8, "quick": 8}
    assert TIMES.share({"slow": 8, "quick": 32}) == pytest.approx(0.4)


def test_a_latency_that_no_choice_reaches_is_refused_with_the_least():
    with pytest.raises(WorkbenchError, match=r"down to 20%: .* the fastest one takes 30% of the floats'"):
        TIMES.choose({"slow": {8: 1.0, 32: 0.0}, "quick": {8: 1.0, 32: 0.0}}, 0.2)
