/* SPDX-License-Identifier: MIT
 * manager.c - the tensor manager: creation, end, objects, statistics. */
#include "core/manager.h"

#include <stdio.h>

#include <tarn/dry_run.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/runtime.h"
#include "core/size.h"
#include "core/system.h"

enum { FIRST_FRAMES = 8 };

/* ---- creation */

static void free_records(tarn_manager *tm)
{
    tarn_pool *pool = tm->pool;
    if (tm->cache != NULL) tarn__cache_leave(tm->cache);
    tarn__records_free(pool, tm->phases, tm->phase_room * sizeof(*tm->phases));
    tarn__records_free(pool, tm->frames, tm->n_frames * sizeof(*tm->frames));
    tarn__records_free(pool, tm, sizeof(*tm));
}

static tarn_manager *make_manager(tarn_pool *pool)
{
    tarn_manager *tm = tarn__records_alloc(pool, sizeof(*tm));
    if (tm == NULL) return NULL;
    tm->pool = pool;
    tm->frames = tarn__records_alloc(pool, FIRST_FRAMES * sizeof(*tm->frames));
    tm->n_frames = FIRST_FRAMES;
    tm->cache = tarn__cache_join(pool);
    if (tm->frames == NULL || tm->cache == NULL) {
        free_records(tm);
        return NULL;
    }
    tarn__slab_init(&tm->tensors, pool, sizeof(tarn_tensor));
    tarn__slab_init(&tm->storages, pool, sizeof(tarn__storage));
    tarn__slab_init(&tm->names, pool, TARN__TENSOR_NAME_BYTES);
    tarn__records_begin(tm);
    tarn__pool_lock(pool);
    pool->n_users++;
    tarn__pool_unlock(pool);
    return tm;
}

static void set_options(tarn_manager *tm, const tarn_manager_options *o)
{
    tm->owns_pool = o->pool == NULL;
    tm->seed = o->seed;
    tm->on_error = o->on_error;
    tm->on_unreleased = o->on_unreleased;
    tm->context = o->context;
    tm->tags = o->track_allocations != TARN_OFF && tm->pool->options.track_stats != TARN_OFF;
    tm->scopes_own = o->auto_release != TARN_OFF;
    tm->dry = o->dry_run;
    tm->time_calls = o->time_calls;
    tm->measure_phases = o->measure_phases;
    tm->reuse_handles = tm->pool->options.checking != TARN_CHECK_FULL;
    tm->zero_at_once = tm->pool->options.zero_policy == TARN_ZERO_AT_ONCE;
    tm->place = (tarn__place){ "", "", TARN_KIND_DATA };
}

/* A pool of the manager's own; a dry one reserves addresses alone. */
static tarn_pool *make_pool(const tarn_manager_options *o)
{
    tarn_pool_options options = { 0 };
    if (o->pool_options != NULL) options = *o->pool_options;
    if (o->dry_run) options.system = &tarn__system_dry;
    return tarn_pool_create(&options, NULL);
}

tarn_manager *tarn_manager_create(const tarn_manager_options *options)
{
    static const tarn_manager_options defaults;
    const tarn_manager_options *o = options != NULL ? options : &defaults;
    if (o->pool != NULL && o->pool_options != NULL) return NULL;
    tarn__runtime_first_manager();
    tarn_pool *pool = o->pool != NULL ? o->pool : make_pool(o);
    if (pool == NULL) return NULL;
    tarn_manager *tm = make_manager(pool);
    if (tm == NULL) {
        if (o->pool == NULL) tarn__pool_end(pool);
        return NULL;
    }
    set_options(tm, o);
    return tm;
}

bool tarn_is_dry_run(const tarn_manager *tm) { return tm != NULL && tm->dry; }

/* ---- end */

/* float32 "hidden" [4,8] by tanh of l1 (saved), retained and not released */
static void tell_unreleased(const tarn_manager *tm, const tarn_tensor *t)
{
    char text[TARN__DESCRIPTION_BYTES], line[TARN__DESCRIPTION_BYTES + 256];
    const tarn__block *block = t->storage != NULL ? t->storage->block : NULL;
    const tarn__tag *tag =
        block != NULL && block->tag != 0 ? tarn__tag_at(tm->pool, block->tag) : NULL;
    const int n = snprintf(line, sizeof(line), "%s %s",
                           tarn_dtype_name((tarn_dtype)t->layout.dtype), tarn__describe(t, text));
    char *end = line + (n > 0 ? n : 0);
    const size_t room = sizeof(line) - (size_t)(end - line);
    if (tag != NULL)
        (void)snprintf(end, room, " by %s%s%s (%s), retained and not released", tag->operation,
                       tag->path[0] != '\0' ? " of " : "", tag->path,
                       tarn_kind_name((tarn_kind)tag->kind));
    else (void)snprintf(end, room, ", retained and not released");
    tm->on_unreleased(tm->context, line);
}

/* Ends one list of handles; those that tarn_retain holds are reported and counted. */
static size_t end_handles(tarn_manager *tm, tarn_tensor **list)
{
    size_t unreleased = 0;
    while (*list != NULL) {
        tarn_tensor *t = *list;
        if (t->retains > 0) {
            unreleased++;
            if (tm->on_unreleased != NULL) tell_unreleased(tm, t);
        }
        while (t->retains > 1) {
            t->retains--;
            tarn__unref(t);
        }
        if (t->retains == 1) tarn_release(t); /* frees it if nobody else owns it */
        if (*list == t) tarn__tensor_end(t, TARN__ENDED_BY_SCOPE);
    }
    return unreleased;
}

