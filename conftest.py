"""Doctests of an optional part are collected only where the packages it needs are installed."""

from importlib.util import find_spec

# Folder -> packages its modules import.
_NEEDS = {
    "hidim/lab": ("torch",),
    "hidim/optax": ("jax", "optax"),
    "hidim/torch": ("torch",),
    "hidim/torch/_machine/gpu_rules.py": ("triton",),
}

collect_ignore_glob = [
    folder if folder.endswith(".py") else f"{folder}/*"
    for folder, packages in _NEEDS.items()
    if not all(map(find_spec, packages))
]
