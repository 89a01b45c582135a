// One update of a rule in one pass over memory, of many tensors in one call.
//
// Compiled when the package is built (hatch_build.py) or, where it was not, on first use
// (library.py); called through a plain C interface, so that one library serves every Python and
// every torch. It uses neither OpenMP nor the C++ library.
//
// Every entry, at the end of a tensor too, goes through the same vector instructions, so that
// results do not depend on how tensors are cut (shards, threads).
#include "rules.h"
#include "types.h"
#ifdef _WIN32
#include <windows.h>
#define EXPORTED extern "C" __declspec(dllexport)
#else
#include <pthread.h>
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif

static const Size LANES = 16;    // entries treated alike: whole vectors of every kind
static const Size PIECE = 1024;  // entries that one thread takes at least
static const int NUMBERS = 16;   // coefficients of a rule at most

struct Task {
  Size tensors;
  const Size* sizes;
  void** rows;  // p, g and the buffers of each tensor
  const double* numbers;
  Size count, rank, ranks;
};

// Copies of the entries, widened; what is missing to whole vectors is 0.
template <class R, class T, class P, class B>
static void copied(Size n, P* p, const P* g, B* const* b, const T* c, const Power& power) {
  const Size whole = (n + LANES - 1) / LANES * LANES;
  T store_of[2 + R::COUNT][BLOCK];
  T* buffers[R::COUNT];
  for (int j = 0; j < 2 + R::COUNT; j++)
    for (Size i = n; i < whole; i++) store_of[j][i] = 0;
  load(store_of[0], p, n);
  load(store_of[1], g, n);
  for (int j = 0; j < R::COUNT; j++) {
    buffers[j] = store_of[2 + j];
    load(buffers[j], b[j], n);
  }
  R::template run<T>(whole, store_of[0], store_of[1], buffers, c, power);
  store(p, store_of[0], n);
  for (int j = 0; j < R::COUNT; j++) store(b[j], buffers[j], n);
}
template <class R, class T, bool SAME> struct Direct {
  template <class P, class B>
  static Size run(Size, P*, const P*, B* const*, const T*, const Power&) { return 0; }
};
template <class R, class T> struct Direct<R, T, true> {
  static Size run(Size n, T* p, const T* g, T* const* b, const T* c, const Power& power) {
    const Size whole = n / LANES * LANES;
    for (Size o = 0; o < whole; o += R::SPAN) {
      T* at_b[R::COUNT];
      for (int j = 0; j < R::COUNT; j++) at_b[j] = b[j] + o;
      const Size left = whole - o;
      R::template run<T>(left < R::SPAN ? left : (Size)R::SPAN, p + o, g + o, at_b, c, power);
    }
    return whole;
  }
};

template <class R, class T, class P, class B> static void share(const Task* task) {
  const Power power(task->numbers[6]);
  T c[NUMBERS];
  for (Size j = 0; j < task->count; j++) c[j] = (T)task->numbers[j];
  Size total = 0;
  for (Size k = 0; k < task->tensors; k++) total += (task->sizes[k] + PIECE - 1) / PIECE;
  const Size from = total * task->rank / task->ranks, to = total * (task->rank + 1) / task->ranks;
  Size first = 0;  // piece at which tensor k begins
  for (Size k = 0; k < task->tensors && first < to; k++) {
    const Size size = task->sizes[k], pieces = (size + PIECE - 1) / PIECE;
    const Size begin = (from > first ? from - first : 0) * PIECE;
    const Size end = to - first < pieces ? (to - first) * PIECE : size;
    first += pieces;
    if (begin >= end) continue;
    void** row = task->rows + k * (2 + R::COUNT);
    P* p = (P*)row[0] + begin;
    const P* g = (const P*)row[1] + begin;
    B* b[R::COUNT];
    for (int j = 0; j < R::COUNT; j++) b[j] = (B*)row[2 + j] + begin;
    const Size n = end - begin;
    for (Size o = Direct<R, T, Same<P, B>::yes>::run(n, p, g, b, c, power); o < n; o += BLOCK) {
      B* at_b[R::COUNT];
      for (int j = 0; j < R::COUNT; j++) at_b[j] = b[j] + o;
      copied<R, T>(n - o < BLOCK ? n - o : BLOCK, p + o, g + o, at_b, c, power);
    }
  }
}

typedef void (*Share)(const Task*);
template <class R> static Share chosen(int types) {
  switch (types) {
    case 0: return share<R, float, float, float>;
    case 1: return share<R, double, double, double>;
    case 2: return share<R, float, Bf16, Bf16>;
    case 3: return share<R, float, Bf16, float>;
    case 4: return share<R, float, F16, F16>;
    case 5: return share<R, float, F16, float>;
    case 6: return share<R, float, float, Bf16>;
    case 7: return share<R, float, float, F16>;
    case 8: return share<R, double, float, double>;
    default: return nullptr;
  }
}

struct Work { Share share; Task task; };
#ifdef _WIN32
typedef HANDLE Thread;
static DWORD WINAPI begin(void* work) { ((Work*)work)->share(&((Work*)work)->task); return 0; }
static bool launch(Thread* t, Work* w) { return (*t = CreateThread(0, 0, begin, w, 0, 0)) != 0; }
static void finish(Thread t) { WaitForSingleObject(t, INFINITE); CloseHandle(t); }
#else
typedef pthread_t Thread;
static void* begin(void* work) { ((Work*)work)->share(&((Work*)work)->task); return nullptr; }
static bool launch(Thread* t, Work* w) { return pthread_create(t, nullptr, begin, w) == 0; }
static void finish(Thread t) { pthread_join(t, nullptr); }
#endif

// 0 if it was done. `types` is a place in the list of `chosen`.
EXPORTED int one_pass(int rule, int types, Size tensors, const Size* sizes, void** rows,
                      const double* numbers, Size count, Size threads) {
  const int most_threads = 256;
  if (count < 7 || count > NUMBERS) return 2;
  Share share = nullptr;
  switch (rule) {
    case 0: share = chosen<Dana>(types); break;
    case 1: share = chosen<Adana>(types); break;
    case 2: share = chosen<Mk4>(types); break;
    case 3: share = chosen<Ademamix>(types); break;
    case 4: share = chosen<Star>(types); break;
  }
  if (!share) return 1;
  if (threads > most_threads) threads = most_threads;
  if (threads < 1) threads = 1;
  Work work[most_threads];
  Thread started[most_threads];
  bool running[most_threads];
  for (Size k = threads - 1; k >= 0; k--) {  // the last is this thread's own
    work[k].share = share;
    const Task task = {tensors, sizes, rows, numbers, count, k, threads};
    work[k].task = task;
    running[k] = k > 0 && launch(&started[k], &work[k]);
    if (!running[k]) share(&work[k].task);
  }
  for (Size k = 1; k < threads; k++)
    if (running[k]) finish(started[k]);
  return 0;
}
