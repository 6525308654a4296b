"""The code file of a registered model: MLflow runs it to get the object it serves.

It travels with a copy of the `components` package, so the folder answers wherever its requirements are installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from components.errors import EquipoiseError
from components.registry.answers import answer, plain_rows, read_serving
from components.workload import workload


class ServedModel(PythonModel):
    """Raw requests in (a data frame or a list of objects), a JSON object for each out, as `predict` writes them."""

    def load_context(self, context: Any) -> None:
        self.serving = read_serving(Path(context.artifacts["serving"]))
        self.record = workload(self.serving["workload"])
        self.predictor = self.record.load(Path(context.artifacts["model"]))

    # without hints: MLflow would take its signature from them
    def predict(self, context, model_input, params=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Raises MlflowException (HTTP 400) whose message is the one-line error, for requests that cannot be read."""
        records = model_input.to_dict(orient="records") if hasattr(model_input, "to_dict") else model_input
        try:
            return answer(self.record, self.predictor, plain_rows(records, self.serving["json_columns"]))
        except EquipoiseError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ServedModel())
