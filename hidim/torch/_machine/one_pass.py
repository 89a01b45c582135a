"""How does an adaptive rule update in one pass over memory? By a short C++ loop built on first use.

A rule gives the body of the loop as text; the system's C++ compiler builds it once per machine in
about a second and the library is kept in the user's cache folder. All parameters go through in
one call, whatever their shapes; coefficients are arguments, so nothing is ever rebuilt.
float64, float32 and bfloat16 (computed in float32, rounded once). Without a compiler, and on
other devices, `fused=True` uses lists; the former says so once.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_TYPES = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16"}
# No -ffast-math: NaN and infinity must behave. These two only let square roots vectorise.
_FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]

_PRELUDE = r"""
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif
static const long BLOCK = 128;  // elements worked on together: they stay in the L1 cache

// x^power for x >= 1, x < 2^24, |power| <= 4 by polynomials (the library's does not vectorise):
// x = 2^e z, log2 z by one of degree 7, 2^r for |r| <= 1/2 by one of degree 5. Relative error
// 5e-7 for powers up to 1/4, 1e-6 at 1.
static inline float power_of(float x, float power) {
  int32_t bits; std::memcpy(&bits, &x, 4);
  const float e = (float)((bits >> 23) - 127);
  bits = (bits & 0x7fffff) | 0x3f800000;
  float z; std::memcpy(&z, &bits, 4);
  const float f = z - 1.5f, f2 = f * f;
  const float a0 = 0.584962765f + f * 0.961795972f, a1 = -0.320632333f + f * 0.14252637f;
  const float a2 = -0.0705896757f + f * 0.0374629375f, a3 = -0.0251232033f + f * 0.0147787208f;
  const float y = power * (e + ((a0 + f2 * a1) + (f2 * f2) * (a2 + f2 * a3)));
  const float shifted = y + 12582912.0f;  // 1.5 * 2^23: the last bits are y to nearest
  const float r = y - (shifted - 12582912.0f), r2 = r * r;
  int32_t n; std::memcpy(&n, &shifted, 4);
  const float b0 = 1.00000008f + r * 0.693147207f, b1 = 0.240221074f + r * 0.0555032721f;
  const float b2 = 0.0096760371f + r * 0.00134004322f;
  const float q = (b0 + r2 * b1) + (r2 * r2) * b2;
  uint32_t scaled; std::memcpy(&scaled, &q, 4);
  scaled += (uint32_t)n << 23;
  float result; std::memcpy(&result, &scaled, 4);
  return result;
}
static inline double power_of(double x, double power) { return std::pow(x, power); }

