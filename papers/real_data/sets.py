"""Which real rows, and what is done to them: data that ship inside packages, nothing fetched.

A case is a table X, (rows, features), and one target, brought to mean 0 and variance 1, so that
every run starts at the risk 1/2 and the floor is half of what the features leave. Tables of more
than 1500 rows are sampled, once and by a fixed seed. Features are those of hidim.problems.features.
"""

from __future__ import annotations

import sysconfig
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hidim.problems import features

MOST_ROWS = 1500
_SEED = 0
Table = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        words: what they are and what is learned.
        package: where they ship.
        licence: as the package or its source says.
        table: inputs and target.
    """

    words: str
    package: str
    licence: str
    table: Callable[[], Table]


@dataclass(frozen=True)
class Case:
    """One source with one kind of features: "raw", "poly:3", "relu:100" or "grey-relu:300"."""

    source: str
    features: str

    @property
    def key(self) -> str:
        """Its name in files and tables."""
        return f"{self.source} {self.features}"

    def table(self) -> Table:
        """X and y as the algorithms see them."""
        inputs, target = SOURCES[self.source].table()
        inputs, target = np.asarray(inputs, np.float64), np.asarray(target, np.float64)
        if len(inputs) > MOST_ROWS:
            drawn = np.random.default_rng(_SEED).choice(len(inputs), MOST_ROWS, replace=False)
            inputs, target = inputs[np.sort(drawn)], target[np.sort(drawn)]
        return _made(inputs, self.features), (target - target.mean()) / target.std()


def _made(inputs: np.ndarray, kind: str) -> np.ndarray:
    name, _, size = kind.partition(":")
    if name == "raw":
        return features.standardize(inputs)
    if name == "centred":  # columns in one unit already, or counts whose scale is the point
        return features.center(inputs)
    if name == "poly":
        return features.polynomial(inputs, int(size))
    return features.relu(inputs, int(size), seed=_SEED, standardize=name == "relu")


def _sklearn(name: str, scale: float = 1.0) -> Callable[[], Table]:
    def table() -> Table:
        data = getattr(import_module("sklearn.datasets"), f"load_{name}")()
        odd = data.target % 2 if name == "digits" else data.target
        return data.data * scale, odd

    return table


def _statsmodels(
    name: str, target: str, drop: tuple[str, ...] = (), logs: tuple[str, ...] = ()
) -> Callable[[], Table]:
    def table() -> Table:
        data = import_module(f"statsmodels.datasets.{name}").load_pandas().data
        inputs = data.drop(columns=[target, *drop]).to_numpy(np.float64)
        y = data[target].to_numpy(np.float64)
        return inputs, np.log1p(y) if target in logs else y

    return table


def _windows(series: np.ndarray, wide: int) -> Table:
    """Every `wide` values in a row and the one that follows."""
    seen = np.lib.stride_tricks.sliding_window_view(series, wide + 1)
    return seen[:, :-1], seen[:, -1]


def _sunspots() -> Table:
    data = import_module("statsmodels.datasets.sunspots").load_pandas().data
    return _windows(data["SUNACTIVITY"].to_numpy(np.float64), 22)


def _carbon() -> Table:
    """Changes from week to week; windows that hold a missing week are left out."""
    data = import_module("statsmodels.datasets.co2").load_pandas().data
    inputs, target = _windows(np.diff(data["co2"].to_numpy(np.float64)), 52)
    whole = np.isfinite(inputs).all(axis=1) & np.isfinite(target)
    return inputs[whole], target[whole]


def _economy() -> Table:
    """Growth of ten series over the last four quarters, and inflation in the next one."""
    data = import_module("statsmodels.datasets.macrodata").load_pandas().data
    levels = ["realgdp", "realcons", "realinv", "realgovt", "realdpi", "cpi", "m1", "pop"]
    grown = np.diff(np.log(data[levels].to_numpy(np.float64)), axis=0)
    rates = data[["tbilrate", "unemp"]].to_numpy(np.float64)[1:]
    both = np.column_stack([grown, rates])
    past = np.lib.stride_tricks.sliding_window_view(both, 4, axis=0)[:-1]
    return past.reshape(len(past), -1), grown[4:, levels.index("cpi")]


def _neighbours(picture: np.ndarray, side: int) -> Table:
    """A pixel from the others of the square around it."""
    view = np.lib.stride_tricks.sliding_window_view(picture, (side, side))[::3, ::3]
    squares = view.reshape(-1, side * side)
    middle = side * side // 2
    return np.delete(squares, middle, axis=1), squares[:, middle]


def _photographs() -> Table:
    images = import_module("sklearn.datasets").load_sample_images().images
    parts = [_neighbours(image.mean(axis=2) / 255.0, 11) for image in images]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _heights() -> Table:
    sample = import_module("matplotlib.cbook").get_sample_data("jacksboro_fault_dem.npz")
    return _neighbours(np.asarray(sample["elevation"], np.float64), 9)


@cache
def _passages() -> tuple[list[str], np.ndarray]:
    """1500 passages of 1000 characters, and whether each is of a package or of one module."""
    root = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idlelib", "lib2to3", "site-packages", "idle_test", "__pycache__"}
    passages, packaged = [], []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if left_out & set(place.parts) or place.name.startswith("_"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for start in range(0, len(text) - 1000, 5000):
            passages.append(text[start : start + 1000])
            packaged.append(float(len(place.parts) > 1))
    drawn = np.random.default_rng(_SEED).choice(len(passages), MOST_ROWS, replace=False)
    return [passages[i] for i in np.sort(drawn)], np.array(packaged)[np.sort(drawn)]


def _trigrams() -> Table:
    """Counts of three characters in a row, hashed to 300 columns."""
    passages, target = _passages()
    counts = np.zeros((len(passages), 300))
    for row, text in zip(counts, passages, strict=True):
        code = text.encode("utf-8")
        for i in range(len(code) - 2):
            row[zlib.crc32(code[i : i + 3]) % 300] += 1.0
    return counts, target


def _frequencies() -> Table:
    """The counts times log(passages / passages that have them), rows of length 1."""
    counts, target = _trigrams()
    weighted = np.log1p(counts) * np.log(len(counts) / np.count_nonzero(counts, axis=0).clip(1))
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.where(length > 0, length, 1.0), target


_UCI = "UCI repository, CC BY 4.0"
_TEXT = "source of Python's standard library; is a passage of a package or of one module?"
_AUTHORS = "with the author's permission"
SOURCES = {
    "tumours": Source(
        "breast tumours, 30 measurements; benign?", "scikit-learn", _UCI, _sklearn("breast_cancer")
    ),
    "digits": Source(
        "handwritten digits of 8 × 8 pixels; odd?", "scikit-learn", _UCI,
        _sklearn("digits", 1 / 16),
    ),
    "wine": Source("chemistry of 178 wines; which of 3?", "scikit-learn", _UCI, _sklearn("wine")),
    "iris": Source("150 irises; which of 3 kinds?", "scikit-learn", _UCI, _sklearn("iris")),
    "diabetes": Source(
        "442 patients; progress of the disease", "scikit-learn",
        "published with Efron et al. 2004; no licence named", _sklearn("diabetes"),
    ),
    "photographs": Source(
        "two photographs; a pixel from the 120 around it", "scikit-learn", "CC BY 2.0", _photographs
    ),
    "heights": Source(
        "elevations near Jacksboro; a height from the 80 around it", "matplotlib",
        "ships as sample data; none named", _heights,
    ),
    "randhie": Source(
        "health insurance experiment; log of visits to a doctor", "statsmodels", "public domain",
        _statsmodels("randhie", "mdvis", logs=("mdvis",)),
    ),
    "fair": Source(
        "survey on affairs, 8 answers; log of the time spent", "statsmodels", _AUTHORS,
        _statsmodels("fair", "affairs", logs=("affairs",)),
    ),
    "anes96": Source(
        "election study of 1996, 9 answers; party", "statsmodels", "public domain",
        _statsmodels("anes96", "PID", drop=("vote",)),
    ),
    "star98": Source(
        "schools of California; pupils above the median", "statsmodels", _AUTHORS,
        _statsmodels("star98", "NABOVE", drop=("NBELOW",), logs=("NABOVE",)),
    ),
    "modechoice": Source(
        "how 210 people travel, 840 offers; taken?", "statsmodels", "public domain",
        _statsmodels("modechoice", "choice", drop=("individual",)),
    ),
    "carbon": Source(
        "weekly carbon dioxide at Mauna Loa; change from the 52 before", "statsmodels",
        "public domain", _carbon,
    ),
    "sunspots": Source(
        "yearly sunspots; a year from the 22 before", "statsmodels", "public domain", _sunspots
    ),
    "economy": Source(
        "US economy by quarters; inflation from a year of ten series", "statsmodels",
        "public domain", _economy,
    ),
    "trigrams": Source(f"hashed trigram counts of the {_TEXT}", "Python", "PSF-2.0", _trigrams),
    "tf-idf": Source(f"hashed trigram TF-IDF of the {_TEXT}", "Python", "PSF-2.0", _frequencies),
}  # fmt: skip

CASES = tuple(
    Case(source, kind)
    for source, kind in (
        ("tumours", "raw"), ("tumours", "relu:100"), ("tumours", "relu:600"),
        ("digits", "raw"), ("digits", "grey-relu:300"),
        ("wine", "relu:100"), ("iris", "poly:4"),
        ("diabetes", "poly:3"), ("diabetes", "relu:200"),
        ("photographs", "centred"), ("heights", "centred"),
        ("randhie", "poly:3"), ("randhie", "relu:200"),
        ("fair", "poly:2"), ("anes96", "relu:100"), ("star98", "poly:2"),
        ("modechoice", "poly:3"), ("carbon", "raw"), ("sunspots", "relu:100"),
        ("economy", "raw"), ("trigrams", "centred"), ("tf-idf", "centred"),
    )
)  # fmt: skip
QUICK = tuple(Case(*pair) for pair in (("tumours", "raw"), ("wine", "raw"), ("iris", "poly:2")))


def described(case: Case) -> dict[str, Any]:
    """Source, package and licence in words."""
    source = SOURCES[case.source]
    return {"words": source.words, "package": source.package, "licence": source.licence}
