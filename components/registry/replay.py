"""Run as a program in a fresh process: loads an artefact as MLflow serves it and answers its golden inputs.

`python -P replay.py FOLDER OUTPUT.json`. It imports nothing of the product: what answers is the copy of the code inside
the artefact.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def replay(folder: Path) -> list:
    """The served answers to the golden inputs, after the way through JSON that an HTTP answer takes."""
    import mlflow.pyfunc

    serving = json.loads((folder / "artifacts" / "serving.json").read_text(encoding="utf-8"))
    answers = mlflow.pyfunc.load_model(str(folder)).predict(serving["inputs"])
    return json.loads(json.dumps(answers, allow_nan=False))


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(replay(Path(sys.argv[1]))), encoding="utf-8")
