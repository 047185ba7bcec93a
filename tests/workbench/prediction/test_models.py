"""The models behind predictions, on data whose truth is known."""

import numpy as np
import pytest

from workbench.estimates import Estimate
from workbench.prediction.accuracy import AccuracyModel
from workbench.prediction.latency import FEWEST, LatencyModel
from workbench.prediction.outline import LayerSize, Size
from workbench.prediction.recovery import Recovery, Trained
from workbench.prediction.sizes import FileSizes

WHOLE = (LayerSize("a", 64, 3, 9, 1024), LayerSize("b", 64, 64, 9, 256))


def layers(first: int, second: int) -> tuple[LayerSize, ...]:
    return LayerSize("a", first, 3, 9, 1024), LayerSize("b", second, first, 9, 256)


def sure(value: float) -> Estimate:
    return Estimate(value=value, low=value * 0.99, high=value * 1.01)


def up(channels: int) -> int:
    return -(-channels // 16) * 16


def padded_share(some: tuple[LayerSize, ...]) -> float:
    """As kernels that compute 16 channels at once take it: three quarters of the time for that, the rest always."""

    def macs(part: tuple[LayerSize, ...]) -> float:
        return sum(up(x.outputs) * up(x.inputs) * x.kernel * x.positions for x in part)

    return 0.75 * macs(some) / macs(WHOLE) + 0.25


def test_latency_finds_the_padding_and_the_overhead() -> None:
    widths = np.random.default_rng(0).integers(4, 65, (24, 2))
    models = [layers(*pair) for pair in widths.tolist()]
    model = LatencyModel.fitted(WHOLE, models, [sure(padded_share(m)) for m in models])
    assert model is not None and (model.multiple, model.padded) == (16, True)
    for pair in ((20, 40), (33, 33), (64, 8)):
        assert model.share(layers(*pair)).value == pytest.approx(padded_share(layers(*pair)), rel=0.02)


def test_latency_finds_that_odd_channels_take_another_way() -> None:
    def share(some: tuple[LayerSize, ...]) -> float:
        odd = [x.outputs % 8 > 0 or (x.inputs > 3 and x.inputs % 8 > 0) for x in some]
        took = sum(x.macs * (2.0 if slow else 0.5) for x, slow in zip(some, odd, strict=True))
        return 0.1 + 0.9 * took / sum(x.macs for x in WHOLE)

    generator = np.random.default_rng(0)
    widths = [*(8 * generator.integers(1, 9, (10, 2))).tolist(), *generator.integers(4, 65, (10, 2)).tolist()]
    model = LatencyModel.fitted(WHOLE, [layers(*pair) for pair in widths], [sure(share(layers(*p))) for p in widths])
    assert model is not None and (model.multiple, model.padded) == (8, False)
    for pair in ((24, 40), (25, 40), (40, 41), (33, 33)):
        assert model.share(layers(*pair)).value == pytest.approx(share(layers(*pair)), rel=0.02)


def test_nine_in_ten_latencies_lie_in_their_interval() -> None:
    generator = np.random.default_rng(1)
    held = []
    for _ in range(20):
        models = [layers(*pair) for pair in generator.integers(4, 65, (30, 2)).tolist()]
        noisy = [padded_share(m) * np.exp(0.1 * generator.normal()) for m in models]
        model = LatencyModel.fitted(WHOLE, models[:20], [sure(value) for value in noisy[:20]])
        assert model is not None
        held += [
            model.share(m).low <= value <= model.share(m).high for m, value in zip(models[20:], noisy[20:], strict=True)
        ]
    assert 0.82 <= np.mean(held) <= 0.99


def test_too_few_timings_make_no_latency_model() -> None:
    models = [layers(8 * k, 8) for k in range(1, FEWEST)]
    assert LatencyModel.fitted(WHOLE, models, [sure(0.5)] * len(models)) is None


def test_a_timing_that_is_hardly_known_counts_for_little() -> None:
    models = [layers(*pair) for pair in np.random.default_rng(2).integers(4, 65, (12, 2)).tolist()]
    shares = [sure(padded_share(m)) for m in models]
    shares[3] = Estimate(value=shares[3].value * 4, low=0.01, high=20)
    model = LatencyModel.fitted(WHOLE, models, shares)
    assert model is not None
    assert model.share(layers(32, 32)).value == pytest.approx(padded_share(layers(32, 32)), rel=0.15)


def sized(first: int, second: int) -> Size:
    some = layers(first, second)
    return Size(sum(x.weights for x in some) + first + second, sum(x.macs for x in some), some)


def test_bytes_follow_the_files_of_the_same_form() -> None:
    def file(size: Size) -> int:
        return size.weights + 9 * size.channels + 5000

    known = [sized(8 * k, 8 * (k * k % 7 + 1)) for k in range(1, 8)]
    found = FileSizes.of(known, [file(size) for size in known]).at(sized(30, 20))
    assert found is not None
    assert found.value == pytest.approx(file(sized(30, 20)), rel=0.01)
    assert found.low <= file(sized(30, 20)) <= found.high


def test_one_size_over_and_over_tells_nothing_of_others() -> None:
    assert FileSizes.of([sized(8, 8)] * 9, [700] * 9) is None


def curve(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(4 - 6 * x[..., 0] + x[..., 1])))


