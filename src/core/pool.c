/* SPDX-License-Identifier: MIT
 * pool.c - a pool's life, and acquiring and releasing blocks by those who are no manager. */
#include "core/pool.h"

#include <string.h>

#include "core/assert.h"
#include "core/size.h"
#include "core/system.h"

static const size_t default_cache = (size_t)64 * 1024 * 1024;

/* ---- creation and end */

static tarn_system system_of(const tarn_pool_options *options)
{
    if (options->system != NULL) return *options->system;
    return options->mode == TARN_PASS_THROUGH ? tarn__system_exact : tarn__system_default;
}

static unsigned log2_of(size_t power)
{
    return 63u - (unsigned)__builtin_clzll((unsigned long long)power);
}

/* Completes a zeroed pool; false if memory is short. */
static bool begin(tarn_pool *pool, const tarn_pool_options *options)
{
    pool->options = *options;
    pool->options.system = NULL;
    pool->shift = log2_of(options->alignment);
    pool->step = pool->idle_since = 1; /* 0 is long ago */
    pool->zone = options->checking == TARN_CHECK_FULL ? options->alignment : 0;
    pool->figures.system_allocations = 1;
    pool->figures.metadata = sizeof(*pool);
    for (unsigned c = 0; c < TARN__N_CLASSES; c++)
        pool->buckets[c].capacity = tarn__class_quanta(c) << pool->shift;
    tarn__slab_init(&pool->regions_slab, pool, sizeof(tarn__region));
    pool->regions_slab.locked = true;
    pool->common.pool = pool;
    pool->common.shift = pool->shift;
    pool->common.outer = pool->common.earlier = tarn__no_peaks;
    return tarn__tags_begin(pool) && tarn__trace_begin(pool) && tarn__reserve_initial(pool);
}

static tarn_pool *make_pool(const tarn_pool_options *options, const tarn__overrides *overrides)
{
    const tarn_system system = system_of(options);
    tarn_pool *pool = system.reserve(system.context, sizeof(*pool));
    if (pool == NULL) return NULL;
    pool->system = system;
    pool->overrides = *overrides;
    (void)pthread_mutex_init(&pool->lock, NULL);
    tarn__pool_known(pool);
    if (begin(pool, options)) return pool;
    tarn__pool_end(pool);
    return NULL;
}

