/* usage.h - who holds what: memory by tag, what a peak was made of, what is alive, what a phase of
 * the work took, and whether a step left nothing behind. */
#ifndef TARN_USAGE_H
#define TARN_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/export.h"
#include "tarn/manager.h"
#include "tarn/pool.h"
#include "tarn/status.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- tags
 *
 * Every block carries a tag: the path of the module it was made in, the operation that made it, and
 * its kind. */

/* The kinds: X(code, name, meaning). */
#define TARN_KIND_LIST(X)                                                     \
    X(OTHER, "other", "acquired from the pool directly")                      \
    X(PARAMETER, "parameter", "of a module, buffers included")                \
    X(GRADIENT, "gradient", "of a parameter, leaf or intermediate")           \
    X(ACTIVATION, "activation", "a result that backward does not read")       \
    X(SAVED, "saved", "a result or operand that the tape keeps for backward") \
    X(OPTIMIZER, "optimizer", "state of an optimiser")                        \
    X(DATA, "data", "made by a factory, a file or a loader")                  \
    X(WORKSPACE, "workspace", "needed only while an operation runs")

typedef enum tarn_kind {
#define TARN_KIND_ENUM(code, name, meaning) TARN_KIND_##code,
    TARN_KIND_LIST(TARN_KIND_ENUM)
#undef TARN_KIND_ENUM
} tarn_kind;
enum { TARN_N_KINDS = 8 };

/* "parameter" and so on; "unknown" for any other number. Static storage. */
TARN_API const char *tarn_kind_name(tarn_kind kind);

enum { TARN_TAG_PATH_BYTES = 96, TARN_TAG_OPERATION_BYTES = 32 }; /* with the final NUL */

/* The memory of one tag, in bytes of whole blocks. */
typedef struct tarn_tag_usage {
    char path[TARN_TAG_PATH_BYTES]; /* such as "mlp.0"; "" outside modules */
    char operation[TARN_TAG_OPERATION_BYTES];
    tarn_kind kind;
    size_t live, peak; /* now, and at its own peak */
    size_t at_peak;    /* when the pool's bytes in use were at their peak: what the peak was made
                          of; the sum over all tags is peak_in_use, and with several managers an
                          upper bound like it */
    uint64_t blocks;   /* live blocks */
    uint64_t acquired; /* blocks that ever got the tag */
} tarn_tag_usage;

/* Writes up to n rows, those that held most at the peak first, and returns how many there are. Both
 * 0 for NULL. Rows may be NULL if n is 0. */
TARN_API size_t tarn_pool_get_tags(const tarn_pool *pool, tarn_tag_usage *rows, size_t n);

/* Writes what the peak was made of, by kind and by tag, as a table. Fails: TARN_EARG, TARN_ENOMEM,
 * TARN_EIO. */
TARN_API tarn_status tarn_pool_print_tags(const tarn_pool *pool, FILE *stream);

/* ---- buckets */

typedef struct tarn_bucket_usage {
    size_t capacity;   /* bytes of each block */
    uint64_t blocks;   /* blocks it has */
    uint64_t in_use;   /* of these */
    uint64_t acquired; /* acquisitions that these blocks served */
    bool is_dynamic;   /* an exact bucket for a repeated large size */
} tarn_bucket_usage;

/* Writes up to n rows, by capacity, of buckets that have blocks, and returns how many there are. */
TARN_API size_t tarn_pool_get_buckets(const tarn_pool *pool, tarn_bucket_usage *rows, size_t n);

/* ---- what is alive */

/* A live block of a pool. */
typedef struct tarn_block_usage {
    uint32_t id;
    size_t bytes, capacity; /* requested, and of the block */
    char path[TARN_TAG_PATH_BYTES];
    char operation[TARN_TAG_OPERATION_BYTES];
    tarn_kind kind;
} tarn_block_usage;

/* Calls visit for every live block, the oldest region first; it may not call into tarn. Returns how
 * many there are. */
TARN_API size_t tarn_pool_each_block(const tarn_pool *pool,
                                     void (*visit)(void *context, const tarn_block_usage *block),
                                     void *context);

