"""What `hidim report` prints: the record of `hidim.lab.reports.report` as tables for people."""

from __future__ import annotations

from typing import Any

from hidim.cli.output import table
from hidim.lab.text.facts import MANY_PASSES


def report_text(answer: dict[str, Any]) -> str:
    """All of a report in tables, with a line on each."""
    base = answer["baseline"]
    rows = answer["groups"]
    midway = any(row["compute_saved_midway"] is not None for row in rows)
    parts = [
        _heading(base, midway),
        table(_groups(rows)),
        _counted(answer["counted"], rows),
    ]
    if answer["horizons"]:
        parts += [
            f"horizons: {base} ends where the optimizer ends after a power of its steps, and after "
            "so many\ntimes its longest run that counts; the power from every horizon on: no claim "
            "where its side of\n1 depends on it. The null is the baseline beside its other seeds",
            table(_horizons(answer["horizons"], base)),
        ]
    if answer["pooled"]:
        parts += [
            f"last loss over that of {base} at all sizes, clustered by seed (seeds are shared by "
            "the sizes) and by size",
            table(_pooled(answer["pooled"])),
        ]
    if answer["frontiers"]:
        parts += [
            "how fast it falls: loss ~ tokens^-slope over the last decade of every size; of the "
            "lower\nenvelope over sizes, loss ~ flops^-slope, and loss ~ c + A flops^-b with a c "
            f"of its own\nor one for all (c = {answer['shared_floor']})",
            table(_slopes(answer["frontiers"], base)),
        ]
    if answer["windows"]["rows"]:
        parts += [
            f"how much steeper than {base} the envelope falls, by the start of the window in "
            "shares of the\nsmallest size's budget; above, it starts at "
            f"{answer['windows']['start']:.3g}: 2 % of the largest budget, or all begun",
            table(_windows(answer["windows"]["rows"])),
        ]
    if answer["best_options"]:
        parts += ["best options by size, and how far ahead of the next"]
        parts += [table(_options(answer["best_options"]))]
    if answer["at_baseline_rate"]:
        parts += [f"at the best rate of {base}, untuned"]
        parts += [table(_at_rate(answer["at_baseline_rate"], base))]
    if answer["matched_momentum"]:
        parts += ["SGD with momentum m beside SGD at its rate / (1 - m)"]
        parts += [table(_matched(answer["matched_momentum"]))]
    if answer["texts"]:
        parts += [
            "held-out text that stands in the training part, too: verbatim, and without case, "
            "blanks and digits",
            table(_texts(answer["texts"])),
            *_repeated(answer["texts"]),
        ]
    return "\n\n".join(parts)


def _heading(base: str, midway: bool) -> str:
    first = (
        f"validation loss in nats per token; compute saved against {base}, null: by its seeds "
        "against each other"
    )
    if midway:
        first += (
            "; in brackets where a schedule\nwas read before its end: less than runs of their own "
            "length would save"
        )
    return first


def _counted(counts: dict[str, int], rows: list[dict[str, Any]]) -> str:
    left = [
        f"{count} {what}"
        for count, what in (
            (counts["at_other_rates"], "at other rates or with fewer seeds"),
            (counts["tuning"], "shorter ones that tuned the rates"),
        )
        if count
    ]
    rest = "; not shown: " + ", ".join(left) if left else ""
    marked = {_mark(row) for row in rows}
    rates = [
        what
        for mark, what in (
            ("*", "* a rate at the edge of those tried"),
            ("°", "° a rate whose neighbours were not tried at this length"),
        )
        if mark in marked
    ]
    return "\n".join([f"{counts['runs']} runs, {counts['shown']} of them above{rest}", *rates])


def _horizons(rows: list[dict[str, Any]], base: str) -> dict[str, list[str]]:
    def window(one: dict[str, Any]) -> str:
        return f"{one['from_steps']}: {one['exponent']}"

    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "optimizer": [f"null: {base}" if row["null"] else row["optimizer"] for row in rows],
        "horizons": [f"{row['horizons']} to {row['to_steps']:,}" for row in rows],
        "exponent": [str(row["exponent"]) for row in rows],
        "by seed": [" ".join(f"{one:.3f}" for one in row["by_seed"].values()) for row in rows],
        "times": [str(row["gain"]) for row in rows],
        "sign": [_sign(row) for row in rows],
        "from step": [";  ".join(map(window, row["windows"])) for row in rows],
    }


def _sign(row: dict[str, Any]) -> str:
    if row["null"]:
        return "-"
    if len(row["windows"]) == 1:
        return "one window"
    return "holds" if row["sign_holds"] else "depends on the window"


def _pooled(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "optimizer": [row["optimizer"] for row in rows],
        "sizes": [str(row["sizes"]) for row in rows],
        "seeds": [str(row["seeds"]) for row in rows],
        "by seed": [str(row["over_baseline"]) for row in rows],
        "by size": [str(row["by_size"]) for row in rows],
    }


