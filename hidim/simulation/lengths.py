"""Which rows have a given kurtosis? Short ones, and one in 2 kurtosis that is long.

    x = s z,  z ~ N(0, K),  s^2 = 1 + sqrt((kappa - 1)(2 kappa - 1))  for 1 / (2 kappa) of the rows,
                            s^2 = 1 - sqrt((kappa - 1)/(2 kappa - 1))  for the rest

has E s^2 = 1 and E s^4 = kappa, and no row is ever zero. The noise of the labels has two variances
too, those that make E e^2 s^2 / E e^2 the noise's kurtosis; only ratios between the two s^2 can be
made so. The mean risk depends on these moments alone, the spread of the runs on the whole law.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hidim.problems.law import DataLaw


class Lengths(NamedTuple):
    """Two kinds of rows, short and long.

    Attributes:
        long: the share of long rows.
        squares: (2,) s^2 of the short and of the long ones.
        noise: (2,) variance of their label noise, in units of its mean.
    """

    long: float
    squares: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, law: DataLaw, *, noisy: bool) -> Lengths | None:
        """The rows that have the law; None where all are alike.

        Args:
            noisy: whether there is any label noise.

        Raises:
            ValueError: a law that no such rows have, or one that this draws nothing from.

        >>> short, long = Lengths.of(DataLaw(kurtosis=3.0), noisy=False).squares.round(3).tolist()
        >>> short, long, round(short * 5 / 6 + long / 6, 3)
        (0.368, 4.162, 1.0)
        """
        if law.rows is not None:
            raise ValueError(
                "this problem carries measured rows, which this method does not draw. Use "
                'method="rows", or hidim.simulate_rows.'
            )
        kurtosis, ratio = law.kurtosis, law.noise_kurtosis
        share = 0.5 / kurtosis
        squares = 1.0 + np.array(
            [
                -math.sqrt((kurtosis - 1.0) / (2.0 * kurtosis - 1.0)),
                math.sqrt((kurtosis - 1.0) * (2.0 * kurtosis - 1.0)),
            ]
        )
        if noisy and not squares[0] <= ratio <= squares[1]:
            raise ValueError(
                f"`noise_kurtosis` must lie between {squares[0]:.4g} and {squares[1]:.4g} to be "
                f"simulated at kurtosis {kurtosis:g}, got {ratio:g}."
            )
        if kurtosis == 1.0:
            return None
        apart = squares[1] - squares[0]
        of_long = (ratio - squares[0]) / (share * apart)
        of_short = (squares[1] - ratio) / ((1.0 - share) * apart)
        return cls(share, squares, np.array([of_short, of_long]))
