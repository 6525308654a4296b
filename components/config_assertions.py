"""The assertions section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.config_distillation import AssertionsLoss, AssertionsModel, TeacherConfig, TeacherLoss
from components.config_parts import (
    Count,
    EvaluationConfig,
    GateConfig,
    Positive,
    ScheduleConfig,
    Section,
    ShadowConfig,
    StudyConfig,
    TrainingConfig,
    TuningConfig,
    Whole,
)

HoldOut = Annotated[float, Field(gt=0, lt=0.5)]


class AssertionsData(Section):
    """Rows or Java sources, how they are split, and how much of each a model sees.

    `format`: jsonl: rows; java: a folder of source trees, one a project. `split`: project: whole projects are held out;
    file: files of tests; random: rows (leaks: near copies of a test row are in train). `validation_projects`,
    `test_projects`: the projects held out; empty: chosen by the seed, about the shares below. `extracted_rows`: rows a
    project, `rows_per_test`: rows a test method that extraction keeps at most. `earlier_assertions`: whether those in
    the prefixes of training rows make training rows of their own. `*_tokens`: pieces of each part that the
    model sees: the focal method keeps its head, the test prefix its tail. `retrieval_rows`: training rows to retrieve
    from at most. `retrieval_minimum`: rows that a term must occur in. `kind_signs`: buckets of the linear model that
    tells how likely each kind of assertion is; 0: none. `kind_strength`: inverse of its L2 regularisation.
    """

    source: Annotated[str, Field(min_length=1)]
    format: Literal["auto", "jsonl", "java"]
    split: Literal["project", "file", "random"]
    validation_projects: tuple[str, ...]
    test_projects: tuple[str, ...]
    validation_share: HoldOut
    test_share: HoldOut
    seed: Whole
    embedded_projects: Annotated[int, Field(ge=3, le=64)]
    embedded_rows: Annotated[int, Field(ge=60, le=1_000_000)]
    extracted_rows: Count
    rows_per_test: Count
    earlier_assertions: bool
    vocabulary: Annotated[int, Field(ge=300, le=32_000)]
    name_tokens: Count
    focal_tokens: Annotated[int, Field(ge=16, le=4096)]
    prefix_tokens: Annotated[int, Field(ge=16, le=4096)]
    assertion_tokens: Annotated[int, Field(ge=8, le=1024)]
    retrieval_rows: Annotated[int, Field(ge=1, le=1_000_000)]
    retrieval_minimum: Count
    kind_signs: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    kind_strength: Positive = 0.02

    @model_validator(mode="after")
    def _consistent(self) -> AssertionsData:
        if both := sorted(set(self.validation_projects) & set(self.test_projects)):
            raise ValueError(f"{both[0]} must not stand among validation_projects and test_projects")
        if bool(self.validation_projects) != bool(self.test_projects):
            raise ValueError("validation_projects and test_projects must both be given, or neither")
        if self.validation_projects and self.split != "project":
            raise ValueError(f"validation_projects and test_projects must be empty with split {self.split}")
        return self


class AssertionsBaseline(Section):
    """The cheap baselines. `strength`: inverse of the L2 regularisation of the linear SVM that names the type."""

    strength: Positive


class AssertionsEvaluation(EvaluationConfig):
    """How metrics are estimated, and the baselines beside them."""

    baseline: AssertionsBaseline


class TeacherSection(Section):
    """What trains a teacher: the parts of the section that a student's training has as well."""

    data: AssertionsData
    model: AssertionsModel
    loss: TeacherLoss
    training: TrainingConfig


class AssertionsConfig(Section):
    """Everything of `assertions` in params.yaml: the student's sections and its teacher."""

    data: AssertionsData
    model: AssertionsModel
    teacher: TeacherConfig
    loss: AssertionsLoss
    training: TrainingConfig
    evaluation: AssertionsEvaluation
    gate: GateConfig
    tuning: TuningConfig
    study: StudyConfig
    schedule: ScheduleConfig
    shadow: ShadowConfig = ShadowConfig()

    @model_validator(mode="after")
    def _consistent(self) -> AssertionsConfig:
        if max(self.model.kind_share, self.teacher.model.kind_share) > 0 and not self.data.kind_signs:
            raise ValueError("data.kind_signs must be 1 or more where a model's kind_share is not 0")
        return self

    @property
    def of_teacher(self) -> TeacherSection:
        """The same data, learned by the teacher."""
        teacher = self.teacher
        return TeacherSection(data=self.data, model=teacher.model, loss=teacher.loss, training=teacher.training)