def _windows(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    from hidim.lab.reports.windows import STARTS

    columns = {"optimizer": [row["optimizer"] for row in rows]}
    for k, start in enumerate(STARTS):
        columns[f"{start:g}"] = [_or_dash(row["steeper"][k]) for row in rows]
    columns["sign"] = ["holds" if row["sign_holds"] else "depends" for row in rows]
    return columns


def _repeated(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['data']}: a run read it {row['passes']:.2g} times; beyond {MANY_PASSES:.0f} repeats "
        "teach ever less than new text (arXiv 2305.16264)"
        for row in rows
        if row["passes"] > MANY_PASSES
    ]


def _texts(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    def share(row: dict[str, Any], name: str, every: str) -> str:
        found = row["overlap"]
        return f"{found[name] / found[every]:.1%}" if found[every] else "-"

    return {
        "text": [row["data"] for row in rows],
        "tokens": [row["tokens"] for row in rows],
        "held out": [f"{row['validation_bytes']:,} bytes" for row in rows],
        "windows": [share(row, "windows_found", "windows") for row in rows],
        "near": [share(row, "near_windows_found", "near_windows") for row in rows],
        "lines": [share(row, "lines_found", "lines") for row in rows],
        "near lines": [share(row, "near_lines_found", "near_lines") for row in rows],
        "near-copies": [
            f"{row['overlap']['near_documents']} of {row['overlap']['documents']}" for row in rows
        ],
    }


def _groups(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "steps": [f"{row['steps']:,}" for row in rows],
        "optimizer": [row["optimizer"] for row in rows],
        "lr": [f"{row['lr']:g}{_mark(row)}" for row in rows],
        **_tuned(rows),
        "seeds": [_seeds(row) for row in rows],
        **_losses(rows),
        "b (tokens)": [str(row["exponent_tokens"]) for row in rows],
        "slope": [str(row["slope_tokens"]) for row in rows],
        "steeper by": [_or_dash(row["steeper_than_baseline"]) for row in rows],
        "compute saved": [_saved(row) for row in rows],
        "tokens/s": [f"{row['tokens_per_second']:,.0f}" for row in rows],
    }


def _slopes(rows: list[dict[str, Any]], base: str) -> dict[str, list[str]]:
    return {
        "optimizer": [row["optimizer"] for row in rows],
        "sizes": [str(row["sizes"]) for row in rows],
        "slope": [str(row["slope"]) for row in rows],
        f"steeper than {base}": [_or_dash(row["steeper_than_baseline"]) for row in rows],
        "b, own c": [str(row["exponent_flops"]) for row in rows],
        "b, one c": [str(row["exponent_shared_floor"]) for row in rows],
        f"over {base}": [_or_dash(row["exponent_over_baseline"]) for row in rows],
    }


def _options(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "best": [row["best"] for row in rows],
        **_losses(rows),
        "next": [row["next"] for row in rows],
        "lead": [f"{row['lead']:.4f}" for row in rows],
    }


def _at_rate(rows: list[dict[str, Any]], base: str) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "lr": [f"{row['lr']:g}" for row in rows],
        "steps": [str(row["steps"]) for row in rows],
        "optimizer": [row["optimizer"] for row in rows],
        **_losses(rows),
        f"over {base}": [_or_dash(row["over_baseline"]) for row in rows],
    }


def _matched(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "lr": [f"{row['lr']:g}" for row in rows],
        "steps": [str(row["steps"]) for row in rows],
        "seeds": [str(row["seeds"]) for row in rows],
        **_losses(rows),
        "over SGD": [str(row["loss_over_sgd"]) for row in rows],
        "largest gap": [str(row["largest_gap"]) for row in rows],
    }


def _losses(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "loss": [str(row["loss"]) for row in rows],
        "bits/byte": [_or_dash(row["bits_per_byte"]) for row in rows],
    }


def _tuned(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """A column for every option that was tuned with the rate."""

    def shown(value: Any) -> str:
        if isinstance(value, list):
            return " ".join(map(shown, value))
        return f"{value:g}" if isinstance(value, int | float) else str(value)

    names = list(dict.fromkeys(name for row in rows for name in row["tuned"]))
    return {
        name: [shown(row["tuned"][name]) if name in row["tuned"] else "-" for row in rows]
        for name in names
    }


def _mark(row: dict[str, Any]) -> str:
    return "*" if row["lr_at_edge"] else "" if row["lr_verified"] else "°"


def _saved(row: dict[str, Any]) -> str:
    if row["compute_saved_by_chance"] is not None:
        return f"null {row['compute_saved_by_chance']}"
    if row["compute_saved_midway"] is not None:
        return f"({row['compute_saved_midway']})"
    return _or_dash(row["compute_saved"])


def _seeds(row: dict[str, Any]) -> str:
    words = {"diverged": row["diverged"], "above guessing": row["above_guessing"]}
    told = ", ".join(f"{count} {word}" for word, count in words.items() if count)
    return f"{row['seeds']}" + (f" ({told})" if told else "")


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)
