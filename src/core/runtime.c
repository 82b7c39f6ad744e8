/* SPDX-License-Identifier: MIT
 * runtime.c - judging and mending the kernels of BLAS; what the process runs on.
 *
 * Why OpenBLAS may choose badly: up to 0.3.24 its table of Intel models ends in a fall-through, so
 * that a model newer than the table is taken for the Pentium 4 "Prescott", whatever vectors it has.
 * The dispatcher takes the name of a core from the environment and can be run again; an unknown
 * name makes it choose something else, without a word. So names come from a table, and after each
 * attempt the core that really runs is compared. */
#define _POSIX_C_SOURCE 200809L

#include "core/runtime.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <tarn/runtime.h>
#include <tarn/version.h>

#include "core/cpu.h"
#include "core/simd.h"
#include "core/threads.h"

/* What can come of readying BLAS: X(outcome, state, reason). */
#define OUTCOME_LIST(X)                                                                           \
    X(UNTOUCHED, TARN_BLAS_UNTOUCHED, "nothing was tried yet")                                    \
    X(GOOD, TARN_BLAS_GOOD, "OpenBLAS chose kernels that use what the processor supports")        \
    X(NO_BETTER, TARN_BLAS_GOOD, "the processor supports neither AVX2 nor AVX-512")               \
    X(MENDED, TARN_BLAS_MENDED,                                                                   \
      "OpenBLAS chose kernels below what the processor supports; better ones replaced them")      \
    X(KEPT_OPTION, TARN_BLAS_KEPT, "the options of tarn_runtime_init ask to keep them")           \
    X(KEPT_VARIABLE, TARN_BLAS_KEPT, "TARN_BLAS_KERNELS=keep is set")                             \
    X(KEPT_CORETYPE, TARN_BLAS_KEPT, "OPENBLAS_CORETYPE is set, and the choice stands")           \
    X(THREADS, TARN_BLAS_THREADS,                                                                 \
      "better kernels exist, but other threads run: call tarn_runtime_init before starting them") \
    X(FOREIGN, TARN_BLAS_UNSUPPORTED, "this BLAS does not name its kernels; it is not OpenBLAS")  \
    X(FIXED, TARN_BLAS_UNSUPPORTED, "this OpenBLAS was built for one core (no DYNAMIC_ARCH)")     \
    X(NOT_X86, TARN_BLAS_UNSUPPORTED, "tarn knows only the kernels for x86 processors")           \
    X(FAILED, TARN_BLAS_FAILED,                                                                   \
      "OpenBLAS could not be made to use better kernels; its own choice was restored")

typedef enum outcome {
#define OUTCOME_ENUM(name, state, reason) OUTCOME_##name,
    OUTCOME_LIST(OUTCOME_ENUM)
#undef OUTCOME_ENUM
} outcome;

#define IGNORED \
    " (TARN_BLAS_KERNELS has an unknown value, which was ignored; known are keep and mend)"

static const struct outcome_text {
    tarn_blas_state state;
    const char *reason[2]; /* without and with a variable of unknown value */
} outcome_texts[] = {
#define OUTCOME_TEXT(name, state, reason) { state, { reason, reason IGNORED } },
    OUTCOME_LIST(OUTCOME_TEXT)
#undef OUTCOME_TEXT
};

/* Guarded by the lock. */
static struct runtime {
    tarn__cpu cpu;
    bool cpu_known;
    outcome outcome;
    bool variable_unknown;  /* TARN_BLAS_KERNELS had a value that tarn does not know */
    const char *found_core; /* NULL before tarn looked */
    char config[2][256]; /* OpenBLAS's line before and after mending; never changed once written */
} runtime;

/* Whether tarn_runtime_init or a first manager has been here. */
static atomic_bool readied;

/* The lock holds the id of the process that took it, 0 when free. A child that was forked while
 * another thread held the lock finds a foreign id, knows that nobody will ever release it, and
 * takes it over. It is held for microseconds, so that waiting is yielding. */
