/* SPDX-License-Identifier: MIT
 * steady.c - whether a step left nothing behind and asked the system for nothing. */
#include <stdio.h>
#include <string.h>

#include "core/manager.h"
#include "core/pool.h"

enum { NAMED = 5 };

/* The handles that were made since `after` and hold memory: the first few, in words. */
typedef struct growth {
    uint64_t after;
    size_t n;
    char text[400];
} growth;

static void name_grown(void *context, const tarn_tensor_usage *tensor)
{
    growth *g = context;
    char what[TARN__DESCRIPTION_BYTES];
    if (tensor->sequence <= g->after || g->n++ >= NAMED) return;
    const size_t length = strlen(g->text);
    (void)snprintf(g->text + length, sizeof(g->text) - length, "%s%s%s%s by %s%s%s",
                   length > 0 ? ", " : "", tensor->is_view ? "a view " : "",
                   tarn__describe(tensor->tensor, what),
                   tensor->tensor->retains > 0 ? ", retained," : "",
                   tensor->operation[0] != '\0' ? tensor->operation : "unknown",
                   tensor->path[0] != '\0' ? " of " : "", tensor->path);
}

/* What was asked of the system: by all, if the pool serves this manager alone; else what this one
 * caused, blocks carved anew and records, because others may come and go. */
static uint64_t asked(const tarn_manager *tm, const tarn_pool_stats *s)
{
    tarn_pool *pool = tm->pool;
    tarn__pool_lock(pool);
    const uint64_t n_reports = pool->figures.reports;
    const bool alone = pool->n_users == 1;
    tarn__pool_unlock(pool);
    if (alone) return s->system_allocations - n_reports;
    uint64_t n = TARN__GET(tm->cache->misses) + tm->tensors.n_chunks + tm->storages.n_chunks +
                 tm->names.n_chunks;
    for (int i = 0; i < TARN__RECORD_SIZES; i++) n += tm->records[i].n_chunks;
    return n;
}

/* Pools that pass through ask the system for every block, and those that check in full whenever
 * blocks wait in quarantine: what was asked says nothing there. */
static bool may_ask(const tarn_pool *pool)
{
    return pool->options.mode == TARN_PASS_THROUGH || pool->options.checking == TARN_CHECK_FULL;
}

static tarn__steady measure(const tarn_manager *tm)
{
    const tarn_pool_stats s = tarn_pool_get_stats(tm->pool);
    const tarn__cache *c = tm->cache;
    const bool alone = tm->pool->n_users == 1;
    return (tarn__steady){
        .known = true,
        .sequence = tm->sequence,
        .handles = tm->tensors.taken,
        .tape_length = tm->recorder != NULL ? tm->recorder->length(tm) : 0,
        .system_allocations = may_ask(tm->pool) ? 0 : asked(tm, &s),
        .usage =
            (alone ? (int64_t)s.current_usage : tarn__cache_usage(c)) + (int64_t)tm->adopted_bytes,
        .live = alone ? (int64_t)s.live_blocks : tarn__cache_live(c),
    };
}

/* What the figures alone do not say. */
static const char *remark(const growth *g, const tarn__steady *before, const tarn__steady *now)
{
    if (g->n > 0) return g->n > NAMED ? " and more" : "";
    if (now->live > before->live) return "; a block of tarn_pool_acquire was not released";
    if (now->system_allocations > before->system_allocations)
        return "; shapes seen for the first time are carved from new memory";
    return "";
}

static tarn_status report(tarn_manager *tm, const tarn__steady *before, const tarn__steady *now)
{
    growth g = { .after = before->sequence };
    (void)tarn_manager_each_tensor(tm, name_grown, &g);
    return tarn__fail(
        tm, TARN_ESTATE,
        "tarn_expect_steady: since the last call: tensors %+lld, bytes %+lld, blocks "
        "%+lld, recorded operations %+lld, system allocations %+lld%s%s%s",
        (long long)(now->handles - before->handles), (long long)(now->usage - before->usage),
        (long long)(now->live - before->live), (long long)(now->tape_length - before->tape_length),
        (long long)(now->system_allocations - before->system_allocations),
        g.n > 0 ? "; new and alive: " : "", g.text, remark(&g, before, now));
}

tarn_status tarn_expect_steady(tarn_manager *tm)
{
    if (tm == NULL) return TARN_EARG;
    const tarn__steady before = tm->steady;
    tm->steady = measure(tm);
    const tarn__steady *now = &tm->steady;
    if (!before.known) return TARN_OK;
    const bool grew = now->handles > before.handles || now->usage > before.usage ||
                      now->live > before.live || now->tape_length > before.tape_length ||
                      now->system_allocations > before.system_allocations;
    if (!grew) return TARN_OK;
    const tarn_status status = report(tm, &before, now);
    tm->steady.known = false;
    return status;
}
