"""Trading as of an earlier day: the hold-out begins there, so purge and embargo keep later labels out of training."""

from __future__ import annotations

import numpy as np

from components.config_trading import TradingConfig
from components.workload import Dated


def as_of(section: TradingConfig, day: np.datetime64) -> TradingConfig:
    """The section that a retraining on that day would have had."""
    held_out = str(day.astype("datetime64[D]"))
    return section.model_copy(update={"data": section.data.model_copy(update={"holdout_from": held_out})})


DATED = Dated(as_of=as_of, overlap=lambda section: section.data.horizon)
