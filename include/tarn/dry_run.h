/* dry_run.h - how much memory a program will need, before it runs.
 *
 * A manager with options.dry_run does everything but compute: shapes are inferred and checked,
 * blocks acquired and released in the same order, errors are the same, but no kernel runs, elements
 * are not written and read as zeros, and the pool reserves addresses instead of memory. A program
 * that asks for the same tensors whatever their values therefore ends with the very statistics that
 * its real run will have. */
#ifndef TARN_DRY_RUN_H
#define TARN_DRY_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "tarn/export.h"
#include "tarn/manager.h"
#include "tarn/pool.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

/* What a program needs, in bytes. */
typedef struct tarn_dry_run_result {
    size_t reserved;       /* peak of reserved bytes without a cap */
    size_t in_use;         /* peak of bytes in use */
    size_t min_capacity;   /* a max_capacity with which the program succeeds, while with 64 KiB less
                              it fails for want of memory */
    size_t runs;           /* how often the program was run to find out */
    tarn_pool_stats stats; /* of the run without a cap */
} tarn_dry_run_result;

/* Runs `program` with dry managers: once without a cap, and then with caps until min_capacity is
 * known. `pool` gives the pool's options for the real run (NULL: every default; max_capacity and
 * system are ignored), `manager` the manager's (NULL: every default; pool and dry_run are ignored).
 * program makes everything anew with the manager that it is given, and returns an error other than
 * TARN_OK if it failed; an error held by the manager counts, too.
 * Fails: TARN_EARG; TARN_ENOMEM; what the program without a cap returned or its manager held, with
 * the message in `message` (size bytes, may be NULL). *out is then zero. */
TARN_API TARN_NODISCARD tarn_status
tarn_dry_run(tarn_status (*program)(tarn_manager *tm, void *context), void *context,
             const tarn_pool_options *pool, const tarn_manager_options *manager,
             tarn_dry_run_result *out, char *message, size_t size);

/* True for a manager made with options.dry_run; false for NULL. */
TARN_API bool tarn_is_dry_run(const tarn_manager *tm);

TARN_END_DECLS

#endif