void tarn__pool_end(tarn_pool *pool)
{
    const tarn_system system = pool->system;
    tarn__cache *direct = TARN__GET(pool->direct);
    if (direct != NULL) tarn__cache_leave(direct);
    tarn__pool_lock(pool);
    if (pool->zone > 0) tarn__quarantine_drain(pool, 0);
    tarn__arrays_end(pool);
    tarn__trace_stop(pool);
    tarn__tags_end(pool);
    tarn__system_give(pool, pool->common.tags, pool->common.n_tags * sizeof(tarn__tag_count));
    tarn__pool_forgotten(pool);
    tarn__regions_end(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_mutex_destroy(&pool->lock);
    system.release(system.context, pool, sizeof(*pool));
}

tarn_pool *tarn_pool_create(const tarn_pool_options *options, tarn_status *status)
{
    tarn_pool_options completed = options != NULL ? *options : (tarn_pool_options){ 0 };
    tarn__overrides overrides;
    tarn_pool *pool = NULL;
    tarn_status result = tarn__pool_options_complete(&completed, &overrides);
    if (result == TARN_OK) {
        pool = make_pool(&completed, &overrides);
        if (pool == NULL) result = TARN_ENOMEM;
    }
    if (status != NULL) *status = result;
    return pool;
}

static void tell_leak(void *context, const tarn_block_usage *block)
{
    tarn_pool *pool = context;
    tarn__mistake(pool, "leak: block %u of %zu bytes%s%s%s%s (%s) was never released", block->id,
                  block->bytes, block->path[0] != '\0' ? " of " : "", block->path,
                  block->operation[0] != '\0' ? " by " : "", block->operation,
                  tarn_kind_name(block->kind));
}

size_t tarn__pool_tell_leaks(tarn_pool *pool)
{
    return tarn_pool_each_block(pool, tell_leak, pool);
}

tarn_status tarn_pool_destroy(tarn_pool *pool)
{
    if (pool == NULL) return TARN_OK;
    tarn__pool_lock(pool);
    const bool used = pool->n_users > 0;
    tarn__pool_unlock(pool);
    if (used) return TARN_ESTATE;
    if (tarn__pool_tell_leaks(pool) > 0) return TARN_ESTATE;
    tarn__default_pool_ends(pool);
    tarn__pool_end(pool);
    return TARN_OK;
}

/* ---- direct callers */

/* An address that is this thread's own. */
static inline const void *this_thread(void)
{
    static _Thread_local char place __attribute__((tls_model("initial-exec")));
    return &place;
}

/* The cache of this thread, or NULL. */
static inline tarn__cache *own_cache(const tarn_pool *pool)
{
    if (atomic_load_explicit(&pool->direct_thread, memory_order_acquire) != this_thread())
        return NULL;
    return TARN__GET(pool->direct);
}

/* The same; the first caller gets one. */
static tarn__cache *direct_cache(tarn_pool *pool)
{
    const void *nobody = NULL;
    tarn__cache *cache = own_cache(pool);
    if (cache != NULL || TARN__GET(pool->direct_thread) != NULL) return cache;
    if (!atomic_compare_exchange_strong(&pool->direct_thread, &nobody, this_thread())) return NULL;
    cache = tarn__cache_join(pool);
    TARN__SET(pool->direct, cache);
    return cache;
}

/* As two stores of 16 bytes: callers pass blocks on by value, which compilers do by loads of 16
 * bytes, and those wait long for what was stored in pieces. */
static inline void write_block(tarn_block *out, const tarn__block *block, void *data)
{
    typedef uint64_t pair __attribute__((vector_size(16)));
    _Static_assert(sizeof(tarn_block) == 32 && offsetof(tarn_block, id) == 16, "two pairs");
    const pair first = { (uint64_t)(uintptr_t)data, block->requested };
    const pair second = { block->id, block->generation };
    memcpy(out, &first, sizeof(first));
    memcpy((unsigned char *)out + sizeof(first), &second, sizeof(second));
}

/* Whatever the quick path leaves out. */
static tarn_status acquire(tarn_pool *pool, size_t bytes, tarn_fill fill, tarn_block *out)
{
    if (out == NULL) return TARN_EARG;
    *out = (tarn_block){ 0 };
    if (pool == NULL || (fill != TARN_UNINITIALIZED && fill != TARN_ZEROED)) return TARN_EARG;
    tarn__cache *cache = direct_cache(pool);
    tarn__block *block;
    const tarn_status status = cache != NULL
                                   ? tarn__cache_acquire(cache, bytes, 0, &block)
                                   : tarn__cache_acquire_slow(&pool->common, bytes, 0, &block);
    if (status != TARN_OK) return status;
    if (fill == TARN_ZEROED) tarn__block_zero(cache != NULL ? cache : &pool->common, block);
    write_block(out, block, tarn__block_data(pool, block));
    return TARN_OK;
}

tarn_status tarn_pool_acquire(tarn_pool *pool, size_t bytes, tarn_fill fill, tarn_block *out)
{
    if (pool == NULL || out == NULL || fill != TARN_UNINITIALIZED)
        return acquire(pool, bytes, fill, out);
    tarn__cache *cache = own_cache(pool);
    tarn__block *block = cache != NULL ? tarn__cache_quick_acquire(cache, bytes, 0) : NULL;
    if (block == NULL) return acquire(pool, bytes, fill, out);
    write_block(out, block, block->data);
    return TARN_OK;
}

/* True if the handle is that of a block in use. The generation of a block is new before it is in
 * use, and all else is its holder's. */
static bool is_held(const tarn_pool *pool, const tarn__block *block, const tarn_block *handle)
{
    return atomic_load_explicit(&block->state, memory_order_acquire) == TARN__BLOCK_IN_USE &&
           TARN__GET(block->generation) == handle->generation &&
           tarn__block_data(pool, block) == handle->data;
}

/* True if no block ever had this handle, as far as can be told. The lock is held: under it records
 * are given to blocks. */
static bool is_foreign(const tarn_pool *pool, const tarn__block *block, const tarn_block *handle)
{
    if (block == NULL || handle->generation == 0) return true;
    const uint64_t generation = TARN__GET(block->generation);
    if (handle->generation != generation) return handle->generation > generation;
    return TARN__GET(block->state) != TARN__BLOCK_VOID &&
           handle->data != tarn__block_data(pool, block);
}

/* Says why a release cannot be. */
static tarn_status refuse(tarn_pool *pool, const tarn__block *block, const tarn_block *handle)
{
    tarn__pool_lock(pool);
    const bool foreign = is_foreign(pool, block, handle);
    pool->figures.bad_releases++;
    tarn__mistake(pool, "bad release: block %u, %zu bytes at %p, %s", handle->id, handle->bytes,
                  handle->data, foreign ? "is not of this pool" : "was released before");
    tarn__pool_unlock(pool);
    return foreign ? TARN_EARG : TARN_ESTATE;
}

tarn_status tarn_pool_release(tarn_pool *pool, tarn_block handle)
{
    if (handle.data == NULL) return TARN_OK;
    if (pool == NULL) return TARN_EARG;
    tarn__block *block = tarn__block_of(pool, handle.id);
    if (block == NULL || !is_held(pool, block, &handle)) return refuse(pool, block, &handle);
    tarn__cache *cache = own_cache(pool);
    if (cache != NULL && tarn__cache_quick_release(cache, block)) return TARN_OK;
    cache = direct_cache(pool);
    return tarn__cache_release_slow(cache != NULL ? cache : &pool->common, block);
}

/* ---- limits */

/* What was reserved at creation comes on top: it was asked for. */
size_t tarn__cache_limit(const tarn_pool *pool)
{
    size_t limit = pool->options.cache_limit;
    if (limit == 0) limit = default_cache + pool->high_in_use;
    if (limit == TARN_NONE) limit = 0;
    if (!tarn__size_add(limit, pool->options.initial_capacity, &limit)) limit = SIZE_MAX;
    return limit;
}

size_t tarn_pool_trim(tarn_pool *pool, size_t keep_bytes)
{
    if (pool == NULL) return 0;
    tarn__pool_lock(pool);
    tarn__pool_note_cached(pool, NULL);
    tarn__pool_stop(pool);
    if (tarn__pool_cached(pool) > keep_bytes) tarn__pool_gather(pool);
    const size_t given = tarn__trim(pool, keep_bytes, UINT64_MAX);
    tarn__pool_unlock(pool);
    return given;
}

void tarn_pool_step(tarn_pool *pool)
{
    if (pool == NULL) return;
    tarn__cache *cache = direct_cache(pool);
    if (cache != NULL) tarn__cache_step(cache);
    else tarn__common_step(pool);
}

size_t tarn_pool_set_max_capacity(tarn_pool *pool, size_t bytes)
{
    if (pool == NULL) return 0;
    tarn__pool_lock(pool);
    const size_t before = pool->options.max_capacity;
    pool->options.max_capacity = bytes == 0 ? TARN_UNLIMITED : bytes;
    tarn__pool_unlock(pool);
    return before;
}

tarn_status tarn_pool_inject_faults(tarn_pool *pool, const tarn_faults *faults)
{
    if (pool == NULL) return TARN_EARG;
    const tarn_faults f = faults != NULL ? *faults : (tarn_faults){ 0 };
    if (!(f.probability >= 0 && f.probability <= 1)) return TARN_EARG;
    tarn__pool_lock(pool);
    tarn__pool_stop(pool);
    pool->faults = f;
    pool->fault_draws = 0;
    const bool armed = f.nth != 0 || f.probability > 0;
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) {
        if (armed) atomic_fetch_or(&c->special, TARN__FAULTS);
        else atomic_fetch_and(&c->special, ~(uint32_t)TARN__FAULTS);
    }
    tarn__pool_unlock(pool);
    return TARN_OK;
}

/* ---- questions */

tarn_pool_options tarn_pool_get_options(const tarn_pool *pool)
{
    if (pool == NULL) return (tarn_pool_options){ 0 };
    tarn__pool_lock((tarn_pool *)pool); /* which is not part of what is constant */
    const tarn_pool_options options = pool->options;
    (void)pthread_mutex_unlock((pthread_mutex_t *)&pool->lock);
    return options;
}

size_t tarn_pool_bucket_capacity(size_t count)
{
    static const uint16_t capacities[] = { 0,  1,  2,  3,  4,  5,  7,   8,   9,   10,  12,  15,
                                           16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024 };
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        if (count <= capacities[i]) return capacities[i];
    return count;
}

size_t tarn_pool_block_capacity(size_t bytes)
{
    if (bytes > PTRDIFF_MAX) return 0;
    if (bytes > TARN__SMALL_MAX) return tarn__large_rounded(6, bytes);
    const size_t quanta = bytes == 0 ? 1 : (bytes - 1) / TARN__QUANTUM + 1;
    return tarn__class_quanta(tarn__class_of(quanta)) * TARN__QUANTUM;
}
