"""Train language models on real text, sweep, and keep what was measured.

    from hidim.lab import Settings, train
    result = train(Settings(optimizer="dana-decaying", steps=500), "run")

Names are loaded on first use; torch is needed for training only.
"""

from hidim.support.lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Settings": "training.settings",
        "Result": "training.result",
        "train": "training.entry",
        "coordinates": "training.coordinates",
        "Coordinates": "training.coordinates",
        "Shape": "training.models",
        "build": "training.models",
        "make_optimizer": "training.optimizers",
        "read_text": "text.sources",
        "tokenize": "text.tokens",
        "RunFolder": "training.store",
    },
)