/* A live tensor of a manager. */
typedef struct tarn_tensor_usage {
    const tarn_tensor *tensor;
    const char *name; /* "" without one */
    tarn_shape shape;
    tarn_dtype dtype;
    size_t bytes;      /* of its elements */
    bool is_view;      /* shares the memory of another tensor */
    uint64_t sequence; /* the manager's handles made up to this one */
    char path[TARN_TAG_PATH_BYTES];
    char operation[TARN_TAG_OPERATION_BYTES];
    tarn_kind kind;
} tarn_tensor_usage;

/* Calls visit for every handle that holds memory; it may not call into tarn. Returns how many there
 * are. */
TARN_API size_t tarn_manager_each_tensor(const tarn_manager *tm,
                                         void (*visit)(void *context,
                                                       const tarn_tensor_usage *tensor),
                                         void *context);

/* Writes the live tensors, the largest first, as a table: bytes, kind, name, shape, path and
 * operation. Fails: TARN_EARG, TARN_ENOMEM, TARN_EIO. */
TARN_API tarn_status tarn_manager_print_alive(const tarn_manager *tm, FILE *stream);

/* ---- phases: what a part of the work took */

/* The figures of a phase. Those of phases inside it are included. Where peaks are reset inside a
 * phase, its own begins there. */
typedef struct tarn_phase_usage {
    char name[32];
    uint64_t calls;              /* how often it was ended */
    double seconds;              /* in it, in total */
    size_t peak;                 /* the most bytes in use inside it, and */
    size_t peak_growth;          /* the most above what was in use at its begin */
    int64_t left;                /* bytes in use at its end minus those at its begin, summed */
    uint64_t acquired_bytes;     /* requested, in total */
    uint64_t allocations, hits;  /* acquisitions, and those of released blocks */
    uint64_t system_allocations; /* calls that reserved memory, records included */
} tarn_phase_usage;

/* An open phase. Its fields are tarn's own. */
typedef struct tarn_phase {
    tarn_manager *manager;
    uint32_t depth;
    uint32_t serial;
} tarn_phase;

/* Opens a phase (the name is copied, cut to 31 bytes; NULL and "" are "unnamed"). Phases nest, up
 * to 32 deep; their figures are those of this manager's acquisitions. With options.measure_phases
 * the library opens them by itself: "backward", "optimizer", "data", and for each layer its path
 * (the layers of an mlp, which do all of its work, have theirs). On failure the error is held and
 * the phase is empty. */
TARN_API TARN_NODISCARD tarn_phase tarn_phase_begin(tarn_manager *tm, const char *name);

/* Ends a phase and those opened inside it, adds its figures to those of its name, and returns the
 * figures of this time (calls is 1). A second end does nothing and returns zeros. */
TARN_API tarn_phase_usage tarn_phase_end(tarn_phase phase);

/* Writes up to n rows, in the order in which the names first appeared, and returns how many there
 * are. */
TARN_API size_t tarn_manager_get_phases(const tarn_manager *tm, tarn_phase_usage *rows, size_t n);

/* Writes them as a table. Fails: TARN_EARG, TARN_EIO. */
TARN_API tarn_status tarn_manager_print_phases(const tarn_manager *tm, FILE *stream);

/* For the macro below. */
TARN_API void tarn_phase_cleanup(tarn_phase *phase);

#if defined(__GNUC__) || defined(__clang__)
#define TARN_PHASE_NAME_(line) tarn_phase_of_line_##line
#define TARN_PHASE_NAME(line) TARN_PHASE_NAME_(line)
/* A declaration that opens a phase and ends it where the enclosing block is left. */
#define TARN_PHASE(tm, name)                                                                    \
    __attribute__((cleanup(tarn_phase_cleanup), unused)) tarn_phase TARN_PHASE_NAME(__LINE__) = \
        tarn_phase_begin(tm, name)
#endif

/* ---- the steady state */

/* Holds TARN_ESTATE, naming what grew, if since the last call the manager was left with more
 * tensors, bytes or recorded operations than before, or the system was asked for memory: by anybody
 * for a pool that serves this manager alone, else by this manager. (The system does not count for
 * pools that pass through or check in full, since asking it is what these do.) The first call after
 * creation, or after a failure, only takes the measure and succeeds. Call it at the end of each
 * step, outside the step's scope, from when each shape was seen twice on:
 *
 *     if (step >= 2 && tarn_expect_steady(tm) != TARN_OK) ...
 *
 * Fails also: TARN_EARG for NULL. */
TARN_API tarn_status tarn_expect_steady(tarn_manager *tm);

TARN_END_DECLS

#endif
