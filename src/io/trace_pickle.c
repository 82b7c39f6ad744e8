/* SPDX-License-Identifier: MIT
 * trace_pickle.c - a trace as the snapshot that PyTorch's memory visualiser opens: a pickle of
 * protocol 2, of dictionaries, lists, strings and integers.
 *
 *   {"tag_frames": [frames of tag 0, of tag 1, ...],  which the rest refers to
 *    "segments": [{"address", "total_size", "blocks": [{"address", "size", "state", ...}], ...}],
 *    "device_traces": [[{"action", "addr", "size", "frames", "category", "time_us", ...}]],
 *    "external_annotations": [{"name", "stage", "time_us", "device"}],   the phases
 *    "allocator_settings": {...}}
 *
 * A region is a segment; what no block covers is inactive. A tag is one frame: its path is the
 * file, its operation and kind the function. Its kind is the category, by which the visualiser
 * colours. The format knows no change of tags, and no steps. Sizes are those requested, as PyTorch
 * has it.
 *
 * Only opcodes that the visualiser's own reader knows are used. It cannot take very many items of a
 * list at once: lists grow by one item at a time. */
#include <string.h>

#include "io/trace_formats.h"

/* ---- pickles */

enum {
    PROTO = 0x80,
    EMPTY_DICT = '}',
    EMPTY_LIST = ']',
    MARK = '(',
    SETITEMS = 'u',
    APPEND = 'a',
    BINUNICODE = 'X',
    BINPUT = 'q',
    BINGET = 'h',
    LONG_BINPUT = 'r',
    LONG_BINGET = 'j',
    BININT1 = 'K',
    BININT2 = 'M',
    BININT = 'J',
    LONG1 = 0x8a,
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    TUPLE2 = 0x86,
    STOP = '.'
};

/* Strings that occur often are written once and called up by number. */
#define WORD_LIST(X)           \
    X(tag_frames)              \
    X(segments)                \
    X(device_traces)           \
    X(external_annotations)    \
    X(allocator_settings)      \
    X(address)                 \
    X(total_size)              \
    X(allocated_size)          \
    X(active_size)             \
    X(requested_size)          \
    X(stream)                  \
    X(segment_type)            \
    X(segment_pool_id)         \
    X(is_expandable)           \
    X(device)                  \
    X(frames)                  \
    X(blocks)                  \
    X(history)                 \
    X(real_size)               \
    X(size)                    \
    X(state)                   \
    X(active_allocated)        \
    X(inactive)                \
    X(small)                   \
    X(large)                   \
    X(action)                  \
    X(addr)                    \
    X(time_us)                 \
    X(category)                \
    X(device_free)             \
    X(alloc)                   \
    X(free_requested)          \
    X(free_completed)          \
    X(segment_alloc)           \
    X(segment_free)            \
    X(oom)                     \
    X(snapshot)                \
    X(filename)                \
    X(line)                    \
    X(name)                    \
    X(stage)                   \
    X(START)                   \
    X(END)                     \
    X(unknown)                 \
    X(allocator)               \
    X(tarn)                    \
    X(trace_alloc_max_entries) \
    X(trace_alloc_overflowed)  \
    X(dropped_events)

typedef enum word {
#define WORD_ENUM(text) WORD_##text,
    WORD_LIST(WORD_ENUM)
#undef WORD_ENUM
        WORD_KIND, /* the first of the kinds' names */
    N_WORDS = WORD_KIND + TARN_N_KINDS
} word;

static const char *const words[] = {
#define WORD_TEXT(text) #text,
    WORD_LIST(WORD_TEXT)
#undef WORD_TEXT
};

enum { FIRST_TAG = 256 }; /* the number of tag 0's frames, after those of words */
_Static_assert((int)N_WORDS <= (int)FIRST_TAG, "words have numbers of one byte");

typedef struct pickle {
    const tarn__trace *trace;
    FILE *stream;
    bool ok; /* all so far was written */
    bool written[N_WORDS];
} pickle;

static void put_bytes(pickle *p, const void *bytes, size_t n)
{
    p->ok = p->ok && fwrite(bytes, 1, n, p->stream) == n;
}

