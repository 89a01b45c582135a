"""Which sweeps are meant for a GPU, at the size at which the published ones were run?

A transformer of 124 million parameters: twelve layers of width 768, a context of 1,024, and a
vocabulary of 50,304 learned from FineWeb's own text. Two questions:

    gpu-horizons   what ADANA and Muon gain over AdamW as one size trains longer, as in arXiv
                   2609.04577: from 1.25 to 20 tokens for every parameter, 40 for the finalists
    gpu-speedrun   the loss after a tenth of the ten billion tokens of llm.c's 124M run on FineWeb,
                   whose batch of 524,288 tokens, clipping and warm-up over 3.7 % of the steps it
                   keeps; 3.28 nats per GPT-2 token is where that run ends

`hidim sweep --preset NAME --dry-run --tflops X` says what they cost; they run at toy scale in the
tests, and have not been run at their own.
Limits: the network is the modern one and the vocabulary its own, so compare bits per byte.
"""

from __future__ import annotations

from typing import Any

from hidim.lab.sweeps.horizons import MEMORIES, OMEGAS, Horizons, Method, adamw, adana, muon
from hidim.lab.sweeps.ladders import Entry, Ladder
from hidim.lab.training.settings import Settings

_BYTES_PER_TOKEN = 4.8  # of English in such a vocabulary, and some to spare


def _of_124m(**changes: Any) -> Settings:
    """A run on so much of FineWeb that no token is seen twice."""
    return Settings(
        data="hub:HuggingFaceFW/fineweb:sample-10BT",
        tokens="bpe:50304",
        model="modern",
        width=768,
        layers=12,
        heads=6,
        context=1024,
        precision="bfloat16",
        compile=True,
        evaluation_growth=1.5,
        **changes,
    )


_SPEEDRUN = _of_124m(
    batch_size=512,
    accumulation=16,
    steps=1907,
    warmup=70,
    validation_tokens=10_485_760,
    max_mb=1907 * 524_288 * _BYTES_PER_TOKEN / 1e6,
)
_UNIT = 2360  # steps of 65,536 tokens: 1.25 for every parameter
_HORIZONS = _of_124m(
    batch_size=64,
    accumulation=4,
    validation_tokens=2_097_152,
    max_mb=32 * _UNIT * 65_536 * _BYTES_PER_TOKEN / 1e6,
)
_DECAY = ("weight_decay", 0.1)

GPU: dict[str, Ladder | Horizons] = {
    "gpu-horizons": Horizons(
        "124 million parameters over 155 million to 5 billion tokens: AdamW, ADANA and Muon",
        _HORIZONS,
        (
            Method("adamw", 1e-3, adamw, "betas", MEMORIES, 4),
            Method("adana", 4e-4, adana, "omega", OMEGAS, 2),
            Method("muon", 2e-3, muon, "momentum", MEMORIES, 4),
        ),
        (1, 2, 4, 8, 16),
        finals=(32,),
        unit=_UNIT,
    ),
    "gpu-speedrun": Ladder(
        "124 million parameters, a tenth of the tokens of llm.c's run on FineWeb",
        _SPEEDRUN,
        (_SPEEDRUN.width,),
        (
            Entry("adamw", (6e-4, 1.2e-3, 2.4e-3), (("betas", (0.9, 0.95)), _DECAY), "cosine"),
            Entry("muon", (1e-3, 2e-3, 4e-3), (_DECAY,), "cosine"),
            Entry(
                "adana",
                (2.5e-4, 5e-4, 1e-3),
                (("omega", 4.0), ("t_0", _SPEEDRUN.steps / 10)),
                "cosine",
            ),
        ),
        matched=False,
    ),
}