struct bf16 { uint16_t bits; };
static inline void load(float* to, const bf16* from, long n) {
  for (long i = 0; i < n; i++) {
    uint32_t bits = (uint32_t)from[i].bits << 16;
    std::memcpy(to + i, &bits, 4);
  }
}
static inline void store(bf16* to, const float* from, long n) {
  for (long i = 0; i < n; i++) {
    uint32_t bits; std::memcpy(&bits, from + i, 4);
    const uint32_t near = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to[i].bits = (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : near;
  }
}
"""

_DRIVER = r"""
template <class T> static void one_block(long n, T* p, const T* g, T* const* b, const T* c) {
  body<T>(n, p, g, BUFFERS, c);
}
static void one_block(long n, bf16* p, const bf16* g, bf16* const* b, const float* c) {
  float wide[2 + COUNT][BLOCK];
  float* w[COUNT];
  load(wide[0], p, n);
  load(wide[1], g, n);
  for (int j = 0; j < COUNT; j++) { w[j] = wide[2 + j]; load(w[j], b[j], n); }
  { float* const* b = w; body<float>(n, wide[0], wide[1], BUFFERS, c); }
  store(p, wide[0], n);
  for (int j = 0; j < COUNT; j++) store(b[j], w[j], n);
}
template <class S, class T>
static void run(long tensors, const long* sizes, void** rows, const double* given, int numbers,
                int threads) {
  T c[32];
  for (int j = 0; j < numbers; j++) c[j] = (T)given[j];
  long total = 0;
  for (long k = 0; k < tensors; k++) total += (sizes[k] + BLOCK - 1) / BLOCK;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
  {
    long rank = 0, ranks = 1;
#ifdef _OPENMP
    rank = omp_get_thread_num();
    ranks = omp_get_num_threads();
#endif
    const long from = total * rank / ranks, to = total * (rank + 1) / ranks;
    long first = 0;  // block number at which tensor k begins
    for (long k = 0; k < tensors && first < to; k++) {
      const long blocks = (sizes[k] + BLOCK - 1) / BLOCK;
      const long begin = from > first ? from - first : 0;
      const long end = to - first < blocks ? to - first : blocks;
      void** row = rows + k * (2 + COUNT);
      for (long block = begin; block < end; block++) {
        const long o = block * BLOCK, n = sizes[k] - o < BLOCK ? sizes[k] - o : BLOCK;
        S* b[COUNT];
        for (int j = 0; j < COUNT; j++) b[j] = (S*)row[2 + j] + o;
        one_block(n, (S*)row[0] + o, (const S*)row[1] + o, b, c);
      }
      first += blocks;
    }
  }
}
#define EXPORT(name, S, T)                                                                   \
  extern "C" void name(long tensors, const long* sizes, void** rows, const double* given,    \
                       int numbers, int threads) {                                           \
    run<S, T>(tensors, sizes, rows, given, numbers, threads);                                \
  }
EXPORT(run_f32, float, float)
EXPORT(run_f64, double, double)
EXPORT(run_bf16, bf16, float)
"""


class Kernel:
    """One rule's loop.

    Args:
        buffers: names of the state arrays in the body, in the order of the rule's `buffers`.
        body: C++ statements that update `p` and the buffers from `g` for i < n; T is the type
            and c the coefficients (sign of the gradient, factor kept of the old parameter,
            factor kept of the new one, lr, then the rule's numbers).
    """

    def __init__(self, buffers: tuple[str, ...], body: str) -> None:
        arguments = "".join(f", T* __restrict {name}" for name in buffers)
        self.source = "\n".join(
            (
                _PRELUDE,
                "template <class T> static void body(long n, T* __restrict p,"
                f" const T* __restrict g_in{arguments}, const T* c) {{",
                "const T sign = c[0], before = c[1], after = c[2], lr = c[3];",
                body,
                "}",
                f"#define COUNT {len(buffers)}",
                f"#define BUFFERS {', '.join(f'b[{j}]' for j in range(len(buffers)))}",
                _DRIVER,
            )
        )

    def available(self, x: Tensor) -> bool:
        """Whether there is a library for tensors like `x`; builds it if needed."""
        return x.is_cpu and x.dtype in _TYPES and library(self.source) is not None

    def run(self, lists: list[list[Tensor]], numbers: list[float]) -> None:
        """Update in place: `lists` holds p, g and the buffers, flat and of one dtype."""
        built = library(self.source)
        assert built is not None
        count = len(lists[0])
        sizes = (ctypes.c_long * count)(*(p.numel() for p in lists[0]))
        pointers = [t.data_ptr() for row in zip(*lists, strict=True) for t in row]
        rows = (ctypes.c_void_p * len(pointers))(*pointers)
        given = (ctypes.c_double * len(numbers))(*numbers)
        function: Callable[..., Any] = getattr(built, f"run_{_TYPES[lists[0][0].dtype]}")
        threads = torch.get_num_threads() if sum(sizes) > 32768 else 1
        function(ctypes.c_long(count), sizes, rows, given, len(numbers), threads)


@functools.cache
def library(source: str) -> ctypes.CDLL | None:
    """The compiled `source`, from the cache folder or built now; None, said once, if it cannot."""
    compiler = _compiler()
    if compiler is None:
        _warn_once("no C++ compiler was found")
        return None
    key = hashlib.sha256("\0".join([source, *compiler, _machine(), *_FLAGS]).encode()).hexdigest()
    for folder in _folders():
        try:
            _secure(folder)
            found = _cached(folder, key[:24])
            return ctypes.CDLL(str(found or _build(compiler, source, folder, key[:24])))
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            _warn_once(f"{' '.join(compiler)} failed: {' '.join(reason)}")
            return None
        except OSError:
            continue  # not ours, not writable, or not loadable from there: try the next folder
    _warn_once("its library could not be written or loaded")
    return None


def _compiler() -> list[str] | None:
    """The command of CXX, split as a shell does, if it exists; else of a compiler that does."""
    commands = []
    with suppress(ValueError):  # a quote left open
        commands.append(shlex.split(os.environ.get("CXX", ""), posix=os.name == "posix"))
    commands += [["g++"], ["clang++"], ["c++"]]
    return next((words for words in commands if words and shutil.which(words[0])), None)


def _secure(folder: Path) -> None:
    """Make `folder`; refuse one whose libraries somebody else could have put there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_foreign(folder)


def _refuse_foreign(path: Path) -> None:
    """OSError unless `path` is this user's and only this user may change it (on POSIX)."""
    if not hasattr(os, "getuid"):
        return  # Windows: folders below a user's own are the user's
    found = path.lstat()
    foreign = found.st_uid != os.getuid() or found.st_mode & 0o022
    if foreign or not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise OSError(f"{path} is, or can be changed by, somebody else's")


def _cached(folder: Path, key: str) -> Path | None:
    """The library of `key` that is what was once built: its name ends in its checksum."""
    for path in folder.glob(f"{key}-*.so"):
        with suppress(OSError):
            _refuse_foreign(path)
            if path.stem == f"{key}-{_checksum(path)}":
                return path
    return None


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _build(compiler: list[str], source: str, folder: Path, key: str) -> Path:
    """Compile beside and rename: whole or not at all, whoever else builds it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        text, made = Path(scratch) / "kernel.cpp", Path(scratch) / "kernel.so"
        text.write_text(source, encoding="utf-8")
        command = [*compiler, *_FLAGS, str(text), "-o", str(made)]
        try:
            subprocess.run([*command, "-fopenmp"], check=True, capture_output=True)
        except subprocess.CalledProcessError:  # a compiler without OpenMP: one thread
            subprocess.run(command, check=True, capture_output=True)
        made.chmod(0o700)
        path = folder / f"{key}-{_checksum(made)}.so"
        os.replace(made, path)
    return path


def _folders() -> Iterator[Path]:
    given = os.environ.get("HIDIM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        yield (Path(given) if given else Path.home() / ".cache") / "hidim"
    with suppress(OSError):  # no folder for temporary files
        yield _own_folder()


@functools.cache
def _own_folder() -> Path:
    """Where only this process builds: a name in the common folder that others could foresee would
    let them put a library of theirs there."""
    folder = tempfile.mkdtemp(prefix="hidim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _machine() -> str:
    """What -march=native depends on, so that a shared cache folder serves unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    keys = ("model name", "flags", "Features")
    found = [next((line for line in lines if line.startswith(key)), "") for key in keys]
    return "\n".join([platform.platform(), platform.processor(), *found])


_said: set[str] = set()


def _warn_once(reason: str) -> None:
    if not _said:
        _said.add(reason)
        warnings.warn(
            f"fused=True uses the foreach path: {reason}. It is several times slower; install a "
            "C++ compiler, for example g++.",
            stacklevel=2,
        )