static void put_op(pickle *p, int opcode)
{
    const unsigned char byte = (unsigned char)opcode;
    put_bytes(p, &byte, 1);
}

/* An opcode and the n low bytes of a number, the lowest first. */
static void put_argument(pickle *p, int opcode, uint64_t value, size_t n)
{
    unsigned char bytes[9] = { (unsigned char)opcode };
    for (size_t i = 0; i < n; i++) bytes[i + 1] = (unsigned char)(value >> (8 * i));
    put_bytes(p, bytes, n + 1);
}

static void put_number(pickle *p, uint64_t value)
{
    size_t n = 5; /* a sign comes with the last byte */
    while (n < 9 && value >> (8 * n - 1) != 0) n++;
    if (value <= 0xFF) {
        put_argument(p, BININT1, value, 1);
    } else if (value <= 0xFFFF) {
        put_argument(p, BININT2, value, 2);
    } else if (value <= INT32_MAX) {
        put_argument(p, BININT, value, 4);
    } else {
        put_argument(p, LONG1, n, 1);
        for (size_t i = 0; i < n; i++) put_op(p, i < 8 ? (int)(value >> (8 * i) & 0xFF) : 0);
    }
}

/* A text that is valid UTF-8. */
static void put_text(pickle *p, const char *text)
{
    const size_t n = strlen(text);
    put_argument(p, BINUNICODE, n, 4);
    put_bytes(p, text, n);
}

static void put_word(pickle *p, word w)
{
    if (p->written[w]) {
        put_argument(p, BINGET, w, 1);
        return;
    }
    put_text(p, w >= WORD_KIND ? tarn_kind_name((tarn_kind)(w - WORD_KIND)) : words[w]);
    put_argument(p, BINPUT, w, 1);
    p->written[w] = true;
}

static void begin_dict(pickle *p)
{
    put_op(p, EMPTY_DICT);
    put_op(p, MARK);
}

static void end_dict(pickle *p) { put_op(p, SETITEMS); }

static void put_field(pickle *p, word key, uint64_t value)
{
    put_word(p, key);
    put_number(p, value);
}

static void put_word_field(pickle *p, word key, word value)
{
    put_word(p, key);
    put_word(p, value);
}

static void put_bool_field(pickle *p, word key, bool value)
{
    put_word(p, key);
    put_op(p, value ? NEWTRUE : NEWFALSE);
}

/* ---- tags */

static void put_frame(pickle *p, uint64_t tag)
{
    tarn__trace_name name;
    char function[sizeof name.operation + 32];
    tarn__trace_get_name(p->trace, tag, &name);
    snprintf(function, sizeof function, "%s (%s)",
             name.operation[0] != '\0' ? name.operation : "acquired", name.kind);
    begin_dict(p);
    put_word(p, WORD_filename);
    put_text(p, name.path[0] != '\0' ? name.path : "outside modules");
    put_field(p, WORD_line, 0);
    put_word(p, WORD_name);
    put_text(p, function);
    end_dict(p);
}

static void put_tag_frames(pickle *p)
{
    put_word(p, WORD_tag_frames);
    put_op(p, EMPTY_LIST);
    for (size_t tag = 0; tag < p->trace->n_tags; tag++) {
        put_op(p, EMPTY_LIST);
        put_frame(p, tag);
        put_op(p, APPEND);
        put_argument(p, LONG_BINPUT, FIRST_TAG + tag, 4);
        put_op(p, APPEND);
    }
}

static void put_frames(pickle *p, uint64_t tag)
{
    put_word(p, WORD_frames);
    if (tag < p->trace->n_tags) put_argument(p, LONG_BINGET, FIRST_TAG + tag, 4);
    else put_op(p, EMPTY_LIST);
}

static const uint64_t NO_TAG = UINT64_MAX;

/* ---- segments */

static void put_inactive(pickle *p, uint64_t address, uint64_t size)
{
    begin_dict(p);
    put_field(p, WORD_address, address);
    put_field(p, WORD_size, size);
    put_field(p, WORD_requested_size, 0);
    put_word_field(p, WORD_state, WORD_inactive);
    put_frames(p, NO_TAG);
    end_dict(p);
    put_op(p, APPEND);
}

