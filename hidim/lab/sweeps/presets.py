"""Which sweeps answer the questions of arXiv 2505.16098 on real text, and which others have a name?

Ladders over sizes (ladders.py), studies of horizons at one size (horizons.py), and both at the size
of published runs (gpu.py).
"""

from __future__ import annotations

from hidim.lab.sweeps.gpu import GPU
from hidim.lab.sweeps.horizons import PLANS, Horizons
from hidim.lab.sweeps.ladders import Entry, Ladder, with_momentum
from hidim.lab.training.settings import Settings
from hidim.support.checks import choice

_SGD_RATES = (2.5, 5.0, 10.0)
_ADAM_RATES = (2e-3, 4e-3, 8e-3)
_ADANA_RATES = (5e-4, 1e-3, 2e-3)
_KAPPAS = (0.2, 0.35, 0.5, 0.65, 0.8)
# With gamma_3 = lr / parameters the extra step is nil before that many steps; c_3 in front of it
# brings it into the run and leaves the dependence on the size.
_WITHIN_REACH = 1000.0


def _family() -> tuple[Entry, ...]:
    return (
        Entry("sgd", _SGD_RATES),
        with_momentum(),
        Entry("dana-constant", _SGD_RATES),
        Entry("dana-constant", _SGD_RATES, (("c_3", _WITHIN_REACH),)),
        *(Entry("dana-decaying", _SGD_RATES, (("kappa_3", kappa),)) for kappa in _KAPPAS),
        Entry("adam", _ADAM_RATES, schedule="cosine"),
    )


_ADAPTIVE = (
    Entry("adamw", _ADAM_RATES, schedule="cosine"),
    Entry("adana", _ADANA_RATES, schedule="cosine"),
)

LADDERS: dict[str, Ladder] = {
    "lstm-ladder": Ladder(
        "4 LSTMs of 13 to 260 thousand parameters, 2 M tokens a run, one core each",
        Settings(batch_size=16, steps=2000, validation_tokens=32768, evaluation_growth=1.2),
        (16, 32, 64, 112),
        _family(),
    ),
    "lstm-ladder-gpu": Ladder(
        "4 LSTMs of 0.3 to 8.3 million parameters, 82 M tokens a run of 46 MB, for a GPU",
        Settings(
            data="package:torch",
            context=128,
            batch_size=64,
            steps=10_000,
            validation_tokens=262_144,
            evaluation_growth=1.2,
        ),
        (128, 256, 512, 704),
        _family(),
    ),
    "transformer-ladder": Ladder(
        "4 transformers of 16 to 279 thousand parameters, 2 M tokens a run: AdamW and ADANA",
        Settings(
            model="transformer",
            layers=2,
            heads=2,
            batch_size=16,
            steps=2000,
            warmup=40,
            validation_tokens=32768,
            evaluation_growth=1.2,
        ),
        (16, 32, 64, 96),
        _ADAPTIVE,
        matched=False,
    ),
    "transformer-ladder-gpu": Ladder(
        "4 transformers of 1 to 26 million parameters, 164 M tokens a run of 46 MB, for a GPU",
        Settings(
            data="package:torch",
            model="transformer",
            layers=8,
            heads=8,
            context=256,
            batch_size=64,
            steps=10_000,
            warmup=200,
            validation_tokens=262_144,
            evaluation_growth=1.2,
        ),
        (96, 192, 320, 512),
        _ADAPTIVE,
        matched=False,
    ),
}


def ladder(name: str) -> Ladder | Horizons:
    """The ladder of that name, or the study of horizons.

    Raises:
        ValueError: no such preset.
    """
    presets: dict[str, Ladder | Horizons] = {**LADDERS, **PLANS, **GPU}
    return presets[choice("preset", name, presets)]
