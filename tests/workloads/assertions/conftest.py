from functools import partial

import pytest

from components.training.loop import train
from components.workloads.assertions.lessons import teacher_folder
from components.workloads.assertions.teacher import teach_into
from components.workloads.assertions.workload import WORKLOAD
from tests.workloads.assertions.small import made, training


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(section, prepared folder) of a small data set."""
    return made(tmp_path_factory.mktemp("assertions"))


@pytest.fixture(scope="session")
def taught(tmp_path_factory):
    """(section, prepared folder, what teaching said)."""
    section, prepared = made(tmp_path_factory.mktemp("taught"), teacher={"training": training(epochs=5)})
    learn = partial(train, device="cpu")
    return section, prepared, teach_into(WORKLOAD, section, prepared, teacher_folder(prepared), learn, "cpu")
