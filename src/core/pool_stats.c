/* SPDX-License-Identifier: MIT
 * pool_stats.c - the figures of a pool: sums over its caches, by tag, by bucket, by block. */
#include <string.h>

#include "core/pool.h"

/* ---- peaks */

const tarn__peaks tarn__no_peaks = { INT64_MIN, INT64_MIN, INT64_MIN };

void tarn__peaks_reach(tarn__cache *cache)
{
    const int64_t usage = tarn__cache_usage(cache), in_use = tarn__cache_in_use(cache);
    const int64_t live = tarn__cache_live(cache);
    TARN__RAISE(cache->peak.usage, usage);
    TARN__RAISE(cache->peak.in_use, in_use);
    TARN__RAISE(cache->peak.live, live);
}

void tarn__peaks_set(tarn__cache *cache)
{
    TARN__SET(cache->peak.usage, tarn__cache_usage(cache));
    TARN__SET(cache->peak.in_use, tarn__cache_in_use(cache));
    TARN__SET(cache->peak.live, tarn__cache_live(cache));
}

static void raise_peaks(tarn__peaks *to, const tarn__peaks *from)
{
    TARN__RAISE(to->usage, TARN__GET(from->usage));
    TARN__RAISE(to->in_use, TARN__GET(from->in_use));
    TARN__RAISE(to->live, TARN__GET(from->live));
}

tarn__peaks tarn__cache_peaks(const tarn__cache *cache)
{
    tarn__peaks peaks = tarn__no_peaks;
    raise_peaks(&peaks, &cache->peak);
    raise_peaks(&peaks, &cache->outer);
    raise_peaks(&peaks, &cache->earlier);
    return peaks;
}

static void add_peaks(tarn__peaks *to, const tarn__cache *cache)
{
    const tarn__peaks peaks = tarn__cache_peaks(cache);
    TARN__ADD(to->usage, TARN__GET(peaks.usage));
    TARN__ADD(to->in_use, TARN__GET(peaks.in_use));
    TARN__ADD(to->live, TARN__GET(peaks.live));
}

tarn__peaks tarn__pool_peaks(const tarn_pool *pool, bool *past)
{
    tarn__peaks sum = { 0 };
    add_peaks(&sum, &pool->common);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next) add_peaks(&sum, c);
    *past = TARN__GET(pool->past.in_use) > TARN__GET(sum.in_use);
    raise_peaks(&sum, &pool->past);
    return sum;
}

/* Bytes of a tag that were in use when a cache's peak was. */
static int64_t at_peak(const tarn__cache *cache, uint32_t tag)
{
    if (tag >= cache->n_tags) return 0;
    const tarn__tag_count *count = &cache->tags[tag];
    const bool now = tarn__cache_in_use(cache) > TARN__GET(cache->composed);
    return now ? TARN__GET(count->live) : TARN__GET(count->at_peak);
}

static int64_t at_sum_of_peaks(const tarn_pool *pool, uint32_t tag)
{
    int64_t bytes = at_peak(&pool->common, tag);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next) bytes += at_peak(c, tag);
    return bytes;
}

void tarn__pool_note_past(tarn_pool *pool)
{
    bool past;
    const tarn__peaks peaks = tarn__pool_peaks(pool, &past);
    raise_peaks(&pool->past, &peaks);
    if (past) return;
    for (uint32_t i = 0; i < pool->common.n_tags; i++)
        TARN__SET(pool->common.tags[i].at_past, at_sum_of_peaks(pool, i));
}

