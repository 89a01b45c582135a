"""How is an optimizer spelled? In one way in every settings file, however it was typed.

Torch-free, so that settings can be made and compared without torch.
"""

from __future__ import annotations

# hidim.torch's classes under the names they have everywhere in hidim.
OURS = {
    "accelerated-sgd": "AcceleratedSGD",
    "adana": "ADANA",
    "dana-constant": "DANAConstant",
    "dana-decaying": "DANADecaying",
    "dana-mk4": "DanaMK4",
    "dana-star": "DanaStar",
    "dana-star-mk4": "DanaStarMK4",
    "general-momentum": "GeneralMomentum",
    "log-time-ademamix": "LogTimeAdEMAMix",
    "sign-sgd": "SignSGD",
    "stochastic-nesterov": "StochasticNesterov",
}
# torch's class with some of its arguments set.
PRESETS = {"sgd-momentum": ("SGD", {"momentum": 0.9})}


def spelled(name: str) -> str:
    """The name in lower case, with the hyphens that hidim's own have.

    >>> spelled("DANA_decaying"), spelled("Accelerated SGD"), spelled("DANADecaying")
    ('dana-decaying', 'accelerated-sgd', 'dana-decaying')
    >>> spelled("AdamW")
    'adamw'
    """
    squeezed = "".join(letter for letter in name.lower() if letter not in "-_ ")
    known = {one.replace("-", ""): one for one in (*OURS, *PRESETS)}
    return known.get(squeezed, squeezed)
