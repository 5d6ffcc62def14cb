"""Whether a cut-out looks wrong, so that a person should look at it. A pure function."""

import cv2
import numpy as np

from transforms.cutting.matting import SOLID, Alpha, label_pieces

_LEAST_COVERAGE = 0.01
_MOST_COVERAGE = 0.9
_MOST_BORDERS = 2
# Share of a side of the picture that is solid, from which it counts as touched.
_TOUCH = 0.05
_MOST_PIECES = 3
# Looks at a picture that agree on less than this are not sure. Of 92 cut-outs with known alpha 55 % of those with an
# IoU below 0.8 fall below it or have too wide an edge, and 7 % of the others; how far the guess is from 0 and 1, how
# ragged the outline is, or how unlike its surroundings the object is tell them apart less well.
_LEAST_AGREEMENT = 0.75
# Mean width of the edge, share of the picture's longest side and, since every edge is soft over some pixels, at least
# these.
_WIDEST_EDGE = 0.005
_WIDEST_EDGE_PIXELS = 3
# An edge is where alpha differs from 0 and from 1 by more than this.
_CLEAR = 0.1

NOTHING = "nothing was found in it"


def doubts(alpha: Alpha, agreement: float = 1.0) -> tuple[str, ...]:
    """Reasons for doubt, none if it looks fine.

    Args:
        alpha: cleaned, of the whole picture, float32 [h, w] in 0 .. 1.
        agreement: of the looks it was made from, 0 .. 1.
    """
    solid = alpha >= SOLID
    coverage = float(solid.mean())
    if not coverage:
        return (NOTHING,)
    reasons = []
    if coverage < _LEAST_COVERAGE:
        reasons.append(f"it fills only {coverage:.1%} of the picture")
    if coverage > _MOST_COVERAGE:
        reasons.append(f"it fills {coverage:.0%} of the picture")
    sides = (solid[0], solid[-1], solid[:, 0], solid[:, -1])
    if (touched := sum(side.mean() > _TOUCH for side in sides)) > _MOST_BORDERS:
        reasons.append(f"it touches {touched} borders of the picture")
    if (pieces := len(label_pieces(solid)[1])) > _MOST_PIECES:
        reasons.append(f"it is in {pieces} pieces")
    if agreement < _LEAST_AGREEMENT:
        reasons.append(f"several looks at it agree on only {agreement:.0%} of the object")
    width = _edge_width(alpha)
    if width > max(_WIDEST_EDGE * max(alpha.shape), _WIDEST_EDGE_PIXELS):
        reasons.append(f"its edge is unclear: {width / max(alpha.shape):.1%} of the picture's longest side wide")
    return tuple(reasons)


def _edge_width(alpha: Alpha) -> float:
    """Mean, pixels: the area of the edge over the length of the outline."""
    outlines, _ = cv2.findContours((alpha >= SOLID).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(outline, closed=True) for outline in outlines)
    # A single pixel has an outline without length.
    return float(((alpha > _CLEAR) & (alpha < 1 - _CLEAR)).sum() / max(length, 1))