static size_t level(int64_t sum) { return sum > 0 ? (size_t)sum : 0; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static void reset_peaks(tarn__cache *cache)
{
    cache->outer = cache->earlier = tarn__no_peaks;
    cache->peak_resets++;
    tarn__peaks_set(cache);
    TARN__SET(cache->composed, INT64_MIN);
    TARN__SET(cache->lowest, tarn__cache_in_use(cache));
    for (uint32_t i = 0; i < cache->n_tags; i++)
        TARN__SET(cache->tags[i].peak, TARN__GET(cache->tags[i].live));
}

void tarn_pool_reset_peaks(tarn_pool *pool)
{
    if (pool == NULL) return;
    tarn__pool_lock(pool);
    tarn__pool_stop(pool);
    pool->past = (tarn__peaks){ 0 };
    reset_peaks(&pool->common);
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) reset_peaks(c);
    pool->figures.peak_reserved = pool->figures.reserved;
    pool->figures.peak_cached = tarn__pool_cached(pool);
    tarn__pool_unlock(pool);
}

/* ---- the statistics */

static void add_cache(tarn_pool_stats *s, int64_t *usage, int64_t *in_use, const tarn__cache *c)
{
    s->allocations += TARN__GET(c->allocations);
    s->misses += TARN__GET(c->misses);
    s->releases += TARN__GET(c->releases);
    s->memory_saved += TARN__GET(c->requested_out) - TARN__GET(c->missed_bytes);
    s->zeroed_bytes += TARN__GET(c->zeroed);
    s->zero_skipped_bytes += TARN__GET(c->zero_skipped);
    s->steps += TARN__GET(c->steps);
    s->held += tarn__cache_held(c);
    *usage += tarn__cache_usage(c);
    *in_use += tarn__cache_in_use(c);
}

/* The largest block in a bucket or cache. */
static size_t largest_free(const tarn_pool *pool)
{
    size_t largest = 0;
    for (size_t i = 0; i < TARN__N_BUCKETS; i++)
        if (pool->buckets[i].first != NULL) largest = larger(largest, pool->buckets[i].capacity);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next) {
        for (size_t i = 0; i < TARN__SMALL_CLASSES; i++)
            if (c->small[i] != NULL) largest = larger(largest, c->small[i]->capacity);
        for (size_t i = 0; i < TARN__LARGE_LISTS; i++)
            for (const tarn__block *b = c->large[i]; b != NULL; b = b->next)
                largest = larger(largest, b->capacity);
    }
    return largest;
}

tarn_pool_stats tarn__pool_stats_now(const tarn_pool *pool)
{
    const tarn__pool_figures *f = &pool->figures;
    tarn_pool_stats s = { 0 };
    int64_t usage = 0, in_use = 0;
    bool past;
    add_cache(&s, &usage, &in_use, &pool->common);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next)
        add_cache(&s, &usage, &in_use, c);
    const tarn__peaks peaks = tarn__pool_peaks(pool, &past);
    s.allocations -= f->handed_over;
    s.releases -= f->handed_over;
    s.memory_saved -= f->handed_bytes;
    s.pool_allocations = s.allocations - s.misses;
    s.current_usage = level(usage);
    s.in_use = level(in_use);
    s.live_blocks = s.allocations - s.releases;
    s.reserved = f->reserved;
    s.cached = s.reserved - s.in_use;
    s.largest_free = largest_free(pool);
    /* Sums of peaks at different times may be more than there ever was. */
    s.peak_in_use = smaller(level(TARN__GET(peaks.in_use)), f->peak_reserved);
    s.peak_usage = smaller(level(TARN__GET(peaks.usage)), s.peak_in_use);
    s.peak_live_blocks = level(TARN__GET(peaks.live));
    s.peak_reserved = f->peak_reserved;
    s.peak_cached = smaller(larger(f->peak_cached, s.cached), f->peak_reserved);
    s.adopted = f->adopted;
    s.metadata = f->metadata;
    s.total_allocated = f->total_allocated;
    s.system_allocations = f->system_allocations;
    s.system_releases = f->system_releases;
    s.trims = f->trims;
    s.trimmed_bytes = f->trimmed_bytes;
    s.decayed_bytes = f->decayed_bytes;
    s.window_rejects = f->window_rejects;
    s.retries = f->retries;
    s.failed_acquisitions = f->failed_acquisitions;
    s.bad_releases = f->bad_releases;
    s.damaged_blocks = f->damaged_blocks;
    s.dynamic_buckets = f->dynamic_buckets;
    if (s.allocations > 0) s.hit_ratio = (double)s.pool_allocations / (double)s.allocations;
    return s;
}

