"""A search keeps its budget, learns from what is there, goes on, and says what it found or what is nearest."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest

from workbench import Cancelled, Dataset, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.metrics import Metrics
from workbench.prediction.probes import probe
from workbench.prediction.prospect import follow
from workbench.search.budget import Budget
from workbench.search.costs import Costs, epochs
from workbench.search.goals import Goal
from workbench.search.outcome import Outcome
from workbench.search.reach import check_limits, smallest
from workbench.search.sampler import Sampler
from workbench.search.search import Search, _drawing, _taken
from workbench.search.space import Space
from workbench.steps import Distill, Sparsify
from workbench.storage import LOST
from workbench.tasks import begin, carry_out_task
from workbench.workers import LocalWorkers

QUICK = {"distill": False, "prune.importance": "l2"}


@pytest.fixture(scope="module")
def prepared(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of LeNet-300-100 with its baseline, one trial of the user's own, and its sensitivity."""
    study = Study("lenet300", few_digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.run(Recipe([Prune(ratio=0.5), Quantize()]))
    study.prepare_predictions(seconds=0)
    return study.path


@pytest.fixture
def study(prepared: Path, few_digits: Dataset, tmp_path: Path) -> Study:
    """A copy of it, to search in."""
    shutil.copytree(prepared, tmp_path / "study")
    return Study("lenet300", few_digits, path=tmp_path / "study")


def _measured(study: Study) -> Metrics:
    metrics = study.baseline.metrics
    assert metrics is not None
    return metrics


def test_a_search_keeps_its_limits_and_its_history_and_goes_on(study: Study) -> None:
    """Two searches of one trial each: the second goes on where the first ended."""
    for _ in range(2):
        found = study.search(["size_bytes", "accuracy"], {"accuracy_drop": 0.05}, budget="1 trial", space=QUICK)
    assert len(study.trials) == 2 + 2
    assert len({trial.recipe.hash for trial in study.trials}) == len(study.trials)
    assert found.best is not None and found.best.metrics is not None and found.front[0].number == found.best.number
    assert _measured(study).accuracy.value - found.best.metrics.accuracy.value <= 0.05
    assert f"Trial {found.best.number} keeps accuracy lost at most 5.00 points" in found.sentences()[0]
    volumes = [progress.hypervolume for progress in found.history]
    assert volumes == sorted(volumes) and len(volumes) == 2 and found.hypervolume == volumes[-1]
    url = f"sqlite:///{study.path / 'search.db'}"
    (name,) = optuna.get_all_study_names(url)
    kept = optuna.load_study(study_name=name, storage=url)
    inside = [trial.number for trial in study.trials if Space.of(QUICK, study.runtime).params(trial.recipe) is not None]
    assert sorted(trial.user_attrs["trial"] for trial in kept.trials) == inside and len(inside) >= 3
    assert kept.metric_names == ["size_bytes", "accuracy"]
    assert [len(trial.values) for trial in kept.trials] == [2] * len(inside)


def test_the_history_opens_in_another_process_as_any_study_of_optuna(study: Study) -> None:
    study.search(["size_bytes", "accuracy"], {"accuracy_drop": 0.05}, budget="1 trial", space=QUICK)
    code = f"""
import json, optuna, yaml
url = "sqlite:///{study.path / "search.db"}"
kept = optuna.load_study(study_name=optuna.get_all_study_names(url)[0], storage=url)
print(json.dumps([[t.values, t.user_attrs["limits broken by"], yaml.safe_load(t.user_attrs["recipe"]), t.params,
    t.user_attrs["trial"]] for t in kept.trials]))
print(len(kept.best_trials), [d.name for d in kept.directions])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    trials, summary = run.stdout.splitlines()
    assert summary.split(" ", 1)[1] == "['MINIMIZE', 'MAXIMIZE']" and int(summary.split()[0]) >= 1
    for values, (broken,), recipe, params, number in json.loads(trials):
        metrics = study.trial(number).metrics
        assert metrics is not None
        assert values == [metrics.size_bytes, metrics.accuracy.value]
        assert broken == pytest.approx(_measured(study).accuracy.value - metrics.accuracy.value - 0.05)
        assert Recipe.from_dict(recipe) == study.trial(number).recipe and "prune" in params


def test_layers_are_restored_until_the_accuracy_holds(study: Study) -> None:
    whole = study.accuracy_aware(0.5, Quantize(weight_bits=2, simulate=True))
    assert whole.layers == {}
    known, rough = study.sensitivity(), Quantize(weight_bits=1, simulate=True)
    worst = max(known.grid("bits")[0], key=lambda name: known.error("bits", name, 1))
    restored = rough.model_copy(update={"layers": {worst: 32}})
    none, one = (probe(study, Recipe([step])) for step in (rough, restored))
    assert none.right < one.right
    assert study.accuracy_aware(known.baseline.value - one.right / one.samples + 1e-9, rough) == restored
    with pytest.raises(WorkbenchError, match="can't be kept to"):
        study.accuracy_aware(-0.1)


def test_evolution_is_at_least_as_good_as_greedy_moves(study: Study) -> None:
    known = study.sensitivity()

    def suffers(ratios: dict[str, float]) -> float:
        return sum(known.error("ratio", name, ratio) for name, ratio in ratios.items())

    greedy, found = known.ratios(0.4), known.ratios(0.4, "evolution")
    assert known.left(found) <= 0.4 and suffers(found) <= suffers(greedy) + 1e-9
    with pytest.raises(WorkbenchError, match="no solver"):
        known.ratios(0.4, "luck")


def test_a_wish_that_can_not_be_met_is_said_with_what_is_nearest(study: Study) -> None:
    goal = Goal.of("latency", {"accuracy_drop": 0.0, "size_bytes": 900}, _measured(study))
    found = Outcome(study, goal)
    assert found.best is None and found.front == []
    said = " ".join(found.sentences())
    assert said.startswith("Not reachable here")
    assert "Loosening file size by" in said and "Near it is trial" in said
    assert {trial.number for trial in found.nearest} == {0, 1}


def test_a_trial_that_the_time_cuts_short_says_so(study: Study) -> None:
    budget = Budget.of("1 h")

    def told(**facts: object) -> None:
        if "trial" in facts:
            budget.seconds = 1e-3  # as if the hour were over

    goal = Goal.of(["accuracy", "size_bytes"], None, _measured(study))
    space = Space.of(QUICK, study.runtime)
    found = Search(study, goal, space, budget, Sampler(study.path / "own.db", "late", goal, space)).run(told)
    assert study.trial(2).reason == "The time of the search was spent before this trial was done."
    assert found.front and found.ended.startswith("The search ended as its")


def test_what_was_cut_short_does_not_count_as_trained(study: Study) -> None:
    budget = Budget.of("1 h")

    def told(**facts: object) -> None:
        if "trial" in facts:
            budget.seconds = 1e-3

    goal = Goal.of(["accuracy", "size_bytes"], None, _measured(study))
    space = Space.of({**QUICK, "distill": True, "distill.epochs": [1, 2]}, study.runtime)
    found = Search(study, goal, space, budget, Sampler(study.path / "own.db", "late", goal, space)).run(told)
    assert study.trial(2).state == "cancelled" and any(isinstance(step, Distill) for step in study.trial(2).recipe)
    assert sum(rung.recipes for rung in found.rungs) == 0 and "Recipes trained" not in " ".join(found.sentences())


def test_a_stopped_search_keeps_what_it_found(study: Study) -> None:
    def stop(facts: dict) -> None:
        if len(study.trials) > 2:
            raise Cancelled

    found = study.search(["accuracy", "size_bytes"], budget="9 trials", space=QUICK, on_progress=stop)
    assert found.ended == "The search was stopped by the user."
    assert found.front and [t.state for t in study.trials[2:]] == ["cancelled"]


def test_a_trial_that_is_cancelled_alone_is_skipped_and_not_proposed_again(study: Study) -> None:
    skipped: list[int] = []

    def skip(facts: dict) -> None:
        if facts.get("doing") == "trial" and not skipped:
            skipped.append(facts["number"])
            study.trial(facts["number"]).cancel()  # as from the page's bar over work under way

    found = study.search(["accuracy", "size_bytes"], budget="1 trial", space=QUICK, on_progress=skip)
    assert found.ended == "The search ended as its 1 trials were spent." and not found.stopped
    states = {trial.number: trial.state for trial in study.trials[2:]}
    assert skipped == [2] and states == {2: "cancelled", 3: "complete"}
    assert study.trial(2).reason == "Cancelled by the user; the search went on without it."
    study.search(["accuracy", "size_bytes"], budget="2 trials", space=QUICK)  # which goes on
    hashes = [trial.recipe.hash for trial in study.trials]
    assert len(hashes) == 6 and hashes.count(study.trial(2).recipe.hash) == 1


def test_a_search_that_is_stopped_while_its_trial_is_cancelled_too_ends(study: Study) -> None:
    def stop(facts: dict) -> None:
        if facts.get("doing") == "trial":
            study.trial(facts["number"]).cancel()
            raise Cancelled

    found = study.search(["accuracy", "size_bytes"], budget="9 trials", space=QUICK, on_progress=stop)
    assert found.stopped and [trial.reason for trial in study.trials[2:]] == ["Cancelled by the user."]


def test_too_small_a_budget_is_refused(study: Study) -> None:
    with pytest.raises(WorkbenchError, match="Give at least"):
        study.search(budget="0.01 s")


@pytest.fixture
def bare(few_digits: Dataset, tmp_path: Path) -> Study:
    """A study in which nothing was measured yet."""
    return Study("lenet300", few_digits, path=tmp_path / "bare")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"objectives": ["acuracy"]}, "no objective called 'acuracy'"),
        ({"constraints": {"siz_bytes": 1000}}, "no objective called 'siz_bytes'"),
        ({"constraints": {"accuracy_drop": 2}}, "can't be a limit"),
        ({"sampler": "tpee"}, "no sampler called 'tpee'"),
        ({"storage": "nosuch://database"}, "can't be kept"),
        ({"space": {"prune.ratio": (0.1, "x")}}, "can't go from 0.1 to 'x'"),
        ({"space": {"prune": 0.5}}, "prune can't be 0.5"),
        ({"space": {"prune.strength": "a"}}, "can't go from 'a'"),
        ({"constraints": {"macs": 10}}, "the least is"),
        ({"constraints": {"parameters": 1000}, "space": {"quantize.layers": [8, 4]}}, "the least is"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(wrong: dict, says: str, bare: Study) -> None:
    with pytest.raises(WorkbenchError, match=says):
        bare.search(budget="1 h", **wrong)
    assert bare.storage.records() == [] and not (bare.path / "search.db").exists()


def test_where_training_is_forced_too_small_a_budget_is_refused_with_what_would_be_enough(bare: Study) -> None:
    long = {"prune": False, "quantize": False, "distill": True, "distill.epochs": [40, 50]}
    assert bare.baseline.metrics is not None
    costs = Costs.known(bare)
    seconds = costs.fixed + 20 * costs.whole
    with pytest.raises(WorkbenchError, match=r"too few. Give at least \d+ s\.") as refused:
        bare.search(["accuracy"], budget=f"{seconds:.3f} s", space=long)
    assert int(refused.value.hint.split()[3]) > costs.fixed + 40 * costs.whole
    assert len(bare.storage.records()) == 1 and not (bare.path / "sensitivity").exists()


def test_the_least_of_a_space_is_told_exactly_where_all_layers_are_cut_alike(bare: Study) -> None:
    alike = {"prune.scope": ["layer"], "prune.round_to": [1], "prune.ratio": (0.1, 0.5)}
    least = smallest(bare, Space.of(alike, bare.runtime), solving=False)
    half = follow(Recipe([Prune(ratio=0.5)]), bare.outline, bare.runtime).size
    assert least == half
    for macs, kept in ((half.macs, True), (half.macs - 1, False)):
        goal = Goal.named("accuracy", {"macs": macs})
        with contextlib.nullcontext() if kept else pytest.raises(WorkbenchError, match=f"the least is {half.macs:,}"):
            check_limits(bare, goal, Space.of(alike, bare.runtime), solving=False)
    for wishes, solving in ((alike, True), ({"prune.ratio": (0.1, 0.5)}, False)):
        anywhere = smallest(bare, Space.of(wishes, bare.runtime), solving)
        assert anywhere is not None and anywhere.macs < half.macs  # one layer may lose more than another
    assert smallest(bare, Space.of({"slim": True}, bare.runtime)) is None
    assert smallest(bare, Space.of({"prune": False}, bare.runtime)) == bare.outline.whole_size


def test_a_space_that_is_used_up_ends_the_search(study: Study) -> None:
    two = {"prune.ratio": 0.5, "prune": True, "prune.importance": "l2", "prune.scope": "layer", "prune.layers": [{}]}
    two |= {"prune.round_to": 1, "distill": False, "half": False}  # with Quantize, which was done already, or not
    found = study.search(["accuracy", "size_bytes"], budget=9, space=two)
    assert "nothing new was left to try" in found.ended
    assert [t.recipe for t in study.trials[2:]] == [Recipe([Prune(ratio=0.5)])]


def test_what_another_process_does_during_a_search_is_learned_and_not_done_again(study: Study) -> None:
    """The one recipe that is left is carried out by a worker while the search looks at it."""
    two = {"prune.ratio": 0.5, "prune": True, "prune.importance": "l2", "prune.scope": "layer", "prune.layers": [{}]}
    two |= {"prune.round_to": 1, "distill": False, "half": False}
    workers = LocalWorkers()
    outside: list[int] = []

    def meanwhile(facts: dict) -> None:
        if facts.get("doing") == "look" and not outside:
            outside.append(workers.submit(study, Recipe.from_dict(facts["recipe"])).result().number)

    try:
        found = study.search(["accuracy", "size_bytes"], budget=9, space=two, on_progress=meanwhile)
    finally:
        workers.close()
    assert outside == [2] and len(study.trials) == 3 and "nothing new was left to try" in found.ended
    assert found.spent is not None and found.spent.done == 0
    url = f"sqlite:///{study.path / 'search.db'}"
    kept = optuna.load_study(study_name=optuna.get_all_study_names(url)[0], storage=url)
    assert sorted(trial.user_attrs["trial"] for trial in kept.trials) == [1, 2]  # the baseline isn't in this space


def test_a_second_search_at_the_same_time_draws_otherwise_and_leaves_out_what_the_first_is_at(study: Study) -> None:
    recipe = Recipe([Prune(ratio=0.3)])
    assert _drawing(study, 7) == 7
    first = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        record = study.storage.add(recipe.to_dict(), recipe.hash)
        record.process = first.pid, psutil.Process(first.pid).create_time()
        study.storage.save(record)
        assert recipe.hash in _taken(study) and _drawing(study, 7) != 7
    finally:
        first.kill()
        first.wait()
    assert recipe.hash not in _taken(study) and _drawing(study, 7) == 7  # its process is gone


def test_what_another_search_told_is_kept_once_and_learned_by_both(study: Study) -> None:
    goal, space = Goal.of(["accuracy", "size_bytes"], None, _measured(study)), Space.of(None, study.runtime)
    one, two = (Sampler(study.path / "own.db", "test", goal, space, seed=seed) for seed in (0, 1))
    params = space.random(np.random.default_rng(0))[1]
    for sampler in (one, two, two):
        sampler.tell(0, params, [0.9, 1000.0], {})
    assert one.known == two.known == {0}
    assert [len(s._mind.get_trials(states=(optuna.trial.TrialState.COMPLETE,))) for s in (one, two)] == [1, 1]
    kept = optuna.load_study(study_name="test", storage=one.address)
    assert len(kept.trials) == 1


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_every_sampler_proposes_recipes_of_the_space(sampler: str, study: Study) -> None:
    goal = Goal.of(["accuracy", "size_bytes"], {"accuracy": 0.9}, _measured(study))
    space = Space.of(None, study.runtime)
    asked = Sampler(study.path / "own.db", "test", goal, space, sampler)
    for number in range(3):
        proposed = asked.propose()
        assert proposed is not None and space.params(proposed[0]) is not None
        asked.tell(number, proposed[1], [0.9 + number / 100, 1000.0 * number], {"accuracy": -0.01})
    asked.tell(3, proposed[1], None, {"accuracy": float("inf")})
    assert asked.known == {0, 1, 2, 3}


@pytest.mark.parametrize(("sampler", "proposals"), [("tpe", 30), ("nsga2", 60), ("gp", 6)])
def test_every_sampler_that_learns_goes_by_what_it_was_told(sampler: str, proposals: int, study: Study) -> None:
    goal, generator = Goal.of(["accuracy", "size_bytes"], None, _measured(study)), np.random.default_rng(0)
    space = Space.of({"prune": True, "distill": False, "quantize": False}, study.runtime)
    asked = Sampler(study.path / "own.db", "test", goal, space, sampler)
    for number in range(24):  # where less is pruned, everything is better
        _, params = space.random(generator)
        asked.tell(number, params, [1 - params["prune.ratio"], 1000 * params["prune.ratio"]], {})
    proposed = [asked.propose() for _ in range(proposals)]
    ratios = [params["prune.ratio"] for _, params in filter(None, proposed)]
    assert np.mean(ratios) < 0.4  # by chance it is 0.5


def test_bits_without_kernels_are_passed_over(study: Study) -> None:
    wishes = {"prune": False, "distill": False, "quantize": True, "quantize.weight_bits": [8, 4]}
    found = study.search(["accuracy", "size_bytes"], budget=3, space=wishes)
    assert [t.recipe for t in study.trials[2:]] == [Recipe([Quantize()])]
    assert "nothing new was left to try" in found.ended


def test_what_is_only_simulated_is_not_tried_where_speed_is_asked_for(study: Study) -> None:
    wishes = {
        "prune": False,
        "distill": False,
        "half": False,
        "quantize.weight_bits": [4, 3],
        "quantize.simulate": [True],
    }
    found = study.search(["accuracy", "latency"], budget=2, space=wishes)
    assert len(study.trials) == 2 and "nothing new was left to try" in found.ended


def test_a_trial_that_was_lost_with_its_process_is_tried_again(study: Study) -> None:
    record = study.storage.add(Recipe([Quantize()]).to_dict(), Recipe([Quantize()]).hash)
    record.state, record.reason = "failed", LOST
    study.storage.save(record)
    goal, space = Goal.of(["accuracy"], None, _measured(study)), Space.of(None, study.runtime)
    history = Sampler(study.path / "own.db", "test", goal, space)
    tried = Search(study, goal, space, Budget.of("1 trial"), history).tried
    assert record.recipe_hash not in tried and study.trial(1).recipe.hash in tried


def test_where_accuracy_has_a_limit_the_best_is_not_the_most_accurate_but_what_covers_most(study: Study) -> None:
    integers = study.run(Recipe([Quantize()]))
    found = {
        objectives: Outcome(study, Goal.of(objectives, limits, _measured(study))).best
        for objectives, limits in (
            (("accuracy", "size_bytes"), None),
            (("accuracy", "size_bytes", "macs"), {"accuracy_drop": 0.5}),
            (("size_bytes", "accuracy"), {"accuracy_drop": 0.5}),
        )
    }
    accurate, covering, smallest = found.values()
    assert accurate and covering and smallest and accurate.metrics
    assert accurate.metrics.score.value == max(t.metrics.score.value for t in study.trials if t.metrics)
    assert covering.number == integers.number
    sizes = {t.number: t.metrics.size_bytes for t in study.trials if t.metrics}
    assert sizes[smallest.number] == min(sizes.values()) < sizes[covering.number] < sizes[study.baseline.number]


def test_an_unknown_sampler_and_a_storage_that_is_none_are_refused(study: Study) -> None:
    with pytest.raises(WorkbenchError, match="no sampler called 'tpee'"):
        study.search(budget=1, sampler="tpee")
    with pytest.raises(WorkbenchError, match="can't be kept"):
        study.search(budget=1, storage="nosuch://database")


def test_costs_are_learned_from_trials(study: Study) -> None:
    costs = Costs.known(study)
    plain, trained = Recipe([Prune()]), Recipe([Prune(), Distill(epochs=4)])
    assert 0 < costs.seconds(plain) < costs.seconds(trained, macs=0.1) < costs.seconds(trained)
    assert costs.seconds(trained, done=2) == costs.seconds(plain)
    assert epochs(trained) == 4
    assert epochs(Recipe([Sparsify(method="iterative", rounds=3, epochs=2)])) == 6


def test_a_search_runs_in_a_worker_with_progress(study: Study) -> None:
    workers = LocalWorkers()
    try:
        task = workers.start(study, "search", budget=1, space=QUICK, objectives=["accuracy", "size_bytes"])
        found = task.result(timeout=300)
    finally:
        workers.close()
    assert task.done() and len(study.trials) == 3
    assert found["front"] and found["sentences"][-1].startswith("The search ended")
    progress = task.progress()
    assert progress is not None and 0 <= progress["share"] <= 1 and progress["message"]


def test_a_task_stops_when_asked_to(study: Study) -> None:
    def ask(facts: dict) -> None:
        (study.path / "tasks").mkdir(exist_ok=True)
        (study.path / "tasks" / "prepare.cancel").touch()

    with pytest.raises(Cancelled):
        carry_out_task(study, "prepare", {"seconds": 5}, alone=ask)


def test_an_unknown_task_is_refused(study: Study) -> None:
    with pytest.raises(WorkbenchError, match="no task called 'serch'"):
        begin(study, "serch")
