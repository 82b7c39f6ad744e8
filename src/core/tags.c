/* SPDX-License-Identifier: MIT
 * tags.c - the places that blocks come from. There are few, they are found by walking a list once,
 * and whoever acquires often remembers their numbers. */
#include <string.h>

#include "core/assert.h"
#include "core/pool.h"

bool tarn__tags_begin(tarn_pool *pool)
{
    tarn__tag *chunk = tarn__system_take(pool, TARN__TAGS_PER_CHUNK * sizeof(*chunk));
    if (chunk == NULL) return false;
    chunk[0].kind = TARN_KIND_OTHER;
    atomic_store_explicit(&pool->tags[0], chunk, memory_order_release);
    pool->n_tags = 1;
    return true;
}

void tarn__tags_end(tarn_pool *pool)
{
    for (size_t i = 0; i < TARN__N_TAG_CHUNKS; i++)
        tarn__system_give(pool, TARN__GET(pool->tags[i]), TARN__TAGS_PER_CHUNK * sizeof(tarn__tag));
}

/* Copies a text, cut to the room there is. */
static void copy_text(char *to, size_t room, const char *text)
{
    const char *end = memchr(text, '\0', room - 1);
    const size_t n = end != NULL ? (size_t)(end - text) : room - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

/* The lock is held. */
static uint32_t intern(tarn_pool *pool, const char *path, const char *operation, tarn_kind kind)
{
    for (uint32_t i = 0; i < pool->n_tags; i++) {
        const tarn__tag *tag = tarn__tag_at(pool, i);
        if (tag->kind == kind && strncmp(tag->path, path, TARN_TAG_PATH_BYTES - 1) == 0 &&
            strncmp(tag->operation, operation, TARN_TAG_OPERATION_BYTES - 1) == 0)
            return i;
    }
    const uint32_t i = pool->n_tags, c = i / TARN__TAGS_PER_CHUNK;
    if (c == TARN__N_TAG_CHUNKS) return 0;
    tarn__tag *chunk = TARN__GET(pool->tags[c]);
    if (chunk == NULL) chunk = tarn__system_take(pool, TARN__TAGS_PER_CHUNK * sizeof(*chunk));
    if (chunk == NULL) return 0;
    tarn__tag *tag = &chunk[i % TARN__TAGS_PER_CHUNK];
    copy_text(tag->path, sizeof(tag->path), path);
    copy_text(tag->operation, sizeof(tag->operation), operation);
    tag->kind = (uint8_t)kind;
    atomic_store_explicit(&pool->tags[c], chunk, memory_order_release);
    pool->n_tags++;
    return i;
}

uint32_t tarn__tag_intern(tarn_pool *pool, const char *path, const char *operation, tarn_kind kind)
{
    tarn__pool_lock(pool);
    const uint32_t tag = intern(pool, path, operation, kind);
    tarn__pool_unlock(pool);
    return tag;
}

uint32_t tarn__tag_find_kind(tarn_pool *pool, uint32_t tag, tarn_kind kind)
{
    tarn__tag *from = tarn__tag_at(pool, tag);
    const uint32_t found = tarn__tag_intern(pool, from->path, from->operation, kind);
    atomic_store_explicit(&from->of_kind[kind], found, memory_order_release);
    return found;
}

const char *tarn_kind_name(tarn_kind kind)
{
    static const char *const names[] = {
#define KIND_NAME(code, name, meaning) [TARN_KIND_##code] = name,
        TARN_KIND_LIST(KIND_NAME)
#undef KIND_NAME
    };
    return (unsigned)kind < TARN_N_KINDS ? names[kind] : "unknown";
}
