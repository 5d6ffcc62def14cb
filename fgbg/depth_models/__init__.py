"""Depth networks behind one small interface: weights in, uint8 pictures in, float32 metres out.

    from fgbg.depth_models.model import load_depth_model

    model = load_depth_model("nyu")
    metres = model.predict(pictures)  # uint8 [n, H, W, 3] -> float32 [n, H, W]

Importing this package loads nothing; the engine that a model asks for loads its framework.
"""
