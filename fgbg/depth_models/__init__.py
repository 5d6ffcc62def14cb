"""Depth networks behind one small interface: weights in, uint8 pictures in, float32 metres out.

    model = load_depth_model("nyu")
    metres = model.predict(pictures)  # uint8 [n, H, W, 3] -> float32 [n, H, W]

Importing this package loads no framework; the engine that a model asks for does.
"""

from fgbg.depth_models.model import (
    DepthModel,
    depth_model_fingerprint,
    depth_model_kind,
    depth_model_operations,
    load_depth_model,
)

__all__ = ["DepthModel", "depth_model_fingerprint", "depth_model_kind", "depth_model_operations", "load_depth_model"]
