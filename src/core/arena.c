/* SPDX-License-Identifier: MIT
 * arena.c - one piece of the caller's memory as a tarn_system: first fit by address.
 *
 * The memory is cut into pieces that lie one after the other without gaps. A header of 16 bytes
 * stands at the end of the 64 bytes before what it describes, so that what is handed out is aligned
 * to 64 and a piece is a multiple of 64 long:
 *
 *   | arena 48 | header 16 | memory ...          48 | header 16 | memory ...
 *   64-aligned             64-aligned                           64-aligned
 *
 *   first + the sum of all strides == end,   no two neighbours are free
 *
 * The headers are the only records: whatever is asked, they are walked from the first on. A pool
 * asks for regions, of which there are few, so that a list of free pieces would be more to keep
 * right than it saves. */
#include <stdint.h>
#include <string.h>

#include <tarn/system.h>

#include "core/size.h"

enum { ALIGNMENT = 64, MIN_BYTES = 1024 };

typedef struct piece {
    size_t stride; /* bytes from this header to the next, a multiple of ALIGNMENT */
    size_t held;   /* bytes that were asked for; 0: the piece is free */
} piece;

typedef struct arena {
    piece *first;
    unsigned char *end; /* where the header after the last piece would stand */
} arena;

_Static_assert(sizeof(arena) + sizeof(piece) <= ALIGNMENT, "both stand before the first memory");

/* ---- walking */

/* The piece at p; NULL at the end, and where the header was overwritten, so that no walk leaves the
 * arena: what lies behind is lost to it. */
static piece *piece_at(const arena *a, unsigned char *p)
{
    piece *at = (piece *)(void *)p;
    if (p == a->end || at->stride == 0 || at->stride % ALIGNMENT != 0) return NULL;
    return at->stride <= (size_t)(a->end - p) ? at : NULL;
}

static piece *first_piece(const arena *a) { return piece_at(a, (unsigned char *)a->first); }

static piece *next_piece(const arena *a, const piece *p)
{
    return piece_at(a, (unsigned char *)p + p->stride);
}

static void *memory_of(piece *p) { return p + 1; }

static size_t room_of(const piece *p) { return p->stride - sizeof(piece); }

/* ---- the system */

static void *arena_reserve(void *context, size_t bytes)
{
    const arena *a = context;
    size_t stride;
    if (bytes == 0) bytes = 1;
    if (!tarn__size_add(bytes, sizeof(piece), &stride)) return NULL;
    if (!tarn__size_round_up(stride, ALIGNMENT, &stride)) return NULL;
    piece *p = first_piece(a);
    while (p != NULL && (p->held != 0 || p->stride < stride)) p = next_piece(a, p);
    if (p == NULL) return NULL;
    if (p->stride > stride) {
        piece *rest = (piece *)(void *)((unsigned char *)p + stride);
        *rest = (piece){ .stride = p->stride - stride };
        p->stride = stride;
    }
    p->held = bytes;
    return memset(memory_of(p), 0, bytes);
}

/* Only what is held now, by this address and this size, is taken back; anything else is ignored. */
static void arena_release(void *context, void *memory, size_t bytes)
{
    const arena *a = context;
    piece *before = NULL, *p = first_piece(a);
    for (; p != NULL && memory_of(p) != memory; p = next_piece(a, p)) before = p;
    if (p == NULL || p->held != (bytes > 0 ? bytes : 1)) return;
    p->held = 0;
    const piece *after = next_piece(a, p);
    if (after != NULL && after->held == 0) p->stride += after->stride;
    if (before != NULL && before->held == 0) before->stride += p->stride;
}

tarn_status tarn_system_from_arena(void *memory, size_t bytes, tarn_system *out)
{
    if (out != NULL) *out = (tarn_system){ 0 };
    if (memory == NULL || out == NULL) return TARN_EARG;
    if (bytes < MIN_BYTES) return TARN_ENOMEM;
    if (bytes > UINTPTR_MAX - (uintptr_t)memory) return TARN_EARG; /* no object wraps around */

    const size_t skipped = (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
    unsigned char *start = (unsigned char *)memory + skipped;
    unsigned char *first = start + ALIGNMENT - sizeof(piece);
    const size_t stride = (bytes - skipped - ALIGNMENT + sizeof(piece)) / ALIGNMENT * ALIGNMENT;
    arena *a = (arena *)(void *)start;
    *a = (arena){ .first = (piece *)(void *)first, .end = first + stride };
    *a->first = (piece){ .stride = stride };
    *out = (tarn_system){ .reserve = arena_reserve, .release = arena_release, .context = a };
    return TARN_OK;
}

/* ---- questions */

static const arena *arena_of(const tarn_system *system)
{
    return system != NULL && system->reserve == arena_reserve ? system->context : NULL;
}

size_t tarn_arena_free_bytes(const tarn_system *system)
{
    const arena *a = arena_of(system);
    size_t sum = 0;
    if (a == NULL) return 0;
    for (const piece *p = first_piece(a); p != NULL; p = next_piece(a, p))
        if (p->held == 0) sum += room_of(p);
    return sum;
}

size_t tarn_arena_largest_free(const tarn_system *system)
{
    const arena *a = arena_of(system);
    size_t largest = 0;
    if (a == NULL) return 0;
    for (const piece *p = first_piece(a); p != NULL; p = next_piece(a, p))
        if (p->held == 0 && room_of(p) > largest) largest = room_of(p);
    return largest;
}
