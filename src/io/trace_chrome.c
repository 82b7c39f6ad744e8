/* SPDX-License-Identifier: MIT
 * trace_chrome.c - a trace in the Trace Event Format, for Perfetto and chrome://tracing.
 *
 *   M     names of the process and of the threads
 *   C     counters: "memory" (in use and cached, which make up what is reserved), "reserved", and
 *         "in use by kind"
 *   b, e  the lives of blocks, which overlap and therefore are no slices of a thread. A block and
 *         its tag are the id, so that a viewer's row has one name; another tag begins another life
 *   X     phases
 *   i     steps, failures, regions, and how many events were dropped
 *
 * Times are microseconds since the pool was made, with three decimals. */
#include <inttypes.h>
#include <string.h>

#include "io/trace_formats.h"

typedef struct chrome {
    const tarn__trace *trace;
    FILE *stream;
    bool any;                       /* an event was written */
    uint64_t in_kind[TARN_N_KINDS]; /* bytes of blocks in use */
} chrome;

/* ---- JSON */

static void put_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7F) {
            fprintf(stream, "\\u%04x", (unsigned)byte);
        } else {
            if (byte == '"' || byte == '\\') fputc('\\', stream);
            fputc(byte, stream);
        }
    }
    fputc('"', stream);
}

/* Opens an object: the fields that every event has. */
static void open_event(chrome *c, char type, uint64_t ns, unsigned thread)
{
    fprintf(c->stream, "%s{\"ph\":\"%c\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64 ".%03" PRIu64,
            c->any ? ",\n" : "", type, thread, ns / 1000, ns % 1000);
    c->any = true;
}

