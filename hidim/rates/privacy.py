"""How much privacy do noisy gradients leave, and at which loss? `hidim.privacy`: four accountants.

    "poisson"        Renyi divergences under Poisson sampling         (eps, delta) guarantee
    "one-pass"       a Gaussian mechanism, every sample used once     (eps, delta) guarantee
    "pair"           the last iterate, for a typical or given pair    no guarantee
    "pair-injected"  the same, hidden by the injected noise alone     no guarantee

The first two (accountants.py) want every sample's gradient clipped; the other two (pairs.py) want
no such bound and say nothing about the worst case. `frontier` (privacy_frontier.py) sets loss
against any of them.
"""

from hidim.rates.accountants import gdp_epsilon, rdp_epsilon
from hidim.rates.pairs import PairDivergence, pair_divergence
from hidim.rates.privacy_frontier import ACCOUNTANTS, PrivacyFrontier, frontier

__all__ = [
    "ACCOUNTANTS",
    "PairDivergence",
    "PrivacyFrontier",
    "frontier",
    "gdp_epsilon",
    "pair_divergence",
    "rdp_epsilon",
]
