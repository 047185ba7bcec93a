"""What every step is given."""

from workbench.steps.base import Context


def test_a_part_of_a_step_tells_its_share_of_the_whole_and_all_else_as_it_is(digits, lenet5):
    told: list[dict] = []
    context = Context(digits, lenet5, seed=7, report=lambda **facts: told.append(facts))
    part = context.part(1, 4)
    part.report(share=0.0, message="half")
    part.part(1, 2).report(share=0.5, loss=2.0)
    part.report(accuracy=0.9)
    assert told == [{"share": 0.25, "message": "half"}, {"share": 0.4375, "loss": 2.0}, {"accuracy": 0.9}]
    assert (part.seed, part.dataset) == (7, digits)