/* The lock is not part of what is constant. */
static tarn_pool *stop(const tarn_pool *constant)
{
    tarn_pool *pool = (tarn_pool *)constant;
    tarn__pool_lock(pool);
    tarn__pool_stop(pool);
    return pool;
}

tarn_pool_stats tarn_pool_get_stats(const tarn_pool *constant)
{
    if (constant == NULL) return (tarn_pool_stats){ 0 };
    tarn_pool *pool = stop(constant);
    tarn__pool_note_cached(pool, NULL);
    const tarn_pool_stats stats = tarn__pool_stats_now(pool);
    tarn__pool_unlock(pool);
    return stats;
}

tarn_pool_stats_difference tarn_pool_stats_subtract(const tarn_pool_stats *later,
                                                    const tarn_pool_stats *earlier)
{
    static const tarn_pool_stats zeros;
    const tarn_pool_stats *a = later != NULL ? later : &zeros;
    const tarn_pool_stats *b = earlier != NULL ? earlier : &zeros;
    tarn_pool_stats_difference d;
#define SUBTRACT_uint64_t(x, y) (int64_t)((x) - (y))
#define SUBTRACT_size_t(x, y) (int64_t)((x) - (y))
#define SUBTRACT_double(x, y) ((x) - (y))
#define SUBTRACT(kind, type, field, meaning) d.field = SUBTRACT_##type(a->field, b->field);
    TARN_POOL_STATS_LIST(SUBTRACT)
#undef SUBTRACT
    d.hit_ratio = d.allocations != 0 ? (double)d.pool_allocations / (double)d.allocations : 0.0;
    return d;
}

/* ---- by tag */

static void add_tag(tarn_tag_usage *row, int64_t *live, const tarn__cache *c, uint32_t tag)
{
    if (tag >= c->n_tags) return;
    const tarn__tag_count *count = &c->tags[tag];
    *live += TARN__GET(count->live);
    row->peak += level(TARN__GET(count->peak));
    row->acquired += TARN__GET(count->acquired);
}

void tarn__tag_usage_of(const tarn_pool *pool, uint32_t tag, tarn_tag_usage *row)
{
    const tarn__tag *t = tarn__tag_at(pool, tag);
    int64_t live = 0;
    bool past;
    *row = (tarn_tag_usage){ .kind = (tarn_kind)t->kind };
    memcpy(row->path, t->path, sizeof(row->path));
    memcpy(row->operation, t->operation, sizeof(row->operation));
    add_tag(row, &live, &pool->common, tag);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next) add_tag(row, &live, c, tag);
    (void)tarn__pool_peaks(pool, &past);
    const int64_t bytes = !past                       ? at_sum_of_peaks(pool, tag)
                          : tag < pool->common.n_tags ? TARN__GET(pool->common.tags[tag].at_past)
                                                      : 0;
    row->live = level(live);
    row->at_peak = level(bytes);
}

/* Counts the live blocks of every tag. */
static void count_blocks(const tarn_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_tags; i++) tarn__tag_at(pool, i)->live_blocks = 0;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next)
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling)
            if (TARN__GET(b->state) == TARN__BLOCK_IN_USE)
                tarn__tag_at(pool, b->tag)->live_blocks++;
}

/* Puts a row where it belongs among those that hold more, if it is among the first n. */
static void insert_row(tarn_tag_usage *rows, size_t n, size_t filled, const tarn_tag_usage *row)
{
    size_t i = filled;
    while (i > 0 && (rows[i - 1].at_peak < row->at_peak ||
                     (rows[i - 1].at_peak == row->at_peak && rows[i - 1].live < row->live)))
        i--;
    if (i >= n) return;
    if (filled == n) filled--;
    memmove(&rows[i + 1], &rows[i], (filled - i) * sizeof(*rows));
    rows[i] = *row;
}

