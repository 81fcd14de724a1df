"""Whether a map is true: how fast the answer changes when cells are hidden in its order.

Deletion hides the most important cells first, and the probability should fall at once; insertion
starts from the blurred image and shows the most important cells first, and it should rise at once.
The area under each curve is a mean probability. What a good area is depends on the image, so the
same is done in random orders, and the difference is what counts: zero is a map that says nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma.explanation import masks

STEPS = 12
"""Of hiding, from the whole image to the blurred one."""

Curve = NDArray[np.float64]


class Curves(NamedTuple):
    """Probabilities at ``STEPS`` + 1 shares of the image, from none to all, [STEPS + 1].

    ``deletion`` is over the share that is hidden, ``insertion`` over the share that is shown.
    """

    deletion: Curve
    insertion: Curve

    @property
    def areas(self) -> tuple[float, float]:
        """Under the deletion and the insertion curve: mean probabilities, from 0 to 1."""
        return area(self.deletion), area(self.insertion)


def order(heat: NDArray[np.float64]) -> NDArray[np.intp]:
    """The cells [cells, cells] of a map from the most to the least important, as flat positions."""
    return np.argsort(-heat.ravel(), kind="stable")


def stages(importance: NDArray[np.intp], cells: int) -> list[masks.Cells]:
    """What is hidden [cells, cells] between the ends of deletion, and then of insertion."""
    deletion = []
    for step in range(1, STEPS):
        hidden = np.zeros(importance.size, dtype=np.bool_)
        hidden[importance[: round(step * importance.size / STEPS)]] = True
        deletion.append(hidden.reshape(cells, cells))
    return [*deletion, *(~hidden for hidden in deletion)]


def curves(whole: float, blurred: float, inner: NDArray[np.float64]) -> Curves:
    """Curves from the probabilities of both ends and of the stages of deletion, then insertion."""
    deletion, insertion = np.split(np.asarray(inner, dtype=np.float64), 2)
    return Curves(np.array([whole, *deletion, blurred]), np.array([blurred, *insertion, whole]))


def area(curve: Curve) -> float:
    """Under a curve over 0 to 1, by the trapezoidal rule."""
    return float(((curve[1:] + curve[:-1]) / 2).mean())
