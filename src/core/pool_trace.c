/* SPDX-License-Identifier: MIT
 * pool_trace.c - the ring of events, and copies of it for those who write files. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <string.h>

#include "core/clock.h"
#include "core/pool.h"
#include "core/size.h"

/* ---- the ring */

bool tarn__trace_begin(tarn_pool *pool)
{
    size_t bytes;
    pool->epoch = tarn__clock_ns();
    if (pool->options.trace_events == 0) return true;
    if (!tarn__size_mul(pool->options.trace_events, sizeof(tarn__event), &bytes)) return false;
    pool->events = tarn__system_take(pool, bytes);
    return pool->events != NULL;
}

void tarn__trace_stop(tarn_pool *pool)
{
    tarn__system_give(pool, pool->events, pool->options.trace_events * sizeof(tarn__event));
    tarn__system_give(pool, pool->phase_names, pool->phase_name_room * sizeof(*pool->phase_names));
}

static size_t in_use(const tarn_pool *pool)
{
    return pool->figures.reserved - tarn__pool_cached(pool);
}

/* The next event, filled in as far as all are alike. */
static tarn__event *next_event(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind)
{
    tarn__event *e = &pool->events[pool->n_events++ % pool->options.trace_events];
    *e = (tarn__event){ .ns = tarn__clock_ns() - pool->epoch,
                        .in_use = in_use(pool),
                        .reserved = pool->figures.reserved,
                        .thread = cache != NULL ? cache->number : 0,
                        .kind = (uint8_t)kind };
    return e;
}

void tarn__trace_block_event(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                             const tarn__block *block, bool hit)
{
    if (pool->events == NULL) return;
    tarn__event *e = next_event(pool, cache, kind);
    e->address = (uint64_t)(uintptr_t)tarn__block_data(pool, block);
    e->bytes = block->requested;
    e->capacity = block->capacity;
    e->id = block->id;
    e->tag = block->tag;
    e->hit = hit;
    if (kind == TARN__EVENT_RELEASE) e->in_use -= block->capacity; /* it is booked just after */
}

void tarn__trace_retag(tarn_pool *pool, const tarn__cache *cache, const tarn__block *block,
                       uint32_t before)
{
    if (pool->events == NULL) return;
    tarn__trace_block_event(pool, cache, TARN__EVENT_RETAG, block, false);
    pool->events[(pool->n_events - 1) % pool->options.trace_events].bytes = before;
}

void tarn__trace_region_event(tarn_pool *pool, tarn__event_kind kind, const tarn__region *region)
{
    if (pool->events == NULL) return;
    tarn__event *e = next_event(pool, NULL, kind);
    e->address = (uint64_t)(uintptr_t)region->memory;
    e->bytes = region->bytes;
}

void tarn__trace_other_event(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                             size_t bytes, uint32_t tag)
{
    if (pool->events == NULL) return;
    tarn__event *e = next_event(pool, cache, kind);
    e->bytes = bytes;
    e->tag = tag;
}

/* The number of a phase's name, made if need be. */
static uint32_t name_number(tarn_pool *pool, const char name[32])
{
    for (size_t i = 0; i < pool->n_phase_names; i++)
        if (memcmp(pool->phase_names[i], name, 32) == 0) return (uint32_t)i;
    if (pool->n_phase_names == pool->phase_name_room) {
        const size_t room = pool->phase_name_room == 0 ? 16 : pool->phase_name_room * 2;
        char(*names)[32] = tarn__system_take(pool, room * sizeof(*names));
        if (names == NULL) return 0;
        if (pool->n_phase_names > 0)
            memcpy(names, pool->phase_names, pool->n_phase_names * sizeof(*names));
        tarn__system_give(pool, pool->phase_names,
                          pool->phase_name_room * sizeof(*pool->phase_names));
        pool->phase_names = names;
        pool->phase_name_room = room;
    }
    memcpy(pool->phase_names[pool->n_phase_names], name, 32);
    return (uint32_t)pool->n_phase_names++;
}

void tarn__trace_phase(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                       const char name[32])
{
    if (pool->events == NULL) return;
    tarn__pool_lock(pool);
    tarn__trace_other_event(pool, cache, kind, 0, name_number(pool, name));
    tarn__pool_unlock(pool);
}

void tarn__trace_clear(tarn_pool *pool)
{
    tarn__pool_lock(pool);
    pool->n_events = 0;
    tarn__pool_unlock(pool);
}

/* ---- copies */

/* Memory for n items of a copy, at least one so that NULL is a failure. */
static void *take_items(tarn_pool *pool, size_t n, size_t bytes, bool *ok)
{
    size_t all;
    void *items = NULL;
    if (tarn__size_mul(n > 0 ? n : 1, bytes, &all)) items = tarn__report_take(pool, all);
    *ok = *ok && items != NULL;
    return items;
}

