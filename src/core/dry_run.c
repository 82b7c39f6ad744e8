/* SPDX-License-Identifier: MIT
 * dry_run.c - running a program without computing, to learn what memory it will need. */
#include <tarn/dry_run.h>

#include <stdio.h>

#include "core/pool.h"
#include "core/system.h"

static const size_t grain = (size_t)64 * 1024; /* of min_capacity */

typedef struct dry_run {
    tarn_status (*program)(tarn_manager *tm, void *context);
    void *context;
    tarn_pool_options pool;
    tarn_manager_options manager;
    char *message;
    size_t size;
} dry_run;

/* Says who failed, where nobody else has. */
static tarn_status tell(const dry_run *d, tarn_status status, const char *who)
{
    if (d->size > 0) (void)snprintf(d->message, d->size, "%s: %s", who, tarn_status_text(status));
    return status;
}

/* Runs the program with a cap (0: none). */
static tarn_status run(const dry_run *d, size_t cap, tarn_pool_stats *stats)
{
    tarn_pool_options options = d->pool;
    tarn_manager_options manager_options = d->manager;
    tarn_status status;
    options.max_capacity = cap;
    options.system = &tarn__system_dry;
    if (cap != 0 && options.initial_capacity > cap) return TARN_ENOMEM;
    tarn_pool *pool = tarn_pool_create(&options, &status);
    if (pool == NULL) return tell(d, status, "the pool's options");
    (void)tarn_pool_set_max_capacity(pool, cap); /* whatever the environment says */
    manager_options.pool = pool;
    manager_options.dry_run = true;
    tarn_manager *tm = tarn_manager_create(&manager_options);
    status = tm == NULL ? TARN_ENOMEM : d->program(tm, d->context);
    if (status == TARN_OK) status = tarn_error_code(tm);
    if (status != TARN_OK) {
        const char *text = tarn_error_message(tm);
        if (text[0] != '\0' && d->size > 0) (void)snprintf(d->message, d->size, "%s", text);
        else (void)tell(d, status, "the program");
    }
    *stats = tarn_pool_get_stats(pool);
    (void)tarn_manager_destroy(tm);
    tarn__pool_end(pool);
    return status;
}

/* Halves the distance between a cap that suffices and one that does not, until it is one grain. */
static void search(const dry_run *d, tarn_dry_run_result *out)
{
    tarn_pool_stats stats;
    size_t low = 0, high = (out->reserved + grain - 1) / grain * grain; /* 0 bytes never suffice */
    dry_run quiet = {
        .program = d->program, .context = d->context, .pool = d->pool, .manager = d->manager
    };
    quiet.manager.on_error = NULL; /* to fail is part of the search */
    quiet.manager.on_unreleased = NULL;
    while (high - low > grain) {
        const size_t middle = low + (high - low) / grain / 2 * grain;
        out->runs++;
        if (run(&quiet, middle, &stats) == TARN_OK) high = middle;
        else low = middle;
    }
    out->min_capacity = high;
}

tarn_status tarn_dry_run(tarn_status (*program)(tarn_manager *tm, void *context), void *context,
                         const tarn_pool_options *pool, const tarn_manager_options *manager,
                         tarn_dry_run_result *out, char *message, size_t size)
{
    if (out != NULL) *out = (tarn_dry_run_result){ 0 };
    if (message != NULL && size > 0) message[0] = '\0';
    if (program == NULL || out == NULL) return TARN_EARG;
    const dry_run d = { .program = program,
                        .context = context,
                        .pool = pool != NULL ? *pool : (tarn_pool_options){ 0 },
                        .manager = manager != NULL ? *manager : (tarn_manager_options){ 0 },
                        .message = message,
                        .size = message != NULL ? size : 0 };
    const tarn_status status = run(&d, 0, &out->stats);
    if (status != TARN_OK) {
        *out = (tarn_dry_run_result){ 0 };
        return status;
    }
    out->runs = 1;
    out->reserved = out->stats.peak_reserved;
    out->in_use = out->stats.peak_in_use;
    search(&d, out);
    return TARN_OK;
}
