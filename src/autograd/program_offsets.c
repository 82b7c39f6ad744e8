/* SPDX-License-Identifier: MIT
 * program_offsets.c - where each value of a step lies in the plan's arena.
 *
 * To place intervals of time and size best is NP-hard. Values are placed one after another, each
 * into the smallest gap that fits among those already placed that live at the same time; what
 * decides is their order. A few orders that suit the steps of networks are tried first. Where the
 * best of them leaves more than the bound, a climb follows: the value that sticks out at the top
 * goes to an earlier place in the order, and stays there unless that makes the arena larger. The
 * places are drawn from a fixed sequence, so that a step is always laid out alike. */
#include "autograd/program.h"

enum { MAX_TRIES = 2000 };
static const double WORK = 2e7; /* of the climb: about its pairs of values */

typedef struct item {
    int32_t value;
    double rank; /* those of higher rank are placed first */
} item;

typedef struct search {
    const tarn__program *p;
    int32_t n;
    item *items, *room; /* (n): the order, and as much to work in */
    int32_t *placed;    /* (n): those placed, by offset */
    size_t *best;       /* (n): offsets of the best so far, in the order of values */
} search;

/* ---- orders */

typedef enum order { BY_SIZE, BY_AREA, BY_LIFE, BY_BIRTH, BY_DEATH, N_ORDERS } order;

static double rank_of(const tarn__value *v, order by)
{
    const double bytes = (double)tarn__planned_bytes(v), life = (double)(v->last - v->first + 1);
    switch (by) {
    case BY_SIZE: return bytes;
    case BY_AREA: return bytes * life;
    case BY_LIFE: return life;
    case BY_BIRTH: return -(double)v->first;
    case BY_DEATH: return (double)v->last;
    case N_ORDERS: break;
    }
    return 0;
}

/* Merges two sorted runs; equal ranks keep their order. */
static void merge(const item *from, item *to, int32_t begin, int32_t middle, int32_t end)
{
    int32_t a = begin, b = middle;
    for (int32_t k = begin; k < end; k++) {
        const bool first = a < middle && (b >= end || from[a].rank >= from[b].rank);
        to[k] = first ? from[a++] : from[b++];
    }
}

static void sort(search *s, order by)
{
    const int32_t n = s->n;
    for (int32_t k = 0; k < n; k++)
        s->items[k].rank = rank_of(tarn__value_at(s->p, s->items[k].value), by);
    for (int32_t width = 1; width < n; width *= 2) {
        for (int32_t begin = 0; begin < n; begin += 2 * width) {
            const int32_t middle = begin + width < n ? begin + width : n;
            merge(s->items, s->room, begin, middle, middle + width < n ? middle + width : n);
        }
        item *sorted = s->room;
        s->room = s->items;
        s->items = sorted;
    }
}

/* ---- places */

/* The smallest gap that fits among the placed values that live at the same time; behind them all if
 * there is none. */
static size_t find_gap(const search *s, int32_t n, const tarn__value *v)
{
    const size_t bytes = tarn__planned_bytes(v);
    size_t end = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (int32_t k = 0; k < n; k++) {
        const tarn__value *other = tarn__value_at(s->p, s->placed[k]);
        if (!tarn__live_together(v, other)) continue;
        const size_t gap = other->offset > end ? other->offset - end : 0;
        if (gap >= bytes && gap < best_gap) {
            best_gap = gap;
            best = end;
        }
        if (other->offset + tarn__planned_bytes(other) > end)
            end = other->offset + tarn__planned_bytes(other);
    }
    return best != SIZE_MAX ? best : end;
}

/* Places all in their order; returns the bytes that they take, and which sticks out. */
static size_t place(const search *s, int32_t *top)
{
    size_t arena = 0;
    for (int32_t k = 0; k < s->n; k++) {
        tarn__value *v = tarn__value_at(s->p, s->items[k].value);
        v->offset = find_gap(s, k, v);
        if (v->offset + tarn__planned_bytes(v) > arena) {
            arena = v->offset + tarn__planned_bytes(v);
            *top = k;
        }
        int32_t at = k;
        for (; at > 0 && tarn__value_at(s->p, s->placed[at - 1])->offset > v->offset; at--)
            s->placed[at] = s->placed[at - 1];
        s->placed[at] = s->items[k].value;
    }
    return arena;
}

/* ---- the search */

static void keep(const search *s)
{
    for (int32_t k = 0; k < s->n; k++) {
        const int32_t i = s->items[k].value;
        s->best[i] = tarn__value_at(s->p, i)->offset;
    }
}

static void move(item *items, int32_t from, int32_t to)
{
    const item moved = items[from];
    for (; from > to; from--) items[from] = items[from - 1];
    for (; from < to; from++) items[from] = items[from + 1];
    items[to] = moved;
}

/* xorshift; the sequence is fixed. */
static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static size_t climb(const search *s, size_t arena, size_t bound)
{
    const double tries = WORK / ((double)s->n * (double)s->n + 1);
    uint32_t x = 2463534242u;
    int32_t top = 0;
    size_t now = place(s, &top);
    for (int i = 0; i < MAX_TRIES && (double)i < tries && arena > bound; i++) {
        if (top == 0) break;
        const int32_t from = top, to = (int32_t)(next_random(&x) % (uint32_t)from);
        move(s->items, from, to);
        const size_t next = place(s, &top);
        if (next > now) {
            move(s->items, to, from);
            top = from;
            continue;
        }
        now = next;
        if (now >= arena) continue;
        arena = now;
        keep(s);
    }
    return arena;
}

static size_t find(search *s, size_t bound)
{
    size_t arena = SIZE_MAX;
    order best = BY_SIZE;
    int32_t top = 0;
    for (order by = BY_SIZE; by < N_ORDERS && arena > bound; by++) {
        sort(s, by);
        const size_t bytes = place(s, &top);
        if (bytes >= arena) continue;
        arena = bytes;
        best = by;
        keep(s);
    }
    if (arena == bound) return arena;
    sort(s, best);
    return climb(s, arena, bound);
}

void tarn__program_place(tarn__program *p)
{
    const size_t n = (size_t)p->values.n;
    const size_t bytes = n * (2 * sizeof(item) + sizeof(size_t) + sizeof(int32_t));
    if (n == 0) return;
    item *items = tarn__records_alloc(p->tm->pool, bytes);
    if (items == NULL) {
        tarn__program_refuse(p, "there was no memory to lay it out", false);
        return;
    }
    size_t *best = (size_t *)(void *)(items + 2 * n);
    search s = { .p = p,
                 .items = items,
                 .room = items + n,
                 .placed = (int32_t *)(void *)(best + n),
                 .best = best };
    for (int32_t i = 0; i < p->values.n; i++)
        if (tarn__has_home(p, i)) s.items[s.n++].value = i;
    p->arena_bytes = find(&s, p->lower_bound);
    for (int32_t i = 0; i < p->values.n; i++)
        if (tarn__has_home(p, i)) tarn__value_at(p, i)->offset = s.best[i];
    tarn__records_free(p->tm->pool, items, bytes);
}
