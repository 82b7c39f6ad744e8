/* SPDX-License-Identifier: MIT
 * phases.c - what a part of the work took.
 *
 * The peaks of a cache are those of the innermost phase. At its begin they are put away and start
 * anew from the levels; at its end the phase around it gets back its own or the inner ones,
 * whichever are higher. `outer` holds the highest of what is put away, so that the pool's peaks are
 * known at any time. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <string.h>

#include "core/clock.h"
#include "core/manager.h"
#include "core/pool.h"
#include "core/size.h"

/* The row of a name, made if need be; UINT32_MAX if memory is short. */
static uint32_t row_of(tarn_manager *tm, const char name[32])
{
    for (uint32_t i = 0; i < tm->n_phases; i++)
        if (strcmp(tm->phases[i].name, name) == 0) return i;
    if (tm->n_phases == tm->phase_room) {
        const uint32_t room = tm->phase_room == 0 ? 16 : tm->phase_room * 2;
        tarn_phase_usage *rows = tarn__records_alloc(tm->pool, room * sizeof(*rows));
        if (rows == NULL) return UINT32_MAX;
        if (tm->n_phases > 0) memcpy(rows, tm->phases, tm->n_phases * sizeof(*rows));
        tarn__records_free(tm->pool, tm->phases, tm->phase_room * sizeof(*rows));
        tm->phases = rows;
        tm->phase_room = room;
    }
    tm->phases[tm->n_phases] = (tarn_phase_usage){ 0 };
    memcpy(tm->phases[tm->n_phases].name, name, 32);
    return tm->n_phases++;
}

static uint64_t system_allocations(const tarn_manager *tm)
{
    tarn__pool_lock(tm->pool);
    const uint64_t n = tm->pool->figures.system_allocations;
    tarn__pool_unlock(tm->pool);
    return n;
}

/* Raises what is put away of the phases around to the highest. */
static void note_outer(tarn__cache *c)
{
    TARN__RAISE(c->outer.usage, TARN__GET(c->peak.usage));
    TARN__RAISE(c->outer.in_use, TARN__GET(c->peak.in_use));
    TARN__RAISE(c->outer.live, TARN__GET(c->peak.live));
}

tarn_phase tarn__phase_open(tarn_manager *tm, const char *name)
{
    char text[32] = { 0 };
    const char *end = memchr(name, '\0', sizeof(text) - 1);
    memcpy(text, name, end != NULL ? (size_t)(end - name) : sizeof(text) - 1);
    if (tm->phase_depth == TARN__MAX_PHASES) {
        (void)tarn__fail(tm, TARN_ELIMIT,
                         "tarn_phase_begin: \"%s\" would be phase %d inside others", text,
                         TARN__MAX_PHASES + 1);
        return (tarn_phase){ 0 };
    }
    const uint32_t row = row_of(tm, text);
    if (row == UINT32_MAX) {
        (void)tarn__fail_memory(tm, "tarn_phase_begin", sizeof(tarn_phase_usage));
        return (tarn_phase){ 0 };
    }
    tarn__cache *c = tm->cache;
    const uint64_t system = system_allocations(tm); /* takes the lock */
    const bool locked = tarn__cache_open(c);
    tarn__open_phase *p = &tm->open_phases[tm->phase_depth++];
    *p = (tarn__open_phase){ .row = row,
                             .serial = ++tm->phase_serial,
                             .peak_resets = c->peak_resets,
                             .allocations = TARN__GET(c->allocations),
                             .misses = TARN__GET(c->misses),
                             .requested = TARN__GET(c->requested_out),
                             .system_allocations = system,
                             .in_use = tarn__cache_in_use(c),
                             .peak_usage = TARN__GET(c->peak.usage),
                             .peak_in_use = TARN__GET(c->peak.in_use),
                             .peak_live = TARN__GET(c->peak.live) };
    note_outer(c);
    tarn__peaks_set(c);
    tarn__cache_close(c, locked);
    tarn__trace_phase(tm->pool, c, TARN__EVENT_PHASE_BEGIN, text);
    p->begin_ns = tarn__clock_ns();
    return (tarn_phase){ tm, tm->phase_depth, p->serial };
}

tarn_phase tarn_phase_begin(tarn_manager *tm, const char *name)
{
    if (tm == NULL) return (tarn_phase){ 0 };
    return tarn__phase_open(tm, name != NULL && name[0] != '\0' ? name : "unnamed");
}

/* Adds one time to the figures of a name. */
static void add_usage(tarn_phase_usage *row, const tarn_phase_usage *u)
{
    row->calls++;
    row->seconds += u->seconds;
    if (u->peak > row->peak) row->peak = u->peak;
    if (u->peak_growth > row->peak_growth) row->peak_growth = u->peak_growth;
    row->left += u->left;
    row->acquired_bytes += u->acquired_bytes;
    row->allocations += u->allocations;
    row->hits += u->hits;
    row->system_allocations += u->system_allocations;
}

static size_t positive(int64_t value) { return value > 0 ? (size_t)value : 0; }

static tarn_phase_usage end_innermost(tarn_manager *tm)
{
    tarn__cache *c = tm->cache;
    const tarn__open_phase *p = &tm->open_phases[tm->phase_depth - 1];
    tarn_phase_usage *row = &tm->phases[p->row];
    const uint64_t allocations = TARN__GET(c->allocations) - p->allocations;
    const int64_t peak = TARN__GET(c->peak.in_use), in_use = tarn__cache_in_use(c);
    tarn_phase_usage u = {
        .calls = 1,
        .seconds = (double)(tarn__clock_ns() - p->begin_ns) * 1e-9,
        .peak = positive(peak),
        .peak_growth = positive(peak - p->in_use),
        .left = in_use - p->in_use,
        .acquired_bytes = TARN__GET(c->requested_out) - p->requested,
        .allocations = allocations,
        .hits = allocations - (TARN__GET(c->misses) - p->misses),
        .system_allocations = system_allocations(tm) - p->system_allocations,
    };
    memcpy(u.name, row->name, sizeof(u.name));
    const bool locked = tarn__cache_open(c);
    if (p->peak_resets == c->peak_resets) { /* else what is put away was reset, too */
        TARN__RAISE(c->peak.usage, p->peak_usage);
        TARN__RAISE(c->peak.in_use, p->peak_in_use);
        TARN__RAISE(c->peak.live, p->peak_live);
    }
    tarn__cache_close(c, locked);
    tm->phase_depth--;
    tarn__trace_phase(tm->pool, c, TARN__EVENT_PHASE_END, u.name);
    add_usage(row, &u);
    return u;
}

tarn_phase_usage tarn_phase_end(tarn_phase phase)
{
    tarn_manager *tm = phase.manager;
    tarn_phase_usage usage = { 0 };
    if (tm == NULL || phase.depth == 0 || phase.depth > tm->phase_depth) return usage;
    if (tm->open_phases[phase.depth - 1].serial != phase.serial) return usage;
    while (tm->phase_depth >= phase.depth) usage = end_innermost(tm);
    return usage;
}

void tarn_phase_cleanup(tarn_phase *phase)
{
    if (phase != NULL) (void)tarn_phase_end(*phase);
}

size_t tarn_manager_get_phases(const tarn_manager *tm, tarn_phase_usage *rows, size_t n)
{
    if (tm == NULL || (rows == NULL && n > 0)) return 0;
    if (n > tm->n_phases) n = tm->n_phases;
    if (n > 0) memcpy(rows, tm->phases, n * sizeof(*rows));
    return tm->n_phases;
}
