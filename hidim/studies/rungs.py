"""What is one size of a ladder? A recipe on a row of beta, which shares the solver's matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.named import lookup
from hidim.algorithms.records import BUILT_IN
from hidim.curve import Curve, log_steps
from hidim.engines.targets import predict_targets
from hidim.problems.power_law import spectra_at
from hidim.studies.recipes import Recipe, steps_to_watch
from hidim.support.stores import task_name


@dataclass(frozen=True)
class Rung:
    """A task: a recipe on a row of beta at one alpha and size."""

    alpha: float
    betas: tuple[float, ...]
    recipe: Recipe
    d: float
    v_over_d: float
    batch_size: float
    reach: float
    # The algorithm and the last step, where other processes do not know the recipe's name.
    known: tuple[Momentum, float] | None = None

    def run(self, trace: float) -> tuple[Momentum, float]:
        """The algorithm and the last step it is followed to."""
        if self.known is not None:
            return self.known
        algorithm = self.recipe.algorithm(
            self.alpha,
            max(self.betas),
            self.d,
            trace,
            v_over_d=self.v_over_d,
            batch_size=self.batch_size,
        )
        laws = [self.recipe.law(self.alpha, beta) for beta in self.betas]
        return algorithm, self.reach * max(
            steps_to_watch(law, self.recipe, self.d, trace) for law in laws
        )

    def for_others(self) -> Rung:
        """The same for a fresh process, which knows the built-in names only."""
        if lookup(self.recipe.name) in BUILT_IN:
            return self
        trace = spectra_at(self.alpha, self.betas[:1], self.d, self.v_over_d)[0].trace
        return replace(self, known=self.run(trace))

    @property
    def name(self) -> str:
        """Of its file."""
        return task_name(f"{self.recipe.name}_d{self.d:g}", self)


def climb(rung: Rung) -> list[Curve]:
    """The curves of a rung, one per beta."""
    spectra = spectra_at(rung.alpha, rung.betas, rung.d, rung.v_over_d)
    algorithm, last = rung.run(spectra[0].trace)
    return predict_targets(spectra, algorithm, log_steps(last), batch_size=rung.batch_size)