static void put_metadata(chrome *c, const char *what, unsigned thread, const char *name)
{
    open_event(c, 'M', 0, thread);
    fprintf(c->stream, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    put_string(c->stream, name);
    fputs("}}", c->stream);
}

/* ---- tags */

/* The parts of a tag that it has: "mlp.0 affine activation". */
static void put_tag(const chrome *c, uint64_t tag)
{
    char text[sizeof(tarn__trace_name) + 32];
    tarn__trace_name name;
    tarn__trace_get_name(c->trace, tag, &name);
    snprintf(text, sizeof text, "%s%s%s%s%s", name.path, name.path[0] != '\0' ? " " : "",
             name.operation, name.operation[0] != '\0' ? " " : "", name.kind);
    put_string(c->stream, text);
}

/* ---- counters */

static void put_memory(chrome *c, uint64_t ns, size_t in_use, size_t reserved)
{
    const size_t cached = reserved > in_use ? reserved - in_use : 0;
    open_event(c, 'C', ns, 0);
    fprintf(c->stream, ",\"name\":\"memory\",\"args\":{\"in use\":%zu,\"cached\":%zu}}", in_use,
            cached);
}

static void put_reserved(chrome *c, uint64_t ns, size_t reserved)
{
    open_event(c, 'C', ns, 0);
    fprintf(c->stream, ",\"name\":\"reserved\",\"args\":{\"reserved\":%zu}}", reserved);
}

static void put_kinds(chrome *c, uint64_t ns)
{
    open_event(c, 'C', ns, 0);
    fputs(",\"name\":\"in use by kind\",\"args\":{", c->stream);
    for (int kind = 0; kind < TARN_N_KINDS; kind++) {
        fprintf(c->stream, "%s\"%s\":%" PRIu64, kind > 0 ? "," : "",
                tarn_kind_name((tarn_kind)kind), c->in_kind[kind]);
    }
    fputs("}}", c->stream);
}

static uint64_t *in_kind_of(chrome *c, uint64_t tag)
{
    return &c->in_kind[tarn__trace_kind(c->trace, tag)];
}

static void add_early(void *context, const tarn__trace_block *block)
{
    *in_kind_of(context, block->tag) += block->capacity;
}

/* Follows an event; true if it changed a kind. */
static bool count_kinds(chrome *c, const tarn__event *e)
{
    switch ((tarn__event_kind)e->kind) {
    case TARN__EVENT_ACQUIRE: *in_kind_of(c, e->tag) += e->capacity; return true;
    case TARN__EVENT_RELEASE: *in_kind_of(c, e->tag) -= e->capacity; return true;
    case TARN__EVENT_RETAG: /* bytes: the old tag */
        *in_kind_of(c, e->bytes) -= e->capacity;
        *in_kind_of(c, e->tag) += e->capacity;
        return tarn__trace_kind(c->trace, e->bytes) != tarn__trace_kind(c->trace, e->tag);
    default: return false;
    }
}

static void put_counters(chrome *c)
{
    const tarn__trace *trace = c->trace;
    memset(c->in_kind, 0, sizeof c->in_kind);
    tarn__trace_each_early(trace, add_early, c);
    put_kinds(c, tarn__trace_begin_ns(trace));
    for (size_t i = 0; i < trace->n_events; i++) {
        const tarn__event *e = &trace->events[i], *before = i > 0 ? e - 1 : NULL;
        const bool is_new = before == NULL || e->reserved != before->reserved;
        if (is_new || e->in_use != before->in_use) put_memory(c, e->ns, e->in_use, e->reserved);
        if (is_new) put_reserved(c, e->ns, e->reserved);
        if (count_kinds(c, e)) put_kinds(c, e->ns);
    }
    put_memory(c, trace->now, trace->stats.in_use, trace->stats.reserved);
    put_reserved(c, trace->now, trace->stats.reserved);
    put_kinds(c, trace->now);
}

/* ---- the lives of blocks */

/* Opens the begin or the end of a life; both have the same name, by which some viewers match
 * them. */
static void open_life(chrome *c, char type, uint64_t ns, unsigned thread, uint32_t id, uint64_t tag)
{
    open_event(c, type, ns, thread);
    fprintf(c->stream, ",\"cat\":\"block\",\"id\":\"%" PRIu32 ".%" PRIu64 "\",\"name\":", id, tag);
    put_tag(c, tag);
}

static void begin_life(chrome *c, uint64_t ns, unsigned thread, const tarn__trace_block *block)
{
    open_life(c, 'b', ns, thread, block->id, block->tag);
    fputs(",\"args\":{", c->stream);
    if (block->bytes != SIZE_MAX) fprintf(c->stream, "\"bytes\":%zu,", block->bytes);
    fprintf(c->stream,
            "\"capacity\":%zu,\"address\":\"0x%" PRIx64 "\",\"kind\":\"%s\",\"block\":%" PRIu32
            "}}",
            block->capacity, block->address, tarn_kind_name(tarn__trace_kind(c->trace, block->tag)),
            block->id);
}

static void end_life(chrome *c, uint64_t ns, unsigned thread, uint32_t id, uint64_t tag)
{
    open_life(c, 'e', ns, thread, id, tag);
    fputc('}', c->stream);
}

static void begin_early(void *context, const tarn__trace_block *block)
{
    chrome *c = context;
    begin_life(c, tarn__trace_begin_ns(c->trace), 0, block);
}

static void put_life(chrome *c, const tarn__event *e)
{
    const bool is_retag = e->kind == TARN__EVENT_RETAG;
    if (e->kind == TARN__EVENT_RELEASE || is_retag)
        end_life(c, e->ns, e->thread, e->id, is_retag ? e->bytes : e->tag);
    if (e->kind == TARN__EVENT_ACQUIRE || is_retag) {
        begin_life(c, e->ns, e->thread,
                   &(tarn__trace_block){ .address = e->address,
                                         .bytes = is_retag ? SIZE_MAX : e->bytes,
                                         .capacity = e->capacity,
                                         .id = e->id,
                                         .tag = e->tag });
    }
}

static void put_lives(chrome *c)
{
    const tarn__trace *trace = c->trace;
    tarn__trace_each_early(trace, begin_early, c);
    for (size_t i = 0; i < trace->n_events; i++) put_life(c, &trace->events[i]);
    for (size_t i = 0; i < trace->n_blocks; i++) {
        const tarn__trace_block *block = &trace->blocks[i];
        if (block->in_use) end_life(c, trace->now, 0, block->id, block->tag);
    }
}

/* ---- phases */

/* How an event changes the depth of a phase of this name in this thread. */
static int depth_change(const tarn__event *e, const tarn__event *phase)
{
    if (e->thread != phase->thread || e->tag != phase->tag) return 0;
    return e->kind == TARN__EVENT_PHASE_BEGIN ? 1 : e->kind == TARN__EVENT_PHASE_END ? -1 : 0;
}

static void put_slice(chrome *c, const tarn__event *phase, uint64_t begin, uint64_t end)
{
    char name[TARN__CLEAN_BYTES(32)] = "";
    const uint64_t ns = end > begin ? end - begin : 0;
    if (phase->tag < c->trace->n_phase_names)
        tarn__trace_clean(c->trace->phase_names[phase->tag], 32, name);
    open_event(c, 'X', begin, phase->thread);
    fprintf(c->stream, ",\"dur\":%" PRIu64 ".%03" PRIu64 ",\"cat\":\"phase\",\"name\":", ns / 1000,
            ns % 1000);
    put_string(c->stream, name);
    fputc('}', c->stream);
}

/* A phase that has not ended lasts until now. */
static void put_begun_phase(chrome *c, size_t begin)
{
    const tarn__trace *trace = c->trace;
    const tarn__event *phase = &trace->events[begin];
    int depth = 1;
    for (size_t i = begin + 1; i < trace->n_events; i++) {
        depth += depth_change(&trace->events[i], phase);
        if (depth == 0) {
            put_slice(c, phase, phase->ns, trace->events[i].ns);
            return;
        }
    }
    put_slice(c, phase, phase->ns, trace->now);
}

/* A phase whose begin was dropped lasts from the first event; others are written at their begin. */
static void put_ended_phase(chrome *c, size_t end)
{
    const tarn__event *phase = &c->trace->events[end];
    int depth = -1;
    for (size_t i = end; i-- > 0 && depth < 0;) depth += depth_change(&c->trace->events[i], phase);
    if (depth < 0) put_slice(c, phase, tarn__trace_begin_ns(c->trace), phase->ns);
}

static void put_phases(chrome *c)
{
    for (size_t i = 0; i < c->trace->n_events; i++) {
        if (c->trace->events[i].kind == TARN__EVENT_PHASE_BEGIN) put_begun_phase(c, i);
        if (c->trace->events[i].kind == TARN__EVENT_PHASE_END) put_ended_phase(c, i);
    }
}

/* ---- what happens at one moment */

/* Opens an instant that is drawn across the process ('p') or the thread ('t'). */
static void open_instant(chrome *c, char scope, const tarn__event *e, const char *name)
{
    open_event(c, 'i', e->ns, e->thread);
    fprintf(c->stream, ",\"s\":\"%c\",\"cat\":\"pool\",\"name\":\"%s\"", scope, name);
}

static void put_instant(chrome *c, const tarn__event *e)
{
    switch ((tarn__event_kind)e->kind) {
    case TARN__EVENT_STEP:
        open_instant(c, 'p', e, "step");
        fputc('}', c->stream);
        break;
    case TARN__EVENT_FAIL:
        open_instant(c, 'p', e, "acquisition failed");
        fprintf(c->stream, ",\"args\":{\"bytes\":%zu,\"tag\":", e->bytes);
        put_tag(c, e->tag);
        fputs("}}", c->stream);
        break;
    case TARN__EVENT_RESERVE:
    case TARN__EVENT_GIVE_BACK:
        open_instant(c, 't', e,
                     e->kind == TARN__EVENT_RESERVE ? "region reserved" : "region given back");
        fprintf(c->stream, ",\"args\":{\"bytes\":%zu,\"address\":\"0x%" PRIx64 "\"}}", e->bytes,
                e->address);
        break;
    default: break;
    }
}

static void put_instants(chrome *c)
{
    const tarn__trace *trace = c->trace;
    if (trace->dropped > 0) {
        open_event(c, 'i', tarn__trace_begin_ns(trace), 0);
        fprintf(c->stream,
                ",\"s\":\"p\",\"cat\":\"pool\",\"name\":\"%" PRIu64
                " earlier events were dropped\"}",
                trace->dropped);
    }
    for (size_t i = 0; i < trace->n_events; i++) put_instant(c, &trace->events[i]);
}

/* ---- the file */

static void put_names(chrome *c)
{
    unsigned char seen[(UINT16_MAX + 1) / 8] = { 1 }; /* thread 0 */
    put_metadata(c, "process_name", 0, "tarn pool");
    put_metadata(c, "thread_name", 0, "direct callers");
    for (size_t i = 0; i < c->trace->n_events; i++) {
        const unsigned thread = c->trace->events[i].thread, bit = 1u << (thread & 7);
        if ((seen[thread >> 3] & bit) != 0) continue;
        seen[thread >> 3] = (unsigned char)(seen[thread >> 3] | bit);
        char name[32];
        snprintf(name, sizeof name, "manager or thread %u", thread);
        put_metadata(c, "thread_name", thread, name);
    }
}

bool tarn__trace_write_chrome(const tarn__trace *trace, FILE *stream)
{
    chrome c = { .trace = trace, .stream = stream };
    fprintf(stream,
            "{\"displayTimeUnit\":\"ns\",\n\"otherData\":{\"events\":%zu,\"dropped\":%" PRIu64
            "},\n"
            "\"traceEvents\":[\n",
            trace->n_events, trace->dropped);
    put_names(&c);
    put_counters(&c);
    put_lives(&c);
    put_phases(&c);
    put_instants(&c);
    fputs("\n]}\n", stream);
    return ferror(stream) == 0;
}
