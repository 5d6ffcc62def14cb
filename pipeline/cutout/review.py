"""Checks that flag a cut-out for review by a person. A pure function."""

import cv2
import numpy as np

from pipeline.cutout.matting import SOLID, Alpha, label_components

_MIN_COVERAGE = 0.01
_MAX_COVERAGE = 0.9
_MAX_BORDERS = 2
# The object touches a border of the picture if more than this fraction of the border is solid.
_TOUCH = 0.05
_MAX_COMPONENTS = 3
# Test-time views that agree on less than this fraction of the object are flagged. Of 92 cut-outs with known alpha, this
# check and that of the edge flag 55 % of those with an IoU below 0.8 and 7 % of the others. Three other measures
# separate the two groups less well: the distance of the estimate from 0 and 1, the raggedness of the outline, and the
# contrast between the object and its surroundings.
_MIN_AGREEMENT = 0.75
# Limits of the mean width of the edge: a fraction of the longest side of the picture, but not less than this number of
# pixels, because every edge is soft over a few pixels.
_MAX_EDGE = 0.005
_MAX_EDGE_PIXELS = 3
# The edge consists of the pixels whose alpha differs from both 0 and 1 by more than this.
_EDGE_MARGIN = 0.1

NOTHING_FOUND = "nothing was found in it"


def review_flags(alpha: Alpha, agreement: float = 1.0) -> tuple[str, ...]:
    """Return the reasons to review a cut-out; empty if it passes all checks.

    Args:
        alpha: cleaned alpha of the whole picture, float32 [h, w] in 0 .. 1.
        agreement: agreement of the test-time views, 0 .. 1.
    """
    solid = alpha >= SOLID
    coverage = float(solid.mean())
    if not coverage:
        return (NOTHING_FOUND,)
    reasons = []
    if coverage < _MIN_COVERAGE:
        reasons.append(f"it fills only {coverage:.1%} of the picture")
    if coverage > _MAX_COVERAGE:
        reasons.append(f"it fills {coverage:.0%} of the picture")
    sides = (solid[0], solid[-1], solid[:, 0], solid[:, -1])
    if (touched := sum(side.mean() > _TOUCH for side in sides)) > _MAX_BORDERS:
        reasons.append(f"it touches {touched} borders of the picture")
    if (components := len(label_components(solid)[1])) > _MAX_COMPONENTS:
        reasons.append(f"it is in {components} pieces")
    if agreement < _MIN_AGREEMENT:
        reasons.append(f"views of it (whole, mirrored, centre) agree on only {agreement:.0%} of the object")
    width = _edge_width(alpha)
    if width > max(_MAX_EDGE * max(alpha.shape), _MAX_EDGE_PIXELS):
        reasons.append(
            f"its edge is blurred: its width is {width / max(alpha.shape):.1%} of the picture's longest side"
        )
    return tuple(reasons)


def _edge_width(alpha: Alpha) -> float:
    """Return the mean width of the edge in pixels: its area divided by the length of the outline."""
    outlines, _ = cv2.findContours((alpha >= SOLID).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(outline, closed=True) for outline in outlines)
    # The outline of a single pixel has length 0.
    return float(((alpha > _EDGE_MARGIN) & (alpha < 1 - _EDGE_MARGIN)).sum() / max(length, 1))