/* The history is where the visualiser of PyTorch 1 and 2.0 looks for frames. */
static void put_active(pickle *p, const tarn__trace_block *block, uint64_t size, uint64_t requested)
{
    begin_dict(p);
    put_field(p, WORD_address, block->address);
    put_field(p, WORD_size, size);
    put_field(p, WORD_requested_size, requested);
    put_word_field(p, WORD_state, WORD_active_allocated);
    put_frames(p, block->tag);
    put_word(p, WORD_history);
    put_op(p, EMPTY_LIST);
    begin_dict(p);
    put_field(p, WORD_addr, block->address);
    put_field(p, WORD_real_size, requested);
    put_frames(p, block->tag);
    end_dict(p);
    put_op(p, APPEND);
    end_dict(p);
    put_op(p, APPEND);
}

typedef struct segment_sums {
    uint64_t active, requested;
} segment_sums;

/* Walks the blocks of a region; with a pickle, writes them, and what lies between them. */
static segment_sums walk_blocks(pickle *p, const tarn__trace *trace,
                                const tarn__trace_region *region)
{
    const uint64_t end = region->address + region->bytes;
    const tarn__trace_block *blocks = trace->blocks + region->first_block;
    segment_sums sums = { 0 };
    uint64_t at = region->address;
    for (size_t i = 0; i < region->n_blocks; i++) {
        const tarn__trace_block *block = &blocks[i];
        const uint64_t next = i + 1 < region->n_blocks ? blocks[i + 1].address : end;
        if (block->address < at || next <= block->address || next > end) continue;
        const uint64_t room = next - block->address;
        const uint64_t size = block->capacity < room ? block->capacity : room;
        const uint64_t requested = block->bytes < size ? block->bytes : size;
        if (p != NULL && block->address > at) put_inactive(p, at, block->address - at);
        if (p != NULL && block->in_use) put_active(p, block, size, requested);
        if (p != NULL && !block->in_use) put_inactive(p, block->address, size);
        if (block->in_use) {
            sums.active += size;
            sums.requested += requested;
        }
        at = block->address + size;
    }
    if (p != NULL && at < end) put_inactive(p, at, end - at);
    return sums;
}

static void put_segment(pickle *p, const tarn__trace_region *region)
{
    const segment_sums sums = walk_blocks(NULL, p->trace, region);
    const bool is_large = region->n_blocks == 1 && region->bytes > 1024 * 1024;
    begin_dict(p);
    put_field(p, WORD_device, 0);
    put_field(p, WORD_address, region->address);
    put_field(p, WORD_total_size, region->bytes);
    put_field(p, WORD_allocated_size, sums.active);
    put_field(p, WORD_active_size, sums.active);
    put_field(p, WORD_requested_size, sums.requested);
    put_field(p, WORD_stream, 0);
    put_word_field(p, WORD_segment_type, is_large ? WORD_large : WORD_small);
    put_word(p, WORD_segment_pool_id);
    put_number(p, 0);
    put_number(p, 0);
    put_op(p, TUPLE2);
    put_bool_field(p, WORD_is_expandable, false);
    put_frames(p, NO_TAG);
    put_word(p, WORD_blocks);
    put_op(p, EMPTY_LIST);
    walk_blocks(p, p->trace, region);
    end_dict(p);
    put_op(p, APPEND);
}

/* ---- events */

/* An entry of the trace. The category of what is no block is "unknown": the visualiser expects it
 * wherever there are categories. */
static void put_entry(pickle *p, word action, const tarn__event *e, uint64_t tag)
{
    const bool is_block = tag != NO_TAG;
    begin_dict(p);
    put_word_field(p, WORD_action, action);
    put_field(p, WORD_addr, e->address);
    put_field(p, WORD_size, e->bytes);
    put_field(p, WORD_stream, 0);
    put_field(p, WORD_time_us, e->ns / 1000);
    if (action == WORD_oom)
        put_field(p, WORD_device_free, e->reserved > e->in_use ? e->reserved - e->in_use : 0);
    put_frames(p, tag);
    put_word(p, WORD_category);
    put_word(p, is_block ? (word)(WORD_KIND + (int)tarn__trace_kind(p->trace, tag)) : WORD_unknown);
    end_dict(p);
    put_op(p, APPEND);
}

