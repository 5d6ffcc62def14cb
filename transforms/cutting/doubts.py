"""Whether a cut-out looks wrong, so that a person should look at it. A pure function of its alpha channel."""

from transforms.cutting.matting import SOLID, Alpha, label_pieces

_LEAST_COVERAGE = 0.01
_MOST_COVERAGE = 0.9
_MOST_BORDERS = 2
# Share of a side of the picture that is solid, from which it counts as touched.
_TOUCH = 0.05
_MOST_PIECES = 3
# Share of what is not transparent that is neither clearly in nor out.
_MOST_UNDECIDED = 0.4
_CLEAR = 0.1

NOTHING = "nothing was found in it"


def doubts(alpha: Alpha) -> tuple[str, ...]:
    """Reasons for doubt, none if it looks fine.

    Args:
        alpha: cleaned, of the whole picture, float32 [h, w] in 0 .. 1.
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
    visible = alpha > 0
    undecided = float(((alpha > _CLEAR) & (alpha < 1 - _CLEAR)).sum() / visible.sum())
    if undecided > _MOST_UNDECIDED:
        reasons.append(f"{undecided:.0%} of it is neither clearly object nor background")
    return tuple(reasons)
