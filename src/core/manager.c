/* SPDX-License-Identifier: MIT
 * manager.c - the tensor manager: creation, end, objects, statistics. */
#include "core/manager.h"

#include <stdio.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/runtime.h"
#include "core/size.h"

enum { FIRST_FRAMES = 8 };

/* ---- creation */

static tarn_manager *make_manager(tarn_pool *pool)
{
    tarn_manager *tm = tarn__records_alloc(pool, sizeof(*tm));
    if (tm == NULL) return NULL;
    tm->frames = tarn__records_alloc(pool, FIRST_FRAMES * sizeof(*tm->frames));
    if (tm->frames == NULL) {
        tarn__records_free(pool, tm, sizeof(*tm));
        return NULL;
    }
    tm->n_frames = FIRST_FRAMES;
    tm->pool = pool;
    pool->n_users++;
    tarn__slab_init(&tm->tensors, pool, sizeof(tarn_tensor));
    tarn__slab_init(&tm->storages, pool, sizeof(tarn__storage));
    tarn__slab_init(&tm->names, pool, TARN__TENSOR_NAME_BYTES);
    return tm;
}

tarn_manager *tarn_manager_create(const tarn_manager_options *options)
{
    static const tarn_manager_options defaults;
    const tarn_manager_options *o = options != NULL ? options : &defaults;
    tarn__runtime_first_manager();
    tarn_pool *pool = o->pool != NULL ? o->pool : tarn_pool_create(NULL, NULL);
    if (pool == NULL) return NULL;
    tarn_manager *tm = make_manager(pool);
    if (tm == NULL) {
        if (o->pool == NULL) tarn__pool_end(pool);
        return NULL;
    }
    tm->owns_pool = o->pool == NULL;
    tm->seed = o->seed;
    tm->on_error = o->on_error;
    tm->on_unreleased = o->on_unreleased;
    tm->context = o->context;
    return tm;
}

/* ---- end */

/* Ends one list of handles; those that tarn_retain holds are reported and counted. */
static size_t end_handles(tarn_manager *tm, tarn_tensor **list)
{
    size_t unreleased = 0;
    while (*list != NULL) {
        tarn_tensor *t = *list;
        if (t->retains > 0) {
            char text[TARN__DESCRIPTION_BYTES], line[TARN__DESCRIPTION_BYTES + 64];
            unreleased++;
            (void)snprintf(line, sizeof(line), "%s %s, retained and not released",
                           tarn_dtype_name((tarn_dtype)t->layout.dtype), tarn__describe(t, text));
            if (tm->on_unreleased != NULL) tm->on_unreleased(tm->context, line);
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
    tarn__records_free(pool, tm->frames, tm->n_frames * sizeof(*tm->frames));
    tarn__records_free(pool, tm, sizeof(*tm));
    pool->n_users--;
    if (owns_pool) tarn__pool_end(pool);
}

size_t tarn_manager_destroy(tarn_manager *tm)
{
    if (tm == NULL) return 0;
    size_t unreleased = 0;
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
    if (tm->objects != NULL) tm->objects->prev = object;
    tm->objects = object;
    return object;
}

void tarn__object_free(tarn__object *object)
{
    tarn_manager *tm = object->manager;
    *(object->prev != NULL ? &object->prev->next : &tm->objects) = object->next;
    if (object->next != NULL) object->next->prev = object->prev;
    tarn__records_free(tm->pool, object, object->bytes);
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

tarn_manager_stats tarn_manager_get_stats(const tarn_manager *tm)
{
    if (tm == NULL) return (tarn_manager_stats){ 0 };
    tarn_manager_stats stats = tm->stats;
    stats.handles = tm->tensors.taken;
    stats.root_handles = list_length(tm->frames[0].first);
    stats.tape_length = tm->recorder != NULL ? tm->recorder->length(tm) : 0;
    return stats;
}

void tarn_manager_reset_peaks(tarn_manager *tm)
{
    if (tm == NULL) return;
    tm->stats.peak = tm->stats.active;
    tm->stats.peak_memory = tm->stats.total_memory;
}
