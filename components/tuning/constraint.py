"""What keeps a candidate from being promoted whatever else it gains: a head of the gate below the champion.

Optuna's samplers prefer candidates without a violation and its front holds no others, so that a campaign looks for
weights that the gate can let through. The gate itself judges by intervals on another split; here points have to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.config_parts import GateHead
from components.errors import misconfigured
from components.tuning.nearest import nearest_hint


def violations(
    metrics: Mapping[str, float], champion: Mapping[str, float], heads: Sequence[GateHead]
) -> dict[str, float]:
    """Head of the gate -> how far beyond its margin it is worse than the champion's, for `Trial.set_constraint`.

    Args:
        metrics: validation metrics of the candidate, by `head/metric`.
        champion: the champion's on the same samples; a head that it has no value of does not constrain.
        heads: `gate.heads` of the workload, primary and guard alike: each may hold a promotion up.

    Returns:
        values in the metric's units; 0 and less: feasible.

    Raises:
        EquipoiseError: E_CONFIG_KEY (78) for a head of which the champion has a value and the candidate none.
    """
    found = {}
    for head in heads:
        name = f"{head.head}/{head.metric}"
        if name not in champion:
            continue
        if name not in metrics:
            raise misconfigured("gate.heads", "no such validation metric of the candidate", got=name,
                                hint=nearest_hint(name, metrics), code="CONFIG_KEY")  # fmt: skip
        worse = champion[name] - metrics[name] if head.direction == "higher" else metrics[name] - champion[name]
        found[name] = worse - head.margin
    return found