/* The tag for the life of a block that was just acquired. Many activations become saved ones as
 * soon as their operation was recorded: of a change that soon, what it became is what it was. */
static uint32_t settled_tag(const tarn__trace *trace, size_t acquisition)
{
    enum { SOON = 64 }; /* events */
    const tarn__event *first = &trace->events[acquisition];
    uint32_t tag = first->tag;
    for (size_t i = 1; i <= SOON && i < trace->n_events - acquisition; i++) {
        const tarn__event *e = first + i;
        if (e->kind == TARN__EVENT_RELEASE && e->id == first->id) break;
        if (e->kind == TARN__EVENT_RETAG && e->id == first->id) tag = e->tag;
    }
    return tag;
}

static void put_event(pickle *p, size_t i)
{
    const tarn__event *e = &p->trace->events[i];
    switch ((tarn__event_kind)e->kind) {
    case TARN__EVENT_ACQUIRE: put_entry(p, WORD_alloc, e, settled_tag(p->trace, i)); break;
    case TARN__EVENT_RELEASE:
        put_entry(p, WORD_free_requested, e, e->tag);
        put_entry(p, WORD_free_completed, e, e->tag);
        break;
    case TARN__EVENT_RESERVE: put_entry(p, WORD_segment_alloc, e, NO_TAG); break;
    case TARN__EVENT_GIVE_BACK: put_entry(p, WORD_segment_free, e, NO_TAG); break;
    case TARN__EVENT_FAIL: put_entry(p, WORD_oom, e, e->tag); break;
    case TARN__EVENT_STEP:
    case TARN__EVENT_PHASE_BEGIN:
    case TARN__EVENT_PHASE_END:
    case TARN__EVENT_RETAG: break;
    }
}

static void put_traces(pickle *p)
{
    const tarn__event now = { .ns = p->trace->now };
    put_word(p, WORD_device_traces);
    put_op(p, EMPTY_LIST);
    put_op(p, EMPTY_LIST);
    for (size_t i = 0; i < p->trace->n_events; i++) put_event(p, i);
    put_entry(p, WORD_snapshot, &now, NO_TAG);
    put_op(p, APPEND);
}

static void put_annotations(pickle *p)
{
    put_word(p, WORD_external_annotations);
    put_op(p, EMPTY_LIST);
    for (size_t i = 0; i < p->trace->n_events; i++) {
        const tarn__event *e = &p->trace->events[i];
        char name[TARN__CLEAN_BYTES(32)] = "";
        if (e->kind != TARN__EVENT_PHASE_BEGIN && e->kind != TARN__EVENT_PHASE_END) continue;
        if (e->tag < p->trace->n_phase_names)
            tarn__trace_clean(p->trace->phase_names[e->tag], 32, name);
        begin_dict(p);
        put_word(p, WORD_name);
        put_text(p, name);
        put_word_field(p, WORD_stage, e->kind == TARN__EVENT_PHASE_BEGIN ? WORD_START : WORD_END);
        put_field(p, WORD_device, 0);
        put_field(p, WORD_time_us, e->ns / 1000);
        end_dict(p);
        put_op(p, APPEND);
    }
}

/* ---- the file */

static void put_settings(pickle *p)
{
    put_word(p, WORD_allocator_settings);
    begin_dict(p);
    put_word_field(p, WORD_allocator, WORD_tarn);
    put_field(p, WORD_trace_alloc_max_entries, p->trace->n_events);
    put_bool_field(p, WORD_trace_alloc_overflowed, p->trace->dropped > 0);
    put_field(p, WORD_dropped_events, p->trace->dropped);
    end_dict(p);
}

bool tarn__trace_write_pickle(const tarn__trace *trace, FILE *stream)
{
    pickle p = { .trace = trace, .stream = stream, .ok = true };
    put_argument(&p, PROTO, 2, 1);
    begin_dict(&p);
    put_tag_frames(&p);
    put_word(&p, WORD_segments);
    put_op(&p, EMPTY_LIST);
    for (size_t i = 0; i < trace->n_regions; i++) put_segment(&p, &trace->regions[i]);
    put_traces(&p);
    put_annotations(&p);
    put_settings(&p);
    end_dict(&p);
    put_op(&p, STOP);
    return p.ok;
}