static void free_manager(tarn_manager *tm)
{
    tarn_pool *pool = tm->pool;
    const bool owns_pool = tm->owns_pool;
    TARN_ASSERT(tm->tensors.taken == 0 && tm->storages.taken == 0 && tm->names.taken == 0);
    tarn__slab_end(&tm->tensors);
    tarn__slab_end(&tm->storages);
    tarn__slab_end(&tm->names);
    tarn__records_end(tm);
    free_records(tm);
    tarn__pool_lock(pool);
    pool->n_users--;
    tarn__pool_unlock(pool);
    if (!owns_pool) return;
    tarn__pool_tell_leaks(pool);
    tarn__pool_end(pool);
}

size_t tarn_manager_destroy(tarn_manager *tm)
{
    if (tm == NULL) return 0;
    size_t unreleased = 0;
    tarn__default_manager_ends(tm);
    if (tm->recorder != NULL) tm->recorder->destroy(tm);
    while (tm->objects != NULL) tm->objects->destroy(tm->objects);
    for (uint32_t depth = tm->depth + 1; depth-- > 0;)
        unreleased += end_handles(tm, &tm->frames[depth].first);
    unreleased += end_handles(tm, &tm->retained);
    free_manager(tm);
    return unreleased;
}

/* ---- objects */

void *tarn__object_new(tarn_manager *tm, size_t bytes, void (*destroy)(tarn__object *))
{
    TARN_ASSERT(bytes >= sizeof(tarn__object));
    tarn__object *object = tarn__records_alloc(tm->pool, bytes);
    if (object == NULL) {
        (void)tarn__fail_memory(tm, "object", bytes);
        return NULL;
    }
    *object =
        (tarn__object){ .next = tm->objects, .manager = tm, .bytes = bytes, .destroy = destroy };
    object->serial = ++tm->objects_made;
    if (tm->objects != NULL) tm->objects->prev = object;
    tm->objects = object;
    return object;
}

void tarn__object_free(tarn__object *object)
{
    tarn_manager *tm = object->manager;
    *(object->prev != NULL ? &object->prev->next : &tm->objects) = object->next;
    if (object->next != NULL) object->next->prev = object->prev;
    tm->objects_ended++;
    tarn__records_free(tm->pool, object, object->bytes);
}

bool tarn__object_lives(const tarn_manager *tm, const tarn__object *object, uint64_t serial)
{
    for (const tarn__object *o = tm->objects; o != NULL; o = o->next)
        if (o == object) return o->serial == serial;
    return false;
}

/* ---- questions */

tarn_pool *tarn_manager_pool(const tarn_manager *tm) { return tm != NULL ? tm->pool : NULL; }
uint64_t tarn_manager_seed(const tarn_manager *tm) { return tm != NULL ? tm->seed : 0; }

static uint64_t list_length(const tarn_tensor *first)
{
    uint64_t n = 0;
    for (const tarn_tensor *t = first; t != NULL; t = t->next) n++;
    return n;
}

static uint64_t larger(int64_t a, int64_t b) { return (uint64_t)(a > b ? a : b); }

tarn_manager_stats tarn_manager_get_stats(const tarn_manager *tm)
{
    if (tm == NULL) return (tarn_manager_stats){ 0 };
    tarn_manager_stats stats = tm->stats;
    tarn__cache *c = tm->cache;
    const bool locked = tarn__cache_open(c);
    const uint64_t allocations = TARN__GET(c->allocations), releases = TARN__GET(c->releases);
    stats.created = allocations + tm->ever_adopted;
    stats.released = releases + tm->ever_adopted - tm->adopted;
    stats.active = allocations - releases + tm->adopted;
    stats.total_memory = (size_t)tarn__cache_usage(c) + tm->adopted_bytes;
    stats.peak = tm->peak_adopted + larger(TARN__GET(c->peak.live), TARN__GET(c->outer.live));
    stats.peak_memory = (size_t)(tm->peak_adopted_bytes +
                                 larger(TARN__GET(c->peak.usage), TARN__GET(c->outer.usage)));
    tarn__cache_close(c, locked);
    stats.acquire_ns = tm->acquire_ns;
    stats.release_ns = tm->release_ns;
    stats.handles = tm->tensors.taken;
    stats.root_handles = list_length(tm->frames[0].first);
    stats.tape_length = tm->recorder != NULL ? tm->recorder->length(tm) : 0;
    return stats;
}

/* The pool's peaks stay: they become earlier ones. */
void tarn_manager_reset_peaks(tarn_manager *tm)
{
    if (tm == NULL) return;
    tarn__cache *c = tm->cache;
    tarn__pool_lock(tm->pool);
    tarn__pool_stop(tm->pool);
    c->earlier = tarn__cache_peaks(c);
    c->outer = tarn__no_peaks;
    c->peak_resets++;
    tarn__peaks_set(c);
    tm->peak_adopted = tm->adopted;
    tm->peak_adopted_bytes = tm->adopted_bytes;
    tarn__pool_unlock(tm->pool);
}