static atomic_long lock_holder;

static void lock(void)
{
    const long self = (long)getpid();
    for (;;) {
        long holder = 0;
        if (atomic_compare_exchange_strong(&lock_holder, &holder, self)) return;
        if (holder != self && atomic_compare_exchange_strong(&lock_holder, &holder, self)) return;
        (void)sched_yield();
    }
}

static void unlock(void) { atomic_store(&lock_holder, 0); }

static const tarn__cpu *known_cpu(void)
{
    if (!runtime.cpu_known) {
        runtime.cpu = tarn__cpu_detect();
        runtime.cpu_known = true;
    }
    return &runtime.cpu;
}

/* OpenBLAS's line, in a buffer of ours: OpenBLAS rewrites its own at each call. */
static const char *config_line(void)
{
    char *line = runtime.config[runtime.outcome == OUTCOME_MENDED];
    if (line[0] == '\0') tarn__blas_config(line, sizeof runtime.config[0]);
    return line;
}

enum { MAX_CANDIDATES = 3 };

/* Writes the names of the cores that the processor can run, the best first, and returns how many
 * there are. The later cores of OpenBLAS, Cooperlake and SapphireRapids, differ from SkylakeX only
 * in bfloat16 products, which tarn does not use: measured, their products in single and double
 * precision are equally fast. */
static int list_candidates(const tarn__cpu *cpu, const char *names[MAX_CANDIDATES])
{
    int n = 0;
    if (cpu->avx512) names[n++] = "SkylakeX";
    if (cpu->avx2 && cpu->amd) names[n++] = "Zen";
    if (cpu->avx2) names[n++] = "Haswell";
    return n;
}

/* Whether the kernels of a core use less than AVX2. A name that is not in the table is newer than
 * it: its kernels are left alone. */
static bool core_is_below_avx2(const char *core)
{
    static const char *const names[] = {
        "Katmai", "Coppermine",  "Northwood",    "Prescott",   "Banias",
        "Atom",   "Core2",       "Penryn",       "Dunnington", "Nehalem",
        "Athlon", "Opteron",     "Opteron_SSE3", "Barcelona",  "Nano",
        "Bobcat", "Sandybridge", "Bulldozer",    "Piledriver", "Steamroller"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(core, names[i]) == 0) return true;
    }
    return false;
}

/* The threads of this process; 0 if the system does not tell. */
static int count_threads(void)
{
    const struct dirent *entry;
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 0;
    while ((entry = readdir(tasks)) != NULL) n += entry->d_name[0] != '.';
    (void)closedir(tasks);
    return n;
}

/* Whether nobody can be inside BLAS: the process has the calling thread and BLAS's workers, which
 * work only while a product is under way. Only a running thread starts threads, so that this stays
 * true for as long as the caller does nothing else. The count of a thread that has just been joined
 * may still be there: then the answer is the cautious one. */
static bool process_is_alone(void)
{
    const int threads = count_threads();
    return threads == 1 || (threads > 1 && threads == 1 + tarn__blas_workers());
}

static outcome mend(const char *const *candidates, int n)
{
    for (int i = 0; i < n; i++) {
        if (tarn__blas_dispatch(candidates[i])) return OUTCOME_MENDED;
    }
    (void)tarn__blas_dispatch(NULL);
    return OUTCOME_FAILED;
}

/* What the environment says about keeping the kernels; OUTCOME_UNTOUCHED if nothing. getenv is
 * acceptable here only because no other thread may be changing the environment: see
 * tarn__blas_dispatch. */
static outcome read_environment(void)
{
    const char *kernels = getenv("TARN_BLAS_KERNELS");
    runtime.variable_unknown = false;
    if (kernels != NULL && strcmp(kernels, "keep") == 0) return OUTCOME_KEPT_VARIABLE;
    if (kernels != NULL && kernels[0] != '\0' && strcmp(kernels, "mend") != 0)
        runtime.variable_unknown = true;
    return getenv("OPENBLAS_CORETYPE") != NULL ? OUTCOME_KEPT_CORETYPE : OUTCOME_UNTOUCHED;
}

