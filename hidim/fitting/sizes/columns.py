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
    factor_of,
    is_perplexity,
    logarithm_of,
    normal,
    unit_of,
    without_unit,
)
from hidim.fitting.logs.readers import find_column, numbers
from hidim.fitting.sizes.aliases import (
    ALIASES,
    COUNTED,
    DOUBTED_RATIOS,
    LARGEST,
    LETTERS,
    OPTIONAL,
    RAISED,
    RATIOS,
    REMEDY,
    SMALLEST,
    USUAL,
    USUAL_RATIO,
)
from hidim.fitting.sizes.derived import tokens_of


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
                    f"{self.source!r} has {width!r} and no parameters: add a column params, or "
                    "layers: of a transformer 12 x layers x width^2 beside its embedding."
                )
            find_column(dict(self.table), role, self.given, self.source, aliases=ALIASES)  # refuses
        return found

    def told(self, role: str) -> bool:
        """Whether a column is there for a role, in doubt or not: its name, or its letter."""
        letter = LETTERS.get(role)
        return bool(self._usual(role)) or any(without_unit(name) == letter for name in self.table)

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

    def other_params(self) -> list[str]:
        """Columns of other counts of parameters than the one that was taken without being named."""
        taken = self.name("params", needed=False)
        if "params" in self.given or taken is None:
            return []
        return [
            name
            for name in self.table
            if name != taken
            and {"params", "parameters"} & {*normal(name).split("_")}
            and re.sub(r"[()]", "", normal(name)) not in RATIOS
        ]

    def _usual(self, role: str) -> str | None:
        """The column of a usual name, or of the only logarithm of one."""
        found = find_column(
            dict(self.table), role, self.given, self.source, needed=False, aliases=ALIASES
        )
        if found is not None or role not in RAISED:
            return found
        usual = {*map(normal, ALIASES[role]), LETTERS.get(role, "x")}
        logs = [
            name
            for name in self.table
            if (log := logarithm_of(name))
            and without_unit(log[1]) in usual
            and (log[0] or role in COUNTED)  # "log loss" is a loss
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
        doubted = next((name for name in self.table if normal(name) in DOUBTED_RATIOS), None)
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
            each = RATIOS.get(re.sub(r"[()]", "", normal(name)))
            if each is not None:
                return name, each
        return None

    @property
    def by_ratio(self) -> bool:
        """Whether the column that the caller gave to tokens is one of their ratio to parameters."""
        return "tokens" in self.given and self._ratios() is not None

    def cells(self, name: str) -> np.ndarray:
        """The numbers of any column in the rows that are meant, shape (rows kept,)."""
        return self._cells("", name)

    def _cells(self, role: str, name: str) -> np.ndarray:
        # Rows that are not meant may hold anything, and row numbers stay those of the file.
        cells = [c if kept else None for c, kept in zip(self.table[name], self.keep, strict=True)]
        if role == "ratio":
            cells = [re.sub(r"\s*[x×]\s*$", "", c) if isinstance(c, str) else c for c in cells]
        remedy = f"{REMEDY}, --where '{name}>0'."
        values = numbers(cells, name, self.source, remedy=remedy, counts=role in COUNTED)
        if role in (*COUNTED, "loss") and not logarithm_of(name) and np.any(values[self.keep] <= 0):
            row = int(np.flatnonzero((values <= 0) & self.keep)[0])
            raise ValueError(
                f"row {row + 2} of {self.source!r}: column {name!r} is {values[row]:g}, and must "
                f"be positive: leave such rows out, --where '{name}>0'."
            )
        blank = np.flatnonzero(np.isnan(values) & self.keep)
        if len(blank):
            raise ValueError(
                f"row {blank[0] + 2} of {self.source!r} has no {name!r}: fill it, or leave such "
                f"rows out, --where '{name}>0'."
            )
        return values[self.keep]

    def _measured(self, role: str, name: str, values: np.ndarray) -> np.ndarray:
        """Values as counts of ones, and a perplexity or a logarithm as what it is of."""
        if role in RAISED and (log := logarithm_of(name)) is not None:
            base = log[0] or self._base(role, name, values)
            if base and not (role == "loss" and not log[0]):  # "log loss" is a loss
                values = self._raised(role, name, values, base)
                name = log[1]
        scale = max(unit_of(name), factor_of(name)) if role in COUNTED else 1.0
        if scale != 1.0 and np.max(values, initial=0.0) * scale <= LARGEST[role]:
            values = values * scale
            self.said.append(f"{name!r} counts in {scale:g}")
        if role == "loss" and is_perplexity(name) and np.all(values > 0):
            values = np.log(values)
            self.said.append(f"the loss is the logarithm of {name!r}")
        return values

    def _base(self, role: str, name: str, values: np.ndarray) -> float:
        """The only base that such values allow; 0 for a loss or x, whose column stays as it is."""
        if role not in COUNTED:
            return 0.0
        top = float(np.max(values, initial=0.0))
        if 10.0 ** min(top, 300.0) > LARGEST[role]:
            return math.e
        if math.exp(min(top, 300.0)) < SMALLEST:
            return 10.0
        raise ValueError(
            f"column {name!r} of {self.source!r} does not say its base, and up to {top:.4g} may be "
            f"{10.0**top:.3g} or {math.exp(top):.3g}: rename it log10_{role} or ln_{role}."
        )

    def _raised(self, role: str, name: str, values: np.ndarray, base: float) -> np.ndarray:
        top = float(np.max(values, initial=0.0))
        if top * math.log(base) > math.log(LARGEST.get(role, 1e300)):
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
            for role, letter in LETTERS.items()
            if self._usual(role) is None
            and (name := next((n for n in self.table if without_unit(n) == letter), None))
        }
        if role not in letters:
            return None
        values = {one: self._tried(one, letters.get(one)) for one in LETTERS}
        if values["tokens"] is None and values["params"] is not None and (by := self._ratios()):
            ratio = self._tried("ratio", by[0])
            values["tokens"] = None if ratio is None else by[1] * ratio * values["params"]
        elif values["tokens"] is None and values["flops"] is None:
            values["tokens"] = self._by_steps()
        if (
            "flops" in letters
            and values["tokens"] is not None
            and not _usual_values(values, "flops")
        ):
            del letters["flops"]  # another quantity
        told = ",".join(f"{one}={name}" for one, name in letters.items())
        alone = role == "loss" and "x" in self.given and _usual_values(values, "loss")
        if alone:
            letters, told = {"loss": letters["loss"]}, f"loss={letters['loss']}"
        if alone or _plausible(values, letters):
            line = f"read as --columns {told}"
            self.said.extend([] if line in self.said else [line])
            return letters.get(role)
        if not needed:
            return None
        if values["params"] is None:  # no table of sizes
            one = letters.get("flops") or letters.get("tokens") or "NAME"
            raise ValueError(
                f"{self.source!r} has no parameters beside {letters[role]!r}: name them, --columns "
                f"params=NAME, or fit a law of one quantity, --law saturating --columns x={one}."
            )
        listing = ", ".join(map(repr, letters.values()))
        raise ValueError(
            f"{self.source!r} has {listing}, whose values leave a doubt what they are: if they "
            f"count in ones, --columns {told}; else rename them, as params_M, tokens_B, loss."
        )

    def _by_steps(self) -> np.ndarray | None:
        said, used = list(self.said), list(self.used)
        try:
            return tokens_of(self)
        except ValueError:
            return None
        finally:
            self.said, self.used = said, used

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
    low, high = USUAL[role]
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
    return bool(USUAL_RATIO[0] <= np.median(ratio) <= USUAL_RATIO[1])


def _called(base: float) -> str:
    return "e" if base == math.e else f"{base:g}"
