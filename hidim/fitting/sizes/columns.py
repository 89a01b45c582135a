"""Which column of a table of runs plays a role, and in which measure does it count?

A column is found under its usual names (ALIASES), with a unit (`params_M`), a logarithm whose base
the name says or only one base allows (`log10_tokens`), or by the letters N, D, C and L where their
values leave no doubt. Tokens may stand as their ratio to the parameters. Whatever is not taken as
it stands is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hidim.fitting.logs.names import (
    BITS,
    factor_of,
    is_perplexity,
    logarithm_of,
    normal,
    unit_of,
    without_unit,
)
from hidim.fitting.logs.readers import find_column, numbers

REMEDY = "A run that diverged has no place among others: leave its rows out."
ALIASES: dict[str, tuple[str, ...]] = {
    "params": (
        *("params", "parameters", "n_params", "model size", "model_size", "num_params"),
        *("n_parameters", "num_parameters", "param_count", "parameter_count", "total_params"),
        *("non_embedding_params", "nonembedding_params", "non_embedding_parameters"),
        *("model_params", "model_parameters"),
    ),
    "tokens": (
        *("tokens", "training tokens", "n_tokens", "train_tokens", "num_tokens", "total_tokens"),
        *("tokens_seen", "tokens_trained", "token_count", "n_train_tokens", "num_train_tokens"),
    ),
    "flops": (
        *("flops", "training flop", "training flops", "training_flops", "flops_6nd", "compute"),
        *("flop", "train_flops", "total_flops", "training_compute", "train_compute"),
        *("pf_days", "pfdays", "petaflop_days", "pflop_days"),
    ),
    "loss": (
        *("loss", "final_loss", "train_loss", "validation_loss", "final_train_loss", "val_loss"),
        *("eval_loss", "test_loss", "final_val_loss", "final_validation_loss", "loss_val"),
        *("perplexity", "ppl", "val_perplexity", "val_ppl"),
        *BITS,
    ),
    "x": ("x",),
    "epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "repeats"),
    "unique_tokens": ("unique_tokens", "unique tokens", "n_unique_tokens"),
    "layers": ("layers", "n_layer", "n_layers", "num_layers", "num_hidden_layers"),
    "width": ("width", "d_model", "n_embd", "hidden_size", "hidden_dim"),
    "context": ("context", "context_length", "seq_len", "sequence_length", "block_size"),
    "vocabulary": ("vocabulary", "vocab_size", "n_vocab"),
}
OPTIONAL = ("epochs", "unique_tokens", "layers", "width", "context", "vocabulary")
ROLES = tuple(ALIASES)
# Roles whose numbers may be written as 70M, or counted in a unit that the column's name says, and
# what nobody has more of: beyond it the name means something else.
_LARGEST = {"params": 1e15, "tokens": 1e17, "unique_tokens": 1e17, "flops": 1e30}
_COUNTED = tuple(_LARGEST)
_RAISED = (*_COUNTED, "loss", "x")  # roles whose column may hold logarithms
_SMALLEST = 1e5  # below which no run of a table of natural logarithms lies, if base 10 is likelier
_LETTERS = {"params": "n", "tokens": "d", "flops": "c", "loss": "l"}
# Values under which a letter is what the scaling literature calls so, in the middle of the runs.
_USUAL = {"params": (1e4, 1e14), "tokens": (1e6, 1e16), "flops": (1e12, 1e29), "loss": (0.05, 15.0)}
_USUAL_RATIO = 0.1, 1e5  # tokens per parameter
CHINCHILLA = 20.0  # tokens per parameter that are called 1 x Chinchilla
_RATIOS = {
    **dict.fromkeys(
        (
            *("tokens_per_param", "tokens_per_parameter", "tokens_param", "token_per_param", "tpp"),
            *("tokens_params", "tokens_parameters", "token_param_ratio", "tokens_param_ratio"),
            *("tokens_to_params", "d_n", "d_over_n", "d_n_ratio", "token_multiplier"),
            *("tokens_to_params_ratio", "token_to_param_ratio", "tokens_per_parameter_ratio"),
        ),
        1.0,
    ),
    **dict.fromkeys(
        (
            *("chinchilla_multiplier", "chinchilla_multiple", "chinchilla_ratio", "chinchilla"),
            *("chinchilla_mult", "chinchilla_factor", "x_chinchilla", "xchinchilla", "cc_mult"),
        ),
        CHINCHILLA,
    ),
}
_DOUBTED_RATIOS = ("multiplier", "mult", "overtraining", "overtrain", "ratio")


@dataclass
class RunColumns:
    """The columns of a table of runs by their roles, as counts of ones and losses in nats.

    Attributes:
        table: name to cells.
        source: file, for complaints.
        given: names of the caller for some roles.
        keep: which rows are meant, shape (n,).
        used: names of the columns read so far, None for none.
        said: what was not taken as it stands.
    """

    table: Mapping[str, Any]
    source: str
    given: Mapping[str, str]
    keep: np.ndarray
    used: list[str | None] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __call__(
        self, role: str, *, needed: bool = True, tolerant: bool = False
    ) -> np.ndarray | None:
        """The values of a role, shape (rows kept,), or None where no column plays it.

        Args:
            role: one of ROLES.
            needed: refuse a table without it.
            tolerant: take a column that was guessed and cannot be read for none.

        Raises:
            ValueError: no such column, a cell that is no number, or a blank one.
        """
        name = self.name(role, needed=needed)
        self.used.append(name)
        if name is None:
            return None
        guessed = (tolerant or role in OPTIONAL) and role not in self.given
        try:
            return self._measured(role, name, self._cells(role, name))
        except ValueError:
            if guessed:
                return None
            raise

    def name(self, role: str, *, needed: bool = True) -> str | None:
        """The column that plays a role."""
        found = self._usual(role) or self._letter(role, needed=needed)
        if found is None and needed:
            if role == "params" and role not in self.given and (width := self._usual("width")):
                raise ValueError(
                    f"{self.source!r} has {width!r} and no parameters: add a column params, of a "
                    "transformer 12 x layers x width^2 beside its embedding."
                )
            find_column(dict(self.table), role, self.given, self.source, aliases=ALIASES)  # refuses
        return found

    def other_losses(self) -> list[str]:
        """Columns of other losses than the one that was taken without being named."""
        taken = self.name("loss", needed=False)
        if "loss" in self.given or taken is None:
            return []
        usual = {*map(normal, ALIASES["loss"])}
        return [
            name
            for name in self.table
            if name != taken and normal(name) in usual and normal(name).split("_")[-1] == "loss"
        ]

    def _usual(self, role: str) -> str | None:
        """The column of a usual name, or of the only logarithm of one."""
        found = find_column(
            dict(self.table), role, self.given, self.source, needed=False, aliases=ALIASES
        )
        if found is not None or role not in _RAISED:
            return found
        usual = {*map(normal, ALIASES[role]), _LETTERS.get(role, "x")}
        logs = [
            name
            for name in self.table
            if (log := logarithm_of(name))
            and without_unit(log[1]) in usual
            and (log[0] or role in _COUNTED)  # "log loss" is a loss
        ]
        return logs[0] if len(logs) == 1 else None

    def ratio(self, params: np.ndarray) -> np.ndarray | None:
        """Tokens from a column of their ratio to the parameters, or None where there is none.

        Raises:
            ValueError: a ratio of which nobody knows to what.
        """
        found = self._ratios()
        if found is not None:
            name, each = found
            self.used.append(name)
            by = "" if each == 1 else f"{each:g} x "
            self.said.append(f"tokens = {by}{name!r} x parameters")
            return each * self._cells("ratio", name) * params
        doubted = next((name for name in self.table if normal(name) in _DOUBTED_RATIOS), None)
        if doubted is not None:
            raise ValueError(
                f"{self.source!r} has no tokens, and {doubted!r} does not say of what it is a "
                "multiple: rename it tokens_per_param, or chinchilla_multiplier for 20 times that."
            )
        return None

    def _ratios(self) -> tuple[str, float] | None:
        """The column of tokens per parameter, and how many of them one of it is."""
        named = self.given.get("tokens")
        for name in self.table if named is None else [named]:
            each = _RATIOS.get(re.sub(r"[()]", "", normal(name)))
            if each is not None:
                return name, each
        return None

    @property
    def by_ratio(self) -> bool:
        """Whether the column that the caller gave to tokens is one of their ratio to parameters."""
        return "tokens" in self.given and self._ratios() is not None

    def _cells(self, role: str, name: str) -> np.ndarray:
        # Rows that are not meant may hold anything, and row numbers stay those of the file.
        cells = [c if kept else None for c, kept in zip(self.table[name], self.keep, strict=True)]
        if role == "ratio":
            cells = [re.sub(r"\s*[x×]\s*$", "", c) if isinstance(c, str) else c for c in cells]
        values = numbers(cells, name, self.source, remedy=REMEDY, counts=role in _COUNTED)
        blank = np.flatnonzero(np.isnan(values) & self.keep)
        if len(blank):
            raise ValueError(
                f"row {blank[0] + 2} of {self.source!r} has no {name!r}: fill it, or leave such "
                f"rows out, --where '{name}>0'."
            )
        return values[self.keep]

    def _measured(self, role: str, name: str, values: np.ndarray) -> np.ndarray:
        """Values as counts of ones, and a perplexity or a logarithm as what it is of."""
        if role in _RAISED and (log := logarithm_of(name)) is not None:
            base = log[0] or self._base(role, name, values)
            if base and not (role == "loss" and not log[0]):  # "log loss" is a loss
                values = self._raised(role, name, values, base)
                name = log[1]
        scale = max(unit_of(name), factor_of(name)) if role in _COUNTED else 1.0
        if scale != 1.0 and np.max(values, initial=0.0) * scale <= _LARGEST[role]:
            values = values * scale
            self.said.append(f"{name!r} counts in {scale:g}")
        if role == "loss" and is_perplexity(name) and np.all(values > 0):
            values = np.log(values)
            self.said.append(f"the loss is the logarithm of {name!r}")
        return values

    def _base(self, role: str, name: str, values: np.ndarray) -> float:
        """The only base that such values allow; 0 for a loss or x, whose column stays as it is."""
        if role not in _COUNTED:
            return 0.0
        top = float(np.max(values, initial=0.0))
        if 10.0 ** min(top, 300.0) > _LARGEST[role]:
            return math.e
        if math.exp(min(top, 300.0)) < _SMALLEST:
            return 10.0
        raise ValueError(
            f"column {name!r} of {self.source!r} does not say its base, and up to {top:.4g} may be "
            f"{10.0**top:.3g} or {math.exp(top):.3g}: rename it log10_{role} or ln_{role}."
        )

    def _raised(self, role: str, name: str, values: np.ndarray, base: float) -> np.ndarray:
        top = float(np.max(values, initial=0.0))
        if top * math.log(base) > math.log(_LARGEST.get(role, 1e300)):
            other = "ln" if base == 10.0 and math.exp(min(top, 99.0)) < 1e17 else ""
            rest = f"natural ones? Rename it ln_{role}" if other else f"rename it {role}"
            raise ValueError(
                f"column {name!r} of {self.source!r} holds {top:.4g}, which is no logarithm to "
                f"base {_called(base)} of {role}: {rest}."
            )
        self.said.append(f"{name!r} is a logarithm, read as {_called(base)}^value")
        return np.asarray(base**values)

    def _letter(self, role: str, *, needed: bool) -> str | None:
        """The column that is called by the letter of a role, where all letters are plausible."""
        letters = {
            role: name
            for role, letter in _LETTERS.items()
            if self._usual(role) is None
            and (name := next((n for n in self.table if without_unit(n) == letter), None))
        }
        if role not in letters:
            return None
        values = {one: self._tried(one, letters.get(one)) for one in _LETTERS}
        if values["tokens"] is None and values["params"] is not None and (by := self._ratios()):
            ratio = self._tried("ratio", by[0])
            values["tokens"] = None if ratio is None else by[1] * ratio * values["params"]
        if (
            "flops" in letters
            and values["tokens"] is not None
            and not _usual_values(values, "flops")
        ):
            del letters["flops"]  # another quantity
        told = ",".join(f"{one}={name}" for one, name in letters.items())
        if _plausible(values, letters):
            line = f"read as --columns {told}"
            self.said.extend([] if line in self.said else [line])
            return letters.get(role)
        if not needed:
            return None
        listing = ", ".join(map(repr, letters.values()))
        raise ValueError(
            f"{self.source!r} has {listing}, whose values leave a doubt what they are: if they "
            f"count in ones, --columns {told}; else rename them, as params_M, tokens_B, loss."
        )

    def _tried(self, role: str, letter: str | None) -> np.ndarray | None:
        """What a role would be, None where there is no such column or it cannot be read."""
        name, said = letter or self._usual(role), list(self.said)
        try:
            return None if name is None else self._measured(role, name, self._cells(role, name))
        except ValueError:
            return None
        finally:
            self.said = said


def _usual_values(values: Mapping[str, np.ndarray | None], role: str) -> bool:
    low, high = _USUAL[role]
    found = values[role]
    return found is not None and bool(low <= np.median(found) <= high)


def _plausible(values: Mapping[str, np.ndarray | None], letters: Mapping[str, str]) -> bool:
    """Whether every letter has values of its role, and tokens per parameter are usual ones."""
    if not all(_usual_values(values, role) for role in letters):
        return False
    params, tokens, flops, loss = (values[role] for role in ("params", "tokens", "flops", "loss"))
    if "loss" in letters and loss is not None and np.all(loss == np.rint(loss)):
        return False  # of layers
    if params is None or (tokens is None and flops is None):
        return False
    ratio = tokens / params if tokens is not None else flops / (6 * params**2)
    return bool(_USUAL_RATIO[0] <= np.median(ratio) <= _USUAL_RATIO[1])


def _called(base: float) -> str:
    return "e" if base == math.e else f"{base:g}"