/* Judges the kernels and mends them if that is allowed. `alone`: no other thread uses BLAS or the
 * environment. */
static outcome ready_kernels(tarn_blas_kernels kernels, bool alone)
{
    const char *candidates[MAX_CANDIDATES];
    const tarn__cpu *cpu = known_cpu();
    const char *core = tarn__blas_core();
    const int n = list_candidates(cpu, candidates);
    outcome kept = OUTCOME_UNTOUCHED;

    if (runtime.outcome == OUTCOME_MENDED) return OUTCOME_MENDED;
    if (runtime.found_core == NULL) runtime.found_core = core;
    (void)config_line();

    if (core == NULL) return OUTCOME_FOREIGN;
    if (kernels == TARN_BLAS_KERNELS_KEEP) return OUTCOME_KEPT_OPTION;
    if (alone) kept = read_environment();
    if (kept != OUTCOME_UNTOUCHED) return kept;
    if (!cpu->x86) return OUTCOME_NOT_X86;
    if (!core_is_below_avx2(core)) return OUTCOME_GOOD;
    if (n == 0) return OUTCOME_NO_BETTER;
    if (!tarn__blas_can_dispatch()) return OUTCOME_FIXED;
    return alone ? mend(candidates, n) : OUTCOME_THREADS;
}

tarn_status tarn_runtime_init(const tarn_runtime_options *options)
{
    static const tarn_runtime_options defaults = { .kernels = TARN_BLAS_KERNELS_MEND };
    tarn_status status = TARN_OK;

    if (options == NULL) options = &defaults;
    if (options->threads < 0) return TARN_EARG;
    if (options->kernels != TARN_BLAS_KERNELS_MEND && options->kernels != TARN_BLAS_KERNELS_KEEP)
        return TARN_EARG;

    lock();
    runtime.outcome = ready_kernels(options->kernels, true);
    if (options->threads > 0) tarn__set_threads(options->threads);
    if (options->threads > 0 && !tarn__blas_set_threads(options->threads))
        status = TARN_EUNSUPPORTED;
    atomic_store(&readied, true);
    unlock();
    return status;
}

void tarn__runtime_first_manager(void)
{
    if (atomic_load_explicit(&readied, memory_order_acquire)) return;
    lock();
    if (!atomic_load(&readied)) {
        runtime.outcome = ready_kernels(TARN_BLAS_KERNELS_MEND, process_is_alone());
        atomic_store(&readied, true);
    }
    unlock();
}

tarn_runtime_info tarn_runtime_get_info(void)
{
    const char *candidates[MAX_CANDIDATES];
    const struct outcome_text *text;
    tarn_runtime_info info;

    lock();
    text = &outcome_texts[runtime.outcome];
    const tarn__cpu *cpu = known_cpu();
    info = (tarn_runtime_info){
        .version = TARN_VERSION,
        .blas = config_line(),
        .blas_core = tarn__blas_core(),
        .found_core = runtime.found_core,
        .best_core = list_candidates(cpu, candidates) > 0 ? candidates[0] : NULL,
        .blas_state = text->state,
        .blas_reason = text->reason[runtime.variable_unknown],
        .threads = tarn__threads(),
        .blas_threads = tarn__blas_get_threads(),
        .processors = (int)sysconf(_SC_NPROCESSORS_ONLN),
        .simd = tarn__cpu_simd(cpu),
        .kernels = tarn__simd_name(tarn__simd()),
        .math = tarn__simd_math(tarn__simd()),
    };
    unlock();
    return info;
}

tarn_status tarn_runtime_set_threads(int n)
{
    bool set;
    if (n < 1) return TARN_EARG;
    tarn__set_threads(n);
    lock();
    set = tarn__blas_set_threads(n);
    unlock();
    return set ? TARN_OK : TARN_EUNSUPPORTED;
}
