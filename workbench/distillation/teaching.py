"""The whole course of a distillation: teacher, assistants, student."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from workbench.data import Dataset
from workbench.distillation.cache import logits_of
from workbench.distillation.lesson import Lesson
from workbench.distillation.students import prepare_student, student_called
from workbench.distillation.teachers import assistants, check_classes, teacher_called
from workbench.evaluation import task_of
from workbench.steps.base import Context, Work

if TYPE_CHECKING:
    from workbench.steps.distill import Distill


def check(step: "Distill", context: Context) -> None:
    """Refuse, before any work, a teacher or a student that doesn't fit the dataset."""
    teacher_called(step.teacher, context.baseline, context)
    if step.student != "same":
        student_called(step.student, context)


def distill(work: Work, step: "Distill", context: Context) -> None:
    """Carry `step` out on `work`."""
    task, teacher = task_of(context.dataset), teacher_called(step.teacher, work.module, context)
    prepare_student(work, step.student, step.fresh, context)
    check_classes(work.module.eval(), "The student", context.dataset)
    if step.data == "calibration":
        context = replace(context, dataset=without_labels(teacher, context))
        work.notes.append(
            f"Learned from the teacher's answers to {len(context.dataset.train)} calibration samples, without any "
            f"label; the {task.score_name} shown meanwhile is taken on them, with the teacher's answers for labels."
        )
    parts = step.assistants + 1
    for number, assistant in enumerate(assistants(step.assistants, teacher, work.module, context), start=1):
        reached = _teach(assistant, teacher, step, context.part(number - 1, parts))
        told, size = task.as_score(reached).text(), sum(p.numel() for p in assistant.module.parameters())
        work.notes.append(f"Assistant {number}: {size:,} parameters, validation {task.score_name} {told}.")
        teacher = copy.deepcopy(assistant.module).eval().requires_grad_(False)
    _teach(work, teacher, step, context.part(parts - 1, parts))


def without_labels(teacher: nn.Module, context: Context) -> Dataset:
    """The calibration samples, with the teacher's answers in the place of labels."""
    dataset = context.dataset
    outputs = logits_of(teacher, dataset, dataset.calibration, context.device)
    answers = task_of(dataset).told(outputs).cpu().numpy()
    told = (dataset.calibration.inputs, answers)
    return replace(dataset, train=told, validation=told, test=None)


def _teach(work: Work, teacher: nn.Module, step: "Distill", context: Context) -> float:
    lesson = Lesson(teacher, work, step, context)
    with lesson.given(work.module):
        return step.learn(work, context, lesson.loss, before_update=lesson.before_update, companion=lesson.features)
