"""Make the weights of the voice encoder of those of Resemblyzer.

``python -m kikiwake.tools.starter.encoder`` writes ``models/voice_encoder.npz``. It wants the
packages Resemblyzer and torch, which nothing else here does, and so an environment of its own.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

LAYERS = 3


def main(
    to: Annotated[Path, typer.Option(help="File for the weights.")] = Path(
        "models/voice_encoder.npz"
    ),
) -> None:
    """Make the weights of the voice encoder of those of Resemblyzer."""
    import torch

    # Found, not imported: that wants packages which its weights do not.
    found = importlib.util.find_spec("resemblyzer")
    if found is None or found.origin is None:
        raise typer.BadParameter("the package Resemblyzer is not there: pip install Resemblyzer")
    source = Path(found.origin).with_name("pretrained.pt")
    # Nothing in it is executed.
    state = torch.load(source, map_location="cpu", weights_only=True)["model_state"]
    was = {name: value.numpy() for name, value in state.items()}
    kept = {"projection": was["linear.weight"].T, "projection_bias": was["linear.bias"]}
    for n in range(LAYERS):
        kept[f"input_{n}"] = was[f"lstm.weight_ih_l{n}"].T
        kept[f"hidden_{n}"] = was[f"lstm.weight_hh_l{n}"].T
        # PyTorch adds two, for cuDNN's sake.
        kept[f"bias_{n}"] = was[f"lstm.bias_ih_l{n}"] + was[f"lstm.bias_hh_l{n}"]
    weights = {name: np.ascontiguousarray(value, np.float16) for name, value in kept.items()}
    np.savez_compressed(to, **weights)  # type: ignore[arg-type, unused-ignore]


if __name__ == "__main__":
    typer.run(main)
