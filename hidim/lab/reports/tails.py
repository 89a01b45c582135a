"""Which kappa_3 does a trained model's own data suggest?

The covariance of what a layer puts out, or of the gradients of single windows, has eigenvalues
that often fall like a power of their rank. Read as lambda_j ~ j^(-2 alpha), the power-law random
features of arXiv 2505.16098, a slope s gives alpha = s / 2 and kappa_3 = 1 / (2 alpha) = 1 / s.

Limits: the theory is for least squares on fixed features; here it is a suggestion to start a sweep
at. Real spectra bend: the slopes of the two halves of the window stand beside the fit, and where
they differ much there is no power law. At s <= 1 the theory has no momentum that gains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidim.lab.text.batches import validation_windows
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.entry import load_tokens
from hidim.lab.training.models import Shape, build, next_token_loss
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder, load_checkpoint
from hidim.support.checks import finite_array, whole
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class Tail(Saved, format="hidim-lab-tail/1"):
    """A power law fitted to eigenvalues.

    Attributes:
        site: where they were measured.
        eigenvalues: descending, shape (n,).
        window: first and last rank of the fit, counted from 1.
        slope: s of lambda_j ~ j^-s.
        halves: slopes of the lower and upper half of the window in log rank.
    """

    site: str
    eigenvalues: np.ndarray
    window: tuple[int, int]
    slope: float
    halves: tuple[float, float]

    @property
    def alpha(self) -> float:
        """The alpha of power-law random features with this slope."""
        return self.slope / 2

    @property
    def kappa_3(self) -> float | None:
        """1 / (2 alpha), or None where the theory has no gain (2 alpha at most 1)."""
        return 1 / self.slope if self.slope > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the eigenvalues."""
        return {
            "site": self.site,
            "dimension": len(self.eigenvalues),
            "window": list(self.window),
            "slope": self.slope,
            "slope_halves": list(self.halves),
            "alpha": self.alpha,
            "kappa_3": self.kappa_3,
        }


def tail(eigenvalues: np.ndarray, *, site: str = "", window: tuple[int, int] | None = None) -> Tail:
    """Fit a power law to eigenvalues against their rank, least squares in log-log.

    Args:
        eigenvalues: shape (n,), any order; those below 1e-10 of the largest are left out.
        site: a name for tables.
        window: first and last rank; by default from 3 (or 1/50 of the rank) to half the rank, past
            the head and short of where a finite sample bends the spectrum down.

    Raises:
        ValueError: a window of fewer than 4 ranks, or outside the spectrum.

    >>> found = tail(np.arange(1, 200) ** -1.5)
    >>> round(found.alpha, 6), round(found.kappa_3, 6)
    (0.75, 0.666667)
    """
    values = np.sort(finite_array("eigenvalues", eigenvalues, ndim=1))[::-1]
    values = values[values > 1e-10 * values[0]] if len(values) and values[0] > 0 else values[:0]
    rank = len(values)
    first, last = window or (max(3, rank // 50), rank // 2)
    if not 1 <= first <= last - 3 or last > rank:
        raise ValueError(
            f"`window` {first}..{last} must hold at least 4 of the {rank} nonzero eigenvalues"
            f"{f' of {site}' if site else ''}. Use a wider model or more windows."
        )
    j = np.arange(first, last + 1)
    x, y = np.log(j), np.log(values[j - 1])
    # Ranks are dense at the end of a log axis: weights 1/j make every octave count the same.
    low = x <= (x[0] + x[-1]) / 2
    halves = tuple(_slope(x[part], y[part], j[part]) for part in (low, ~low))
    return Tail(site, values, (first, last), _slope(x, y, j), (halves[0], halves[1]))


def model_tails(
    path: str | os.PathLike[str],
    *,
    windows: int = 256,
    tokens: Tokens | None = None,
    window: tuple[int, int] | None = None,
) -> list[Tail]:
    """Tails of a run's model: of every layer's output and of its gradients.

    Args:
        path: a run's folder with a checkpoint.
        windows: held-out windows to measure on; gradients are one per window.
        tokens: the run's text, if it is at hand.
        window: ranks of the fit, see `tail`.

    Raises:
        ValueError: no checkpoint, or a text other than the run's.
    """
    count = int(whole("windows", windows, minimum=8))
    folder = RunFolder(path)
    if not folder.checkpoint.exists():
        raise ValueError(f"{str(path)!r} holds no checkpoint: hidim train --out {path}")
    state = load_checkpoint(folder.checkpoint)
    settings = Settings.from_dict(state["settings"])
    text = tokens or load_tokens(settings)
    if text.fingerprint != state["text"]["fingerprint"]:
        raise ValueError(f"the text is not the one that {str(path)!r} was trained on.")
    model = build(Shape(**state["shape"]))
    model.load_state_dict(state["model"])
    model.eval()
    context = settings.context
    chosen = validation_windows(text.validation, context=context, limit=count * context)
    batch = torch.from_numpy(chosen)
    spectra = {**activation_spectra(model, batch), "gradients": gradient_spectrum(model, batch)}
    return [tail(values, site=site, window=window) for site, values in spectra.items()]


def activation_spectra(model: nn.Module, windows: Tensor) -> dict[str, np.ndarray]:
    """Eigenvalues of the covariance of every layer's output over all positions, descending.

    Args:
        model: of `hidim.lab.training.models`.
        windows: tokens, shape (count, context + 1).
    """
    with torch.no_grad(), _outputs(model) as seen:
        for part in windows.split(32):
            model(part[:, :-1])
    return {site: _covariance_spectrum(torch.cat(parts)) for site, parts in seen.items()}


def gradient_spectrum(model: nn.Module, windows: Tensor) -> np.ndarray:
    """Eigenvalues of the covariance of the gradients of single windows, descending.

    From the inner products of the gradients: as many eigenvalues as windows, whatever the size of
    the model, which must be held `count` times in memory.
    """
    rows = []
    for one in windows:
        gradients = torch.autograd.grad(next_token_loss(model, one[None]), list(model.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]))
    stacked = torch.stack(rows).double()
    centred = stacked - stacked.mean(0)
    gram = (centred @ centred.T / len(rows)).numpy()
    return np.linalg.eigvalsh(gram)[::-1].clip(min=0)


def _covariance_spectrum(rows: Tensor) -> np.ndarray:
    centred = rows.double() - rows.double().mean(0)
    covariance = (centred.T @ centred / len(rows)).numpy()
    return np.linalg.eigvalsh(covariance)[::-1].clip(min=0)


@contextmanager
def _outputs(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what the embedding, the LSTM or every block, and the last norm put out."""
    seen: dict[str, list[Tensor]] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, nn.LSTM) or name in ("embedding", "norm") or _is_block(name):

            def note(module: Any, inputs: Any, output: Any, name: str = name) -> None:
                out = output[0] if isinstance(output, tuple) else output
                seen.setdefault(name, []).append(out.flatten(0, 1))

            handles.append(module.register_forward_hook(note))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _is_block(name: str) -> bool:
    return name.startswith("blocks.") and name.count(".") == 1


def _slope(x: np.ndarray, y: np.ndarray, j: np.ndarray) -> float:
    return -float(np.polyfit(x, y, 1, w=1 / np.sqrt(j))[0]) if len(x) > 1 else float("nan")