size_t tarn_pool_get_tags(const tarn_pool *constant, tarn_tag_usage *rows, size_t n)
{
    if (constant == NULL || (rows == NULL && n > 0)) return 0;
    tarn_pool *pool = stop(constant);
    size_t filled = 0, found = 0;
    if (n > 0) count_blocks(pool);
    for (uint32_t i = 0; i < pool->n_tags; i++) {
        tarn_tag_usage row;
        tarn__tag_usage_of(pool, i, &row);
        if (row.acquired == 0) continue;
        found++;
        if (n == 0) continue;
        row.blocks = tarn__tag_at(pool, i)->live_blocks;
        insert_row(rows, n, filled, &row);
        if (filled < n) filled++;
    }
    tarn__pool_unlock(pool);
    return found;
}

/* ---- by bucket */

static void add_bucket_block(tarn_bucket_usage *row, const tarn__block *b)
{
    row->blocks++;
    row->in_use += b->state == TARN__BLOCK_IN_USE;
    row->acquired += b->generation - b->first_generation;
}

/* Rows lie in the order of their capacity, a class before a dynamic bucket; the last one gives way
 * where there is no room. It does not come back: those before it never leave. */
static size_t row_for(tarn_bucket_usage *rows, size_t *n, size_t room, const tarn__block *b)
{
    const bool is_dynamic = b->bucket >= TARN__N_CLASSES;
    size_t i = 0;
    while (i < *n && (rows[i].capacity < b->capacity ||
                      (rows[i].capacity == b->capacity && rows[i].is_dynamic < is_dynamic)))
        i++;
    if (i < *n && rows[i].capacity == b->capacity && rows[i].is_dynamic == is_dynamic) return i;
    if (i == room) return room;
    if (*n == room) --*n;
    memmove(&rows[i + 1], &rows[i], (*n - i) * sizeof(*rows));
    rows[i] = (tarn_bucket_usage){ .capacity = b->capacity, .is_dynamic = is_dynamic };
    ++*n;
    return i;
}

size_t tarn__pool_buckets(const tarn_pool *pool, tarn_bucket_usage *rows, size_t n)
{
    size_t found = 0, filled = 0;
    for (size_t i = 0; i < TARN__N_BUCKETS; i++) found += pool->buckets[i].n_blocks > 0;
    if (n == 0) return found;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next)
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling) {
            if (b->bucket == TARN__NO_BUCKET) continue;
            const size_t i = row_for(rows, &filled, n, b);
            if (i < n) add_bucket_block(&rows[i], b);
        }
    return found;
}

size_t tarn_pool_get_buckets(const tarn_pool *constant, tarn_bucket_usage *rows, size_t n)
{
    if (constant == NULL || (rows == NULL && n > 0)) return 0;
    tarn_pool *pool = stop(constant);
    const size_t found = tarn__pool_buckets(pool, rows, n);
    tarn__pool_unlock(pool);
    return found;
}

/* ---- by block */

size_t tarn_pool_each_block(const tarn_pool *constant,
                            void (*visit)(void *context, const tarn_block_usage *block),
                            void *context)
{
    if (constant == NULL) return 0;
    tarn_pool *pool = stop(constant);
    size_t n = 0;
    const tarn__region *last = pool->regions;
    while (last != NULL && last->next != NULL) last = last->next;
    for (const tarn__region *r = last; r != NULL; r = r->prev)
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling) {
            if (b->state != TARN__BLOCK_IN_USE) continue;
            const tarn__tag *tag = tarn__tag_at(pool, b->tag);
            tarn_block_usage row = { .id = b->id,
                                     .bytes = b->requested,
                                     .capacity = b->capacity,
                                     .kind = (tarn_kind)tag->kind };
            memcpy(row.path, tag->path, sizeof(row.path));
            memcpy(row.operation, tag->operation, sizeof(row.operation));
            n++;
            if (visit != NULL) visit(context, &row);
        }
    tarn__pool_unlock(pool);
    return n;
}
