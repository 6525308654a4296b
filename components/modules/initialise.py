"""How the layers of every workload's model start."""

from __future__ import annotations

from torch import nn


def initialise_layers(model: nn.Module) -> None:
    """Draws weights in the order of the modules: embeddings from N(0, .5), linear layers with the deviation
    in_features ** -.5, cut at two; biases start at 0. The caller has seeded torch."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
