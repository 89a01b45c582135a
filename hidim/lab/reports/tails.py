"""Which kappa_3 does a trained model's own data suggest?

The covariance of what a layer puts out, or of the gradients of single windows, has eigenvalues
that often fall like a power of their rank. Read as lambda_j ~ j^(-2 alpha), the power-law random
features of arXiv 2505.16098, a slope s gives alpha = s / 2 and kappa_3 = 1 / (2 alpha) = 1 / s.

Limits: the theory is for least squares on fixed features; here it is a suggestion to start a sweep
at. At s <= 1 the theory has no momentum that gains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidim.lab.text.batches import validation_windows
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.entry import run_tokens
from hidim.lab.training.models import Shape, build, next_token_loss
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder, load_checkpoint
from hidim.measure.tails import Tail, tail
from hidim.support.checks import whole


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
    text = tokens or run_tokens(settings, folder)
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