static void give_items(tarn_pool *pool, void *items, size_t n, size_t bytes)
{
    tarn__system_give(pool, items, (n > 0 ? n : 1) * bytes);
}

static void end_copies(tarn_pool *pool, tarn__trace *t)
{
    give_items(pool, t->events, t->n_events, sizeof(*t->events));
    give_items(pool, t->tags, t->n_tags, sizeof(*t->tags));
    give_items(pool, t->phase_names, t->n_phase_names, sizeof(*t->phase_names));
    give_items(pool, t->regions, t->n_regions, sizeof(*t->regions));
    give_items(pool, t->blocks, t->n_blocks, sizeof(*t->blocks));
    give_items(pool, t->buckets, t->n_buckets, sizeof(*t->buckets));
    *t = (tarn__trace){ 0 };
}

static void count_items(const tarn_pool *pool, tarn__trace *t)
{
    const size_t room = pool->options.trace_events;
    t->n_events = pool->n_events < room ? (size_t)pool->n_events : room;
    t->dropped = pool->n_events - t->n_events;
    t->n_tags = pool->n_tags;
    t->n_phase_names = pool->n_phase_names;
    t->n_buckets = tarn__pool_buckets(pool, NULL, 0);
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next) {
        t->n_regions++;
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling) t->n_blocks++;
    }
}

/* Regions as they were reserved, the first one first; blocks by address, which is the opposite
 * order of their list. */
static void copy_regions(const tarn_pool *pool, tarn__trace *t)
{
    size_t n = 0, i = t->n_regions;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next) {
        tarn__trace_region *to = &t->regions[--i];
        *to = (tarn__trace_region){ (uint64_t)(uintptr_t)r->memory, r->bytes, 0, 0 };
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling) to->n_blocks++;
    }
    for (i = 0; i < t->n_regions; i++) {
        t->regions[i].first_block = n;
        n += t->regions[i].n_blocks;
    }
    i = t->n_regions;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next) {
        const tarn__trace_region *to = &t->regions[--i];
        size_t at = to->first_block + to->n_blocks;
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling) {
            const bool live = b->state == TARN__BLOCK_IN_USE;
            t->blocks[--at] = (tarn__trace_block){
                .address = (uint64_t)(uintptr_t)tarn__block_data(pool, b),
                .bytes = live ? b->requested : 0,
                .capacity = b->capacity,
                .id = b->id,
                .tag = b->tag,
                .in_use = live,
            };
        }
    }
}

static tarn_status take(tarn_pool *pool, tarn__trace *out)
{
    tarn__trace t = { 0 };
    bool ok = true;
    tarn__pool_lock(pool);
    tarn__pool_stop(pool);
    t.stats = tarn__pool_stats_now(pool);
    t.now = tarn__clock_ns() - pool->epoch;
    count_items(pool, &t);
    t.events = take_items(pool, t.n_events, sizeof(*t.events), &ok);
    t.tags = take_items(pool, t.n_tags, sizeof(*t.tags), &ok);
    t.phase_names = take_items(pool, t.n_phase_names, sizeof(*t.phase_names), &ok);
    t.regions = take_items(pool, t.n_regions, sizeof(*t.regions), &ok);
    t.blocks = take_items(pool, t.n_blocks, sizeof(*t.blocks), &ok);
    t.buckets = take_items(pool, t.n_buckets, sizeof(*t.buckets), &ok);
    if (ok) {
        for (size_t i = 0; i < t.n_events; i++)
            t.events[i] = pool->events[(t.dropped + i) % pool->options.trace_events];
        for (uint32_t i = 0; i < t.n_tags; i++) tarn__tag_usage_of(pool, i, &t.tags[i]);
        if (t.n_phase_names > 0)
            memcpy(t.phase_names, pool->phase_names, t.n_phase_names * sizeof(*t.phase_names));
        (void)tarn__pool_buckets(pool, t.buckets, t.n_buckets);
        copy_regions(pool, &t);
    } else {
        end_copies(pool, &t);
    }
    tarn__pool_unlock(pool);
    *out = t;
    return ok ? TARN_OK : TARN_ENOMEM;
}

/* The lock, and memory for the copy, are not part of what is constant. */
tarn_status tarn__trace_take(const tarn_pool *pool, tarn__trace *out)
{
    return take((tarn_pool *)pool, out);
}

static void end(tarn_pool *pool, tarn__trace *trace)
{
    tarn__pool_lock(pool);
    end_copies(pool, trace);
    tarn__pool_unlock(pool);
}

void tarn__trace_end(const tarn_pool *pool, tarn__trace *trace) { end((tarn_pool *)pool, trace); }

size_t tarn__pool_report_options(const tarn_pool *pool, char *text, size_t size)
{
    const size_t n = tarn__pool_options_print(&pool->options, text, size);
    const size_t more = strlen(pool->overrides.text);
    if (n + more < size) memcpy(text + n, pool->overrides.text, more + 1);
    return n + more;
}
