/* manager.h - the tensor manager: makes tensors, counts their lives, and holds the open scopes, the
 * tape, the first error and the seed of all random numbers. One thread at a time. */
#ifndef TARN_MANAGER_H
#define TARN_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/export.h"
#include "tarn/pool.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

typedef struct tarn_manager tarn_manager;
typedef struct tarn_tensor tarn_tensor;

typedef struct tarn_manager_options {
    tarn_pool *pool; /* borrowed, to be destroyed after the manager; NULL, also when
                        tarn_pool_create has failed: a pool of its own */
    const tarn_pool_options *pool_options; /* of a pool of its own; NULL: every default */
    uint64_t seed; /* of initial weights, dropout, shuffling and random tensors */

    tarn_switch
        track_allocations;    /* default on. Off: blocks carry no tag but "other", and
                                 tarn_manager_each_tensor cannot say where a tensor came from */
    tarn_switch auto_release; /* default on. Off: scopes do not end tensors; whoever makes one
                                 calls tarn_release, or tarn_manager_destroy ends it */
    bool time_calls;     /* measure the time spent in acquiring and releasing: see the statistics.
                            Costs two readings of the clock a call, about 50 ns */
    bool measure_phases; /* open phases by itself: see usage.h. Costs two readings of the clock a
                            phase */
    bool dry_run;        /* do everything but compute: see dry_run.h */

    /* Told of the first error as it is recorded, and at destroy of each tensor that was retained
     * and not released. */
    void (*on_error)(void *context, tarn_status code, const char *message);
    void (*on_unreleased)(void *context, const char *description);
    void *context; /* passed to both; they may not call into tarn */
} tarn_manager_options;

/* The statistics: X(type, field, meaning). Tensors are handles that own or share memory; views are
 * counted apart. Adopted memory counts with its own peak, so that beside it `peak` and
 * `peak_memory` are upper bounds. */
#define TARN_MANAGER_STATS_LIST(X)                                      \
    X(uint64_t, created, "tensors made, views not counted")             \
    X(uint64_t, released, "tensors whose memory went back to the pool") \
    X(uint64_t, active, "tensors holding memory, now")                  \
    X(uint64_t, peak, "tensors holding memory, peak")                   \
    X(size_t, total_memory, "requested bytes they hold, now")           \
    X(size_t, peak_memory, "requested bytes they hold, peak")           \
    X(uint64_t, views, "views made")                                    \
    X(uint64_t, handles, "handles that exist, now")                     \
    X(uint64_t, root_handles, "handles owned by the root scope, now")   \
    X(uint64_t, retained, "handles that tarn_retain holds, now")        \
    X(uint64_t, tape_length, "operations on the tape, now")             \
    X(uint64_t, acquire_ns, "ns spent acquiring blocks (time_calls)")   \
    X(uint64_t, release_ns, "ns spent releasing blocks (time_calls)")

typedef struct tarn_manager_stats {
#define TARN_MANAGER_STATS_FIELD(type, field, meaning) type field;
    TARN_MANAGER_STATS_LIST(TARN_MANAGER_STATS_FIELD)
#undef TARN_MANAGER_STATS_FIELD
} tarn_manager_stats;

/* Makes a manager; NULL options mean every default. NULL when memory is short, when pool_options
 * are invalid, or when both pool and pool_options are given. The first manager of a process also
 * looks after the kernels of BLAS (see runtime.h). */
TARN_API TARN_NODISCARD tarn_manager *tarn_manager_create(const tarn_manager_options *options);

/* A manager of the process on the default pool, made on first use with every default; NULL if
 * memory is short. Like any manager it serves one thread at a time. tarn_manager_destroy ends it;
 * the next call makes another. */
TARN_API tarn_manager *tarn_manager_default(void);

/* Ends every tensor, module, optimiser and loader of the manager, gives all blocks back and, if the
 * pool is the manager's own, destroys it with every block. Returns how many handles were still
 * retained; options.on_unreleased names them. NULL does nothing. Not to be called inside a block
 * with TARN_SCOPE: its end would come after the manager's. */
TARN_API size_t tarn_manager_destroy(tarn_manager *tm);

/* The pool that the manager draws from; NULL for NULL. */
TARN_API tarn_pool *tarn_manager_pool(const tarn_manager *tm);

/* The seed it was made with. */
TARN_API uint64_t tarn_manager_seed(const tarn_manager *tm);

/* The figures of this moment; all zero for NULL. */
TARN_API tarn_manager_stats tarn_manager_get_stats(const tarn_manager *tm);

/* Sets both peaks to their current figure. */
TARN_API void tarn_manager_reset_peaks(tarn_manager *tm);

/* Writes the statistics as a table. Fails: TARN_EARG for NULL; TARN_EIO. */
TARN_API tarn_status tarn_manager_print_stats(const tarn_manager *tm, FILE *stream);

/* As tarn_pool_stats_json, of the manager's figures. */
TARN_API size_t tarn_manager_stats_json(const tarn_manager_stats *stats, char *text, size_t size);

/* ---- errors */

/* True while no error is held; false for NULL. */
TARN_API bool tarn_ok(const tarn_manager *tm);

/* The code of the error held; TARN_OK if none; TARN_EARG for NULL. */
TARN_API tarn_status tarn_error_code(const tarn_manager *tm);

/* The error held, in one line without a final newline; "" if none. Valid until the next
 * tarn_clear_error. */
TARN_API const char *tarn_error_message(const tarn_manager *tm);

/* Forgets the error held, so that work can go on. */
TARN_API void tarn_clear_error(tarn_manager *tm);

/* ---- scopes */

/* An open scope. Its fields are tarn's own. */
typedef struct tarn_scope {
    tarn_manager *manager;
    uint32_t depth;
    uint32_t serial;
} tarn_scope;

/* Opens a scope: until its end it owns every handle made. On failure (memory, nesting) the error is
 * held and the scope is empty: its handles belong to the enclosing one. */
TARN_API TARN_NODISCARD tarn_scope tarn_scope_begin(tarn_manager *tm);

/* Ends a scope and, first, every scope opened inside it and not ended. A second end does nothing.
 * Operations recorded in the scope leave the tape, unless a tensor that they computed was moved out
 * with tarn_escape. */
TARN_API void tarn_scope_end(tarn_scope scope);

/* Opens a scope in which operations are not recorded for backward; tarn_scope_end ends it. */
TARN_API TARN_NODISCARD tarn_scope tarn_no_grad_begin(tarn_manager *tm);

/* For the macros below. */
TARN_API void tarn_scope_cleanup(tarn_scope *scope);

#if defined(__GNUC__) || defined(__clang__)
#define TARN_SCOPE_NAME_(line) tarn_scope_of_line_##line
#define TARN_SCOPE_NAME(line) TARN_SCOPE_NAME_(line)
#define TARN_SCOPE_OPEN(open)                                                                   \
    __attribute__((cleanup(tarn_scope_cleanup), unused)) tarn_scope TARN_SCOPE_NAME(__LINE__) = \
        (open)

/* A declaration that opens a scope and ends it where the enclosing block is left: at its end, by
 * break, continue, return or goto. (C has no way for this without a compiler's help: gcc and clang
 * have it; elsewhere use begin and end.) */
#define TARN_SCOPE(tm) TARN_SCOPE_OPEN(tarn_scope_begin(tm))

/* The same with recording off: for evaluation. What is computed still lives until the scope ends:
 * open one for each batch. */
#define TARN_NO_GRAD(tm) TARN_SCOPE_OPEN(tarn_no_grad_begin(tm))
#endif

TARN_END_DECLS

#endif
