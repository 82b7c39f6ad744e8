/* SPDX-License-Identifier: MIT
 * trace_csv.c - a trace as a table, one line an event, by RFC 4180 but with single line feeds.
 *
 *   ns         since the pool was made
 *   event      what happened; the names below
 *   id         of the block; blocks that live at different times may share one
 *   bytes      requested; of a region: its size
 *   capacity   of the block
 *   address    of the block or region
 *   in_use, reserved   of the pool, after the event
 *   thread     0: direct callers under the lock; else the number of a manager's or thread's cache
 *   hit        1: an acquisition served by a released block
 *   path, operation, kind   the block's tag; of a retag: the new one; of a phase: its name is the
 *                           operation
 *
 * A field that has no meaning for an event is empty. Before the events stand one line "dropped", if
 * there were earlier ones, with their number as the operation, and one line "early" for each block
 * that was in use before the first event: an acquisition at an unknown time. Replayed in their
 * order, early and acquire add a block, release removes it, and what remains is in use. */
#include <inttypes.h>
#include <string.h>

#include "io/trace_formats.h"

static const char *const event_names[] = {
    [TARN__EVENT_ACQUIRE] = "acquire",
    [TARN__EVENT_RELEASE] = "release",
    [TARN__EVENT_RESERVE] = "reserve",
    [TARN__EVENT_GIVE_BACK] = "give_back",
    [TARN__EVENT_FAIL] = "fail",
    [TARN__EVENT_STEP] = "step",
    [TARN__EVENT_PHASE_BEGIN] = "phase_begin",
    [TARN__EVENT_PHASE_END] = "phase_end",
    [TARN__EVENT_RETAG] = "retag",
};

typedef struct csv {
    const tarn__trace *trace;
    FILE *stream;
} csv;

/* In quotes where it must be. A leading space is kept by all readers only so. */
static void put_text(FILE *stream, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL && text[0] != ' ') {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void put_tag(const csv *c, uint64_t tag)
{
    tarn__trace_name name;
    tarn__trace_get_name(c->trace, tag, &name);
    put_text(c->stream, name.path);
    fputc(',', c->stream);
    put_text(c->stream, name.operation);
    fprintf(c->stream, ",%s\n", name.kind);
}

static void put_early(void *context, const tarn__trace_block *block)
{
    const csv *c = context;
    fprintf(c->stream, "%" PRIu64 ",early,%" PRIu32 ",", tarn__trace_begin_ns(c->trace), block->id);
    if (block->bytes != SIZE_MAX) fprintf(c->stream, "%zu", block->bytes);
    fprintf(c->stream, ",%zu,%" PRIu64 ",,,,,", block->capacity, block->address);
    put_tag(c, block->tag);
}

/* id,bytes,capacity,address */
static void put_block(const csv *c, const tarn__event *e)
{
    switch ((tarn__event_kind)e->kind) {
    case TARN__EVENT_ACQUIRE:
    case TARN__EVENT_RELEASE:
        fprintf(c->stream, "%" PRIu32 ",%zu,%zu,%" PRIu64, e->id, e->bytes, e->capacity,
                e->address);
        break;
    case TARN__EVENT_RETAG: /* bytes: the old tag */
        fprintf(c->stream, "%" PRIu32 ",,%zu,%" PRIu64, e->id, e->capacity, e->address);
        break;
    case TARN__EVENT_RESERVE:
    case TARN__EVENT_GIVE_BACK: fprintf(c->stream, ",%zu,,%" PRIu64, e->bytes, e->address); break;
    case TARN__EVENT_FAIL: fprintf(c->stream, ",%zu,,", e->bytes); break;
    case TARN__EVENT_STEP:
    case TARN__EVENT_PHASE_BEGIN:
    case TARN__EVENT_PHASE_END: fputs(",,,", c->stream); break;
    }
}

static void put_phase(const csv *c, uint32_t phase)
{
    char name[TARN__CLEAN_BYTES(32)] = "";
    if (phase < c->trace->n_phase_names)
        tarn__trace_clean(c->trace->phase_names[phase], sizeof c->trace->phase_names[phase], name);
    fputc(',', c->stream);
    put_text(c->stream, name);
    fputs(",\n", c->stream);
}

static void put_event(const csv *c, const tarn__event *e)
{
    fprintf(c->stream, "%" PRIu64 ",%s,", e->ns, event_names[e->kind]);
    put_block(c, e);
    fprintf(c->stream, ",%zu,%zu,%u,", e->in_use, e->reserved, (unsigned)e->thread);
    if (e->kind == TARN__EVENT_ACQUIRE) fputc(e->hit ? '1' : '0', c->stream);
    fputc(',', c->stream);
    switch ((tarn__event_kind)e->kind) {
    case TARN__EVENT_ACQUIRE:
    case TARN__EVENT_RELEASE:
    case TARN__EVENT_FAIL:
    case TARN__EVENT_RETAG: put_tag(c, e->tag); break;
    case TARN__EVENT_PHASE_BEGIN:
    case TARN__EVENT_PHASE_END: put_phase(c, e->tag); break;
    case TARN__EVENT_RESERVE:
    case TARN__EVENT_GIVE_BACK:
    case TARN__EVENT_STEP: fputs(",,\n", c->stream); break;
    }
}

bool tarn__trace_write_csv(const tarn__trace *trace, FILE *stream)
{
    csv c = { trace, stream };
    fputs("ns,event,id,bytes,capacity,address,in_use,reserved,thread,hit,path,operation,kind\n",
          stream);
    if (trace->dropped > 0) {
        fprintf(stream, "%" PRIu64 ",dropped,,,,,,,,,,%" PRIu64 ",\n", tarn__trace_begin_ns(trace),
                trace->dropped);
    }
    tarn__trace_each_early(trace, put_early, &c);
    for (size_t i = 0; i < trace->n_events; i++) put_event(&c, &trace->events[i]);
    return ferror(stream) == 0;
}
