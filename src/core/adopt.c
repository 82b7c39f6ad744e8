/* SPDX-License-Identifier: MIT
 * adopt.c - tensors on memory that is not the pool's, and memory taken out of tensors. */
#include <stdint.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/pool.h"

/* A layout from public arguments; false with the error held. */
static bool make_layout(tarn_manager *tm, const char *caller, tarn_dtype dtype,
                        const tarn_shape *shape, tarn__layout *layout)
{
    const tarn_status status = tarn__layout_make(layout, dtype, shape);
    if (status != TARN_OK) (void)tarn__fail(tm, status, "%s: %s", caller, tarn_status_text(status));
    return status == TARN_OK;
}

static size_t bytes_of(const tarn__layout *layout)
{
    return (size_t)layout->numel * tarn_dtype_size((tarn_dtype)layout->dtype);
}

tarn_tensor *tarn_from_memory(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape, void *data,
                              size_t bytes, void (*free_memory)(void *context, void *data),
                              void *context)
{
    tarn__layout layout;
    if (tm == NULL || !make_layout(tm, "tarn_from_memory", dtype, &shape, &layout)) return NULL;
    const size_t needed = bytes_of(&layout);
    if (bytes < needed || (data == NULL && needed > 0)) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_from_memory: %zu bytes are needed, %zu are given%s",
                         needed, bytes, data == NULL ? " at NULL" : "");
        return NULL;
    }
    if ((uintptr_t)data % tarn_dtype_size(dtype) != 0) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_from_memory: %p is not aligned for %s", data,
                         tarn_dtype_name(dtype));
        return NULL;
    }
    return tarn__adopt(tarn__tensor_adopt(tm, &layout, data, bytes, free_memory, context));
}

/* Whether something but its scope refers to a tensor or its memory. */
static bool is_shared(const tarn_tensor *t)
{
    return t->refs != 1 || t->retains > 0 || t->saves > 0 || t->storage->refs != 1 ||
           t->owner != TARN__OWNER_SCOPE || t->requires_grad || t->node != NULL;
}

tarn_status tarn_take_block(tarn_tensor *t, tarn_block *out)
{
    if (out != NULL) *out = (tarn_block){ 0 };
    if (t == NULL || out == NULL) return TARN_EARG;
    if (!tarn__readable(t, "tarn_take_block")) return TARN_ESTALE;
    tarn_manager *tm = t->manager;
    tarn__storage *storage = t->storage;
    char text[TARN__DESCRIPTION_BYTES];
    if (storage->block == NULL)
        return tarn__fail(tm, TARN_ESTATE, "tarn_take_block: the memory of %s is not the pool's",
                          tarn__describe(t, text));
    if (is_shared(t))
        return tarn__fail(tm, TARN_ESTATE,
                          "tarn_take_block: something else refers to %s: views, "
                          "the tape, a retain "
                          "or a module",
                          tarn__describe(t, text));
    tarn__observe_refusal(tm, "it takes a block out of a tensor with tarn_take_block");
    tarn__materialize(t);
    tarn__block *block = storage->block;
    *out = (tarn_block){ storage->data, storage->bytes, block->id, block->generation };
    tarn__cache_hand_over(tm->cache, block);
    storage->block = NULL; /* nothing is released with the tensor */
    storage->borrowed = true;
    tarn__tensor_end(t, TARN__ENDED_BY_RELEASE);
    return TARN_OK;
}

tarn_tensor *tarn_borrow(tarn_manager *tm, tarn_tensor *t)
{
    if (tm == NULL || t == NULL) return NULL;
    if (!t->frozen) {
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_borrow: the tensor is not frozen: "
                         "tarn_module_freeze makes those of a module readable");
        return NULL;
    }
    return tarn__adopt(tarn__tensor_borrow(tm, t));
}

/* ---- plain creation */

/* The size stands before the elements, 64 bytes ahead, so that release can tell it. */
enum { HEAD = 64 };

static void free_plain(void *context, void *data)
{
    tarn_pool *pool = context;
    unsigned char *memory = (unsigned char *)data - HEAD;
    tarn__pool_lock(pool);
    pool->figures.system_releases++;
    pool->system.release(pool->system.context, memory, *(const size_t *)(const void *)memory);
    tarn__pool_unlock(pool);
}

tarn_tensor *tarn_zeros_plain(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape)
{
    tarn__layout layout;
    if (tm == NULL || !make_layout(tm, "tarn_zeros_plain", dtype, &shape, &layout)) return NULL;
    tarn_pool *pool = tm->pool;
    const tarn_system *system = &pool->system;
    const size_t bytes = bytes_of(&layout);
    tarn__pool_lock(pool); /* the system is called by one thread at a time */
    unsigned char *memory =
        bytes <= SIZE_MAX - HEAD ? system->reserve(system->context, bytes + HEAD) : NULL;
    if (memory != NULL) pool->figures.system_allocations++;
    tarn__pool_unlock(pool);
    if (memory == NULL) {
        (void)tarn__fail_memory(tm, "tarn_zeros_plain", bytes);
        return NULL;
    }
    *(size_t *)(void *)memory = bytes + HEAD;
    tarn_tensor *t = tarn__tensor_adopt(tm, &layout, memory + HEAD, bytes, free_plain, tm->pool);
    if (t == NULL) free_plain(tm->pool, memory + HEAD);
    return tarn__adopt(t);
}