def test_accuracy_is_learned_with_the_uncertainty_it_has() -> None:
    generator, held, errors = np.random.default_rng(3), [], []
    for _ in range(8):
        x = generator.random((45, 3))
        right = generator.binomial(500, curve(x)) / 500
        model = AccuracyModel(x[:25], right[:25], [500] * 25)
        for row, truth in zip(x[25:], curve(x[25:]), strict=True):
            found = model.at(row, 0.05)
            held.append(found.low <= truth <= found.high)
            errors.append(abs(found.value - truth))
    assert np.mean(errors) < 0.03
    assert np.mean(held) >= 0.8


def test_accuracy_is_never_below_chance_nor_above_one() -> None:
    x = np.linspace(0, 1, 12)[:, None]
    model = AccuracyModel(x, np.where(x[:, 0] < 0.5, 0.99, 0.1), [200] * 12)
    for far in (-3.0, 0.0, 0.5, 1.0, 4.0):
        found = model.at(np.array([far]), chance=0.1)
        assert found.value >= 0.1 and 0.05 <= found.low <= found.value <= found.high <= 1


def test_accuracy_without_any_difference_to_learn_from() -> None:
    model = AccuracyModel([np.zeros(3)] * 3, [0.9, 0.91, 0.89], [100] * 3)
    assert model.at(np.zeros(3), 0.05).value == pytest.approx(0.9, abs=0.02)


def test_accuracy_about_what_is_known_of_it_is_learned_from_little() -> None:
    """Where the last feature is nearly the answer, a dozen observations tell how far off it is."""
    x = np.random.default_rng(4).random((60, 3))
    near = 4 - 6 * x[:, 0] + x[:, 1]
    table, truth = np.column_stack([x, near + 0.3 * np.sin(near)]), 1 / (1 + np.exp(-near))
    model = AccuracyModel(table[:12], truth[:12], [2000] * 12, about=True)
    assert max(abs(model.at(row, 0.01).value - t) for row, t in zip(table[12:], truth[12:], strict=True)) < 0.02


def test_accuracy_allows_for_samples_that_nobody_has_seen() -> None:
    x = np.linspace(-2, 2, 15)[:, None]
    right = 1 / (1 + np.exp(-x[:, 0]))
    narrow, wide = (AccuracyModel(x, right, [500] * 15, total).at(x[7], 0.1) for total in (500, 50_000))
    assert wide.value == narrow.value
    assert wide.high - wide.low > max(narrow.high - narrow.low, 2 * 1.6 * (0.25 / 500) ** 0.5)


def test_accuracy_ignores_what_never_differed_before() -> None:
    x = np.column_stack([np.linspace(-2, 2, 15), np.zeros(15)])
    model = AccuracyModel(x, 1 / (1 + np.exp(-x[:, 0])), [500] * 15)
    assert model.at(np.array([0.5, 0.0]), 0.1) == model.at(np.array([0.5, 9.0]), 0.1)


def trained(before: float, updates: float = 400.0, left: float = 0.0) -> Trained:
    return Trained(before, updates, np.array([left, left, 0.0, 0.0, 0.0]))


def test_more_training_brings_back_more_and_never_is_sure_before_any_trial() -> None:
    model = Recovery(0.99, [], [])
    short, long = model.at(trained(0.3, 20), 0.05), model.at(trained(0.3, 800), 0.05)
    assert 0.3 < short.value < long.value < 0.99
    assert short.high - short.low > 0.2
    assert model.at(trained(0.99), 0.05).value == pytest.approx(0.99)


def test_recovery_is_learned_from_trials_for_recipes_like_theirs() -> None:
    known = [trained(0.3, left=-left / 2) for left in range(6)]
    model = Recovery(0.99, known, [0.90] * 6)  # all ended lower than the rule says
    like, unlike = model.at(trained(0.3, left=-1.2), 0.05), model.at(trained(0.97, left=0.0), 0.05)
    assert like.value == pytest.approx(0.90, abs=0.03) and like.low <= 0.90 <= like.high
    assert like.high - like.low < 0.2
    assert unlike.value > 0.95


def test_one_collapse_does_not_spoil_all_that_is_foreseen() -> None:
    good = [trained(0.9, left=-left / 10) for left in range(5)]
    model = Recovery(0.99, [*good, trained(0.1, left=-5.0)], [0.985] * 5 + [0.1])
    assert model.at(trained(0.9, left=-0.2), 0.05).value > 0.95
    assert model.at(trained(0.1, left=-5.0), 0.05).value < 0.7
