"""`hidim coordinates`: does one learning rate hold over widths, or depths, of a network?"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from hidim.cli.lab_flags import add_settings_flags, settings_given
from hidim.cli.numbers import count
from hidim.cli.output import add_output_flags, check_outputs, hand_back, table, write_figure
from hidim.lab.training.settings import Settings
from hidim.support.checks import choice, whole
from hidim.support.extras import require

SUMMARY = "Sizes of activations over widths or depths after a few steps, with slopes and a verdict."
EXAMPLE = """example:
  hidim coordinates --parametrization mup --plot mup.png
  hidim coordinates --parametrization completep --over layers=2,4,8,16
  hidim coordinates --model lstm --optimizer adamw --lr 1e-2
flat everywhere: one learning rate holds over these sizes"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim coordinates`."""
    parser.add_argument(
        "--over",
        default="width=32,64,128,256",
        metavar="NAME=A,B,...",
        help="width or layers, and the sizes (width=32,64,128,256)",
    )
    parser.add_argument("--seeds", type=count, default=4, metavar="N", help="models a size (4)")
    add_settings_flags(parser)
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Train a little, look, and judge."""
    require("torch", "lab")
    check_outputs(args)
    from hidim.lab.training.coordinates import TOLERANCE, coordinates
    from hidim.lab.training.entry import one_thread

    over, values = _sizes(args.over)
    usual = {"model": "modern", "heads": 2, "optimizer": "adamw", "lr": 0.004, "steps": 8}
    usual |= {"batch_size": 16, "max_mb": 1.0}
    given = settings_given(args)
    if "optimizer" in given and "lr" not in given:
        raise ValueError(f"`optimizer` {given['optimizer']} needs a rate of its own: give `lr`.")
    settings = Settings.from_dict({**usual, **given})
    with one_thread():
        found = coordinates(settings, over=over, values=values, seeds=args.seeds)
    if args.plot:
        from hidim.plots.coordinates import plot_coordinates

        title = f"{settings.model}, {settings.parametrization or 'standard'}, {settings.optimizer}"
        write_figure(
            args.plot, lambda ax: plot_coordinates(found, ax, title=title), size=(7.4, 4.2)
        )
        print(f"hidim: wrote {args.plot}", file=sys.stderr)
    verdicts = [found.verdict(site) for site in range(len(found.sites))]
    changes = np.exp(np.log(np.maximum(found.changes[..., -1], 1e-300)).mean(axis=2))
    columns: dict[str, list[str]] = {"change of": list(found.sites)}
    columns |= {
        f"{over} {value}": [f"{x:.3g}" for x in changes[:, k]]
        for k, value in enumerate(found.values)
    }
    columns["slope"] = [
        f"{slope:+.2f}" + ("" if np.isnan(error) else f" ± {error:.2f}")
        for slope, error in zip(found.slopes, found.errors, strict=True)
    ]
    columns["verdict"] = verdicts
    said = list(zip(found.sites, verdicts, strict=True))
    wrong = [f"{site} {one}" for site, one in said if one not in ("flat", "unclear")]
    unclear = [site for site, one in said if one == "unclear"]
    if found.holds:
        end = f"one rate holds over {over}: every slope is within {TOLERANCE} of zero"
    elif wrong:
        end = f"one rate does not hold over {over}: {', '.join(wrong)}"
    else:
        end = f"undecided over {over}: {', '.join(unclear)} is unclear; more --seeds would tell"
    text = f"{_model(settings)} after {settings.steps} steps at rate {settings.lr:g}\n"
    return hand_back(
        args,
        columns=_rows(found),
        answer=_answer(found, settings, verdicts),
        text=f"{text}{table(columns)}\n{end}",
    )


def _model(settings: Settings) -> str:
    kind = "" if settings.parametrization is None else f" ({settings.parametrization})"
    return f"{settings.model}{kind} with {settings.optimizer}"


def _sizes(text: str) -> tuple[str, list[int]]:
    name, _, values = text.partition("=")
    over = choice("over", name.strip().lower(), ("width", "layers"))
    try:
        return over, [int(whole(over, float(one), minimum=1)) for one in values.split(",")]
    except ValueError:
        raise ValueError(
            f"`over` must read width=32,64,... or layers=2,4,..., got {text!r}."
        ) from None


def _rows(found: Any) -> dict[str, list[Any]]:
    """Every number, a row per site, size, seed and step."""
    rows = [
        (site, value, seed, step, found.sizes[i, j, seed, k], found.changes[i, j, seed, k])
        for i, site in enumerate(found.sites)
        for j, value in enumerate(found.values)
        for seed in range(found.sizes.shape[2])
        for k, step in enumerate(found.steps)
    ]
    names = ("site", found.over, "seed", "step", "size", "change")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _answer(found: Any, settings: Settings, verdicts: list[str]) -> dict[str, Any]:
    sites = [
        {"site": site, "slope": found.slopes[k], "error": found.errors[k], "verdict": verdicts[k],
         "sizes": found.sizes[k].tolist(), "changes": found.changes[k].tolist()}
        for k, site in enumerate(found.sites)
    ]  # fmt: skip
    return {"over": found.over, "values": list(found.values), "steps": list(found.steps),
            "holds": found.holds, "settings": settings.to_dict(), "sites": sites}  # fmt: skip
