"""Compute dbt_project/seeds/sequential_boundaries.csv: group-sequential z boundaries.

Owns the numbers of the seed: Lan-DeMets alpha spending of O'Brien-Fleming shape, one-sided, equally
spaced information, by the recursion of Armitage, McPherson and Rowe (1969) on a fine grid. Run it
again only when a planned number of looks or a number of challengers is added. It needs scipy and
must not be imported by the project: the SQL reads the seed.

Usage: python -m benchmarks.sequential_boundaries > dbt_project/seeds/sequential_boundaries.csv
"""

from __future__ import annotations

import csv
import sys

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

ALPHA = 0.05
PLANNED_LOOKS = (4, 8)
CHALLENGER_COUNTS = (1, 2, 3, 4, 5)
GRID_POINTS = 4_001


def spent_alpha(information_fraction: float, alpha: float) -> float:
    """Return the share of errors allowed up to `information_fraction` (Lan and DeMets 1983).

    Parameters
    ----------
    information_fraction
        Share of the planned evidence that has been seen, in (0, 1].
    alpha
        One-sided error rate over all looks.
    """
    return float(2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(information_fraction)))


def boundaries(planned_looks: int, alpha: float) -> list[float]:
    """Return the z boundary of each look for equally spaced information.

    Parameters
    ----------
    planned_looks
        Number of looks, 1 or more.
    alpha
        One-sided error rate over all looks.

    Returns
    -------
    list of float
        Reject at look k when z is above entry k - 1.
    """
    found: list[float] = []
    spent = 0.0
    # The sum S_k of k standard normal steps, z_k = S_k / sqrt(k): its density among the histories
    # that have not crossed yet.
    grid = np.empty(0)
    density = np.empty(0)
    for look in range(1, planned_looks + 1):
        root = float(np.sqrt(look))
        to_spend = spent_alpha(look / planned_looks, alpha) - spent
        boundary = _boundary(to_spend, root, grid, density)
        found.append(boundary)
        spent += to_spend
        next_grid = np.linspace(-9 * root, boundary * root, GRID_POINTS)
        if grid.size == 0:
            density = norm.pdf(next_grid)
        else:
            steps = norm.pdf(next_grid[:, None] - grid[None, :])
            density = np.trapezoid(steps * density[None, :], grid, axis=1)
        grid = next_grid
    return found


def _boundary(to_spend: float, root: float, grid: np.ndarray, density: np.ndarray) -> float:
    def excess(z: float) -> float:
        if grid.size == 0:
            return float(norm.sf(z)) - to_spend
        return float(np.trapezoid(density * norm.sf(z * root - grid), grid)) - to_spend

    return float(brentq(excess, 0.5, 9, xtol=1e-12))


def main() -> None:
    """Write the seed to standard output."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["planned_looks", "challenger_count", "look_number", "alpha", "boundary_z"])
    for planned_looks in PLANNED_LOOKS:
        for challenger_count in CHALLENGER_COUNTS:
            alpha = ALPHA / challenger_count
            for look, boundary in enumerate(boundaries(planned_looks, alpha), start=1):
                out.writerow(
                    [planned_looks, challenger_count, look, f"{alpha:.9g}", f"{boundary:.6f}"]
                )


if __name__ == "__main__":
    main()
