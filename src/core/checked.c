/* SPDX-License-Identifier: MIT
 * checked.c - full checking: red zones, patterns, quarantine; and what is told of mistakes.
 *
 *   | zone bytes of ZONE | the holder's bytes | ZONE to the end, at least zone bytes |
 *
 * The holder's bytes are 0xFF at first (as floats: NaN) and RELEASED afterwards. A released block
 * waits in quarantine, so that a late write is found, before it goes to its bucket. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/pool.h"
#include "core/system.h"

enum { ZONE = 0xfb, FRESH = 0xff, RELEASED = 0xfd };
static const size_t most_quarantined = (size_t)16 * 1024 * 1024;

/* ---- telling */

void tarn__mistake(tarn_pool *pool, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(pool->last_mistake, sizeof(pool->last_mistake), format, arguments);
    va_end(arguments);
    if (n >= 0 && pool->options.on_mistake != NULL)
        pool->options.on_mistake(pool->options.context, pool->last_mistake);
}

const char *tarn__block_text(const tarn_pool *pool, const tarn__block *block, char text[224])
{
    const tarn__tag *tag = tarn__tag_at(pool, block->tag);
    (void)snprintf(text, 224, "block %u%s%s%s%s (%s)", block->id,
                   tag->path[0] != '\0' ? " of " : "", tag->path,
                   tag->operation[0] != '\0' ? " by " : "", tag->operation,
                   tarn_kind_name((tarn_kind)tag->kind));
    return text;
}

/* ---- patterns */

/* The addresses of a dry run are not to be written: there may be more of them than memory. */
static bool is_dry(const tarn_pool *pool)
{
    return pool->system.reserve == tarn__system_dry.reserve;
}

/* The first byte that is not `value`, or n. */
static size_t first_other(const unsigned char *bytes, size_t n, unsigned char value)
{
    if (n > 0 && bytes[0] == value && memcmp(bytes, bytes + 1, n - 1) == 0) return n; /* fast */
    size_t i = 0;
    while (i < n && bytes[i] == value) i++;
    return i;
}

void tarn__checked_acquire(const tarn_pool *pool, tarn__block *block)
{
    unsigned char *data = block->data;
    const size_t after = pool->zone + block->requested;
    if (is_dry(pool)) return;
    tarn__allow(data, block->capacity);
    memset(data, ZONE, pool->zone);
    memset(data + pool->zone, FRESH, block->requested);
    memset(data + after, ZONE, block->capacity - after);
    tarn__forbid(data, block->capacity);
    block->dirty = block->capacity;
}

bool tarn__checked_zones(tarn_pool *pool, const tarn__block *block)
{
    const size_t zone = pool->zone, after = zone + block->requested;
    const size_t room = block->capacity - after;
    char text[224];
    if (is_dry(pool)) return true;
    tarn__allow_defined(block->data, zone);
    tarn__allow_defined(block->data + after, room);
    size_t before = zone; /* from the holder's bytes backwards */
    while (before > 0 && block->data[before - 1] == ZONE) before--;
    const size_t behind = first_other(block->data + after, room, ZONE);
    tarn__forbid(block->data, zone);
    tarn__forbid(block->data + after, room);
    if (before > 0)
        tarn__mistake(pool, "underrun: %s, %zu bytes, was written %zu byte%s before its begin",
                      tarn__block_text(pool, block, text), block->requested, zone - before + 1,
                      before == zone ? "" : "s");
    if (behind < room)
        tarn__mistake(pool, "overrun: %s, %zu bytes, was written %zu byte%s after its end",
                      tarn__block_text(pool, block, text), block->requested, behind + 1,
                      behind == 0 ? "" : "s");
    if (before == 0 && behind == room) return true;
    pool->figures.damaged_blocks++;
    return false;
}

bool tarn__checked_pattern(tarn_pool *pool, const tarn__block *block)
{
    char text[224];
    if (is_dry(pool)) return true;
    tarn__allow_defined(block->data, block->capacity);
    const size_t place = first_other(block->data, block->capacity, RELEASED);
    tarn__forbid(block->data, block->capacity);
    if (place == block->capacity) return true;
    pool->figures.damaged_blocks++;
    tarn__mistake(pool, "use after release: %s was written at byte %lld after it was released",
                  tarn__block_text(pool, block, text), (long long)place - (long long)pool->zone);
    return false;
}

/* ---- quarantine */

void tarn__checked_release(tarn_pool *pool, tarn__block *block)
{
    if (!is_dry(pool)) {
        tarn__allow(block->data, block->capacity);
        memset(block->data, RELEASED, block->capacity);
        tarn__forbid(block->data, block->capacity);
        block->dirty = block->capacity;
    }
    TARN__SET(block->state, TARN__BLOCK_QUARANTINED);
    block->next = NULL;
    block->prev = pool->newest_quarantined;
    *(block->prev != NULL ? &block->prev->next : &pool->oldest_quarantined) = block;
    pool->newest_quarantined = block;
    pool->quarantined += block->capacity;
    tarn__quarantine_drain(pool, most_quarantined);
}

void tarn__quarantine_drain(tarn_pool *pool, size_t keep)
{
    while (pool->oldest_quarantined != NULL && pool->quarantined > keep) {
        tarn__block *block = pool->oldest_quarantined;
        pool->oldest_quarantined = block->next;
        *(block->next != NULL ? &block->next->prev : &pool->newest_quarantined) = NULL;
        pool->quarantined -= block->capacity;
        (void)tarn__checked_pattern(pool, block);
        tarn__bucket_push(pool, block);
        tarn__region_leave(pool, block->region);
    }
}
