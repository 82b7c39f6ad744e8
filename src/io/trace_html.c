/* SPDX-License-Identifier: MIT
 * trace_html.c - a trace as one page for a browser: the data as JSON between the parts of a page
 * that draws it by itself (trace_page.h).
 *
 *   {"title": text, "now": ns, "dropped": n, "options": text,
 *    "kinds":   [[name, meaning], ...],
 *    "stats":   [[kind, type, name, value, meaning], ...],
 *    "tags":    [[path, operation, kind, live, peak, at_peak, blocks, acquired], ...],
 *    "buckets": [[capacity, blocks, in_use, acquired, is_dynamic], ...],
 *    "regions": [{"address": text, "bytes": n,
 *                 "blocks": [gap before it, capacity, tag or -1, bytes requested, ...]}, ...],
 *    "phases":  [name, ...],
 *    "events":  {"kind": [...], "ns": [since the event before, ...], "tag": [...], "amount": [...],
 *                "reserved": [index, value, ...], "retagged": [old tag, ...], "in_use": n}}
 *
 * The lists of events have one entry an event but for two: "reserved" names only the events that
 * changed it, "retagged" has one entry a TARN__EVENT_RETAG. An amount is the capacity of a block,
 * the size of a region, the bytes that were not to be had, or the thread of a phase. "in_use" is
 * the pool's figure after the first event, against which the page checks its own. */
#include <stdint.h>
#include <string.h>

#include "core/trace.h"
#include "io/trace_formats.h"
#include "io/trace_page.h"

typedef struct writer {
    FILE *stream;
    bool ok; /* all so far was written */
} writer;

/* ---- text */

static void put_bytes(writer *w, const void *bytes, size_t n)
{
    w->ok = w->ok && fwrite(bytes, 1, n, w->stream) == n;
}

static void put(writer *w, const char *text) { put_bytes(w, text, strlen(text)); }

static void put_lines(writer *w, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) put(w, texts[i]);
}

#define PUT_LINES(w, texts) put_lines((w), (texts), sizeof(texts) / sizeof(texts)[0])

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD in UTF-8 */

/* The character that begins at s, of at most n bytes: how many bytes it takes, and its number in
 * *code. 0 where no valid UTF-8 begins: overlong forms, halves of surrogate pairs and numbers above
 * U+10FFFF are none. */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const size_t length = s[0] < 0x80             ? 1
                          : (s[0] & 0xE0) == 0xC0 ? 2
                          : (s[0] & 0xF0) == 0xE0 ? 3
                          : (s[0] & 0xF8) == 0xF0 ? 4
                                                  : 0;
    if (length == 0 || length > n) return 0;
    *code = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        *code = *code << 6 | (s[i] & 0x3Fu);
    }
    const bool is_surrogate = *code >= 0xD800 && *code <= 0xDFFF;
    return *code < least[length] || *code > 0x10FFFF || is_surrogate ? 0 : length;
}

/* Calls put_character for every character of a text of at most n bytes, which may end earlier with
 * a NUL. Bytes that are not UTF-8 become U+FFFD, one each. */
static void put_text(writer *w, const char *text, size_t n,
                     void (*put_character)(writer *w, uint32_t code, const char *utf8,
                                           size_t length))
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0, length = 0; i < n && s[i] != '\0'; i += length) {
        uint32_t code = 0xFFFD;
        length = utf8_next(s + i, n - i, &code);
        if (length > 0) {
            put_character(w, code, text + i, length);
        } else {
            put_character(w, 0xFFFD, replacement, sizeof replacement - 1);
            length = 1;
        }
    }
}

static bool is_control(uint32_t code) { return code < 0x20 || (code >= 0x7F && code < 0xA0); }

/* Inside a string of JSON that stands in a script: "</script>" must not appear, and the separators
 * of lines would end a string of JavaScript. */
static void put_json_character(writer *w, uint32_t code, const char *utf8, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const bool is_special =
        code == '"' || code == '\\' || code == '<' || code == '>' || code == '&';
    if (!is_special && !is_control(code) && code != 0x2028 && code != 0x2029) {
        put_bytes(w, utf8, length);
        return;
    }
    const char escape[] = { '\\',
                            'u',
                            digits[code >> 12 & 15],
                            digits[code >> 8 & 15],
                            digits[code >> 4 & 15],
                            digits[code & 15] };
    put_bytes(w, escape, sizeof escape);
}

static void put_json_text(writer *w, const char *text, size_t n)
{
    put(w, "\"");
    put_text(w, text, n, put_json_character);
    put(w, "\"");
}

static void put_html_character(writer *w, uint32_t code, const char *utf8, size_t length)
{
    switch (code) {
    case '&': put(w, "&amp;"); break;
    case '<': put(w, "&lt;"); break;
    case '>': put(w, "&gt;"); break;
    case '"': put(w, "&quot;"); break;
    case '\'': put(w, "&#39;"); break;
    default:
        if (is_control(code)) put(w, replacement);
        else put_bytes(w, utf8, length);
    }
}

/* ---- numbers, in the same form whatever the locale */

static void put_u64(writer *w, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_bytes(w, digits + at, sizeof digits - at);
}

/* A ratio, to six places; 0 for what is no number or is negative. */
static void put_ratio(writer *w, double value)
{
    const uint64_t millionths = value > 0 && value < 1e12 ? (uint64_t)(value * 1e6 + 0.5) : 0;
    put_u64(w, millionths / 1000000);
    put(w, ".");
    for (uint64_t place = 100000; place > 0; place /= 10) put_u64(w, millionths / place % 10);
}

static void put_address(writer *w, uint64_t address)
{
    char text[16];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "0123456789abcdef"[address >> (60 - 4 * i) & 15];
    size_t zeros = 0;
    while (zeros < sizeof text - 1 && text[zeros] == '0') zeros++;
    put(w, "\"0x");
    put_bytes(w, text + zeros, sizeof text - zeros);
    put(w, "\"");
}

/* What stands before the i-th element of a list; lines stay of a bearable length. */
static void put_separator(writer *w, size_t i)
{
    if (i > 0) put(w, i % 32 == 0 ? ",\n" : ",");
}

static void put_numbers(writer *w, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_separator(w, i);
        put_u64(w, numbers[i]);
    }
}

#define PUT_NUMBERS(w, numbers) put_numbers((w), (numbers), sizeof(numbers) / sizeof(numbers)[0])

/* ---- the present state */

static void put_kinds(writer *w)
{
    put(w, "\"kinds\":[");
    size_t n = 0;
#define PUT_KIND(code, name, meaning)          \
    put_separator(w, n++);                     \
    put(w, "[");                               \
    put_json_text(w, name, sizeof name);       \
    put(w, ",");                               \
    put_json_text(w, meaning, sizeof meaning); \
    put(w, "]");
    TARN_KIND_LIST(PUT_KIND)
#undef PUT_KIND
    put(w, "],\n");
}

static void put_stats(writer *w, const tarn_pool_stats *stats)
{
    put(w, "\"stats\":[");
    const char *separator = "";
#define PUT_STAT(kind, type, field, meaning)                                        \
    put(w, separator);                                                              \
    put(w, "[\"" #kind "\",\"" #type "\",\"" #field "\",");                         \
    _Generic(stats->field, double : put_ratio, default : put_u64)(w, stats->field); \
    put(w, ",");                                                                    \
    put_json_text(w, meaning, sizeof meaning);                                      \
    put(w, "]");                                                                    \
    separator = ",\n";
    TARN_POOL_STATS_LIST(PUT_STAT)
#undef PUT_STAT
    put(w, "],\n");
}

static void put_tags(writer *w, const tarn__trace *trace)
{
    put(w, "\"tags\":[");
    for (size_t i = 0; i < trace->n_tags; i++) {
        const tarn_tag_usage *tag = &trace->tags[i];
        const uint64_t row[] = { (uint64_t)tag->kind, tag->live,   tag->peak,
                                 tag->at_peak,        tag->blocks, tag->acquired };
        put(w, i > 0 ? ",\n[" : "[");
        put_json_text(w, tag->path, sizeof tag->path);
        put(w, ",");
        put_json_text(w, tag->operation, sizeof tag->operation);
        put(w, ",");
        PUT_NUMBERS(w, row);
        put(w, "]");
    }
    put(w, "],\n");
}

static void put_buckets(writer *w, const tarn__trace *trace)
{
    put(w, "\"buckets\":[");
    for (size_t i = 0; i < trace->n_buckets; i++) {
        const tarn_bucket_usage *bucket = &trace->buckets[i];
        const uint64_t row[] = { bucket->capacity, bucket->blocks, bucket->in_use, bucket->acquired,
                                 bucket->is_dynamic };
        put(w, i > 0 ? ",\n[" : "[");
        PUT_NUMBERS(w, row);
        put(w, "]");
    }
    put(w, "],\n");
}

/* The blocks of a region. Their addresses are told by the gaps between them, which are mostly 0. */
static void put_blocks(writer *w, const tarn__trace *trace, const tarn__trace_region *region)
{
    uint64_t end = region->address;
    for (size_t i = 0; i < region->n_blocks; i++) {
        const tarn__trace_block *block = &trace->blocks[region->first_block + i];
        put_separator(w, i);
        put_u64(w, block->address > end ? block->address - end : 0);
        put(w, ",");
        put_u64(w, block->capacity);
        put(w, ",");
        if (block->in_use) {
            put_u64(w, block->tag);
            put(w, ",");
            put_u64(w, block->bytes);
        } else {
            put(w, "-1,0");
        }
        end = block->address + block->capacity;
    }
}

static void put_regions(writer *w, const tarn__trace *trace)
{
    put(w, "\"regions\":[");
    for (size_t i = 0; i < trace->n_regions; i++) {
        const tarn__trace_region *region = &trace->regions[i];
        put(w, i > 0 ? ",\n{\"address\":" : "{\"address\":");
        put_address(w, region->address);
        put(w, ",\"bytes\":");
        put_u64(w, region->bytes);
        put(w, ",\"blocks\":[");
        put_blocks(w, trace, region);
        put(w, "]}");
    }
    put(w, "],\n");
}

/* ---- the events, column by column */

static bool is_phase(const tarn__event *event)
{
    return event->kind == TARN__EVENT_PHASE_BEGIN || event->kind == TARN__EVENT_PHASE_END;
}

static uint64_t amount_of(const tarn__event *event)
{
    switch ((tarn__event_kind)event->kind) {
    case TARN__EVENT_ACQUIRE:
    case TARN__EVENT_RELEASE:
    case TARN__EVENT_RETAG: return event->capacity;
    case TARN__EVENT_RESERVE:
    case TARN__EVENT_GIVE_BACK:
    case TARN__EVENT_FAIL: return event->bytes;
    case TARN__EVENT_PHASE_BEGIN:
    case TARN__EVENT_PHASE_END: return event->thread;
    case TARN__EVENT_STEP: break;
    }
    return 0;
}

/* Events of different threads may stand a little out of order: differences may be negative. */
static void put_times(writer *w, const tarn__trace *trace)
{
    uint64_t before = 0;
    for (size_t i = 0; i < trace->n_events; i++) {
        const uint64_t ns = trace->events[i].ns;
        put_separator(w, i);
        if (ns < before) put(w, "-");
        put_u64(w, ns < before ? before - ns : ns - before);
        before = ns;
    }
}

static void put_reserved(writer *w, const tarn__trace *trace)
{
    size_t n = 0;
    for (size_t i = 0; i < trace->n_events; i++) {
        const size_t reserved = trace->events[i].reserved;
        if (i > 0 && reserved == trace->events[i - 1].reserved) continue;
        put_separator(w, n++);
        put_u64(w, i);
        put(w, ",");
        put_u64(w, reserved);
    }
}

static void put_retagged(writer *w, const tarn__trace *trace)
{
    size_t n = 0;
    for (size_t i = 0; i < trace->n_events; i++) {
        if (trace->events[i].kind != TARN__EVENT_RETAG) continue;
        put_separator(w, n++);
        put_u64(w, trace->events[i].bytes);
    }
}

static bool has_tag(const tarn__event *event)
{
    return event->kind == TARN__EVENT_ACQUIRE || event->kind == TARN__EVENT_RELEASE ||
           event->kind == TARN__EVENT_RETAG || is_phase(event);
}

static void put_events(writer *w, const tarn__trace *trace)
{
    put(w, "\"events\":{\n\"kind\":[");
    for (size_t i = 0; i < trace->n_events; i++) {
        put_separator(w, i);
        put_u64(w, trace->events[i].kind);
    }
    put(w, "],\n\"ns\":[");
    put_times(w, trace);
    put(w, "],\n\"tag\":[");
    for (size_t i = 0; i < trace->n_events; i++) {
        put_separator(w, i);
        put_u64(w, has_tag(&trace->events[i]) ? trace->events[i].tag : 0);
    }
    put(w, "],\n\"amount\":[");
    for (size_t i = 0; i < trace->n_events; i++) {
        put_separator(w, i);
        put_u64(w, amount_of(&trace->events[i]));
    }
    put(w, "],\n\"reserved\":[");
    put_reserved(w, trace);
    put(w, "],\n\"retagged\":[");
    put_retagged(w, trace);
    put(w, "],\n\"in_use\":");
    put_u64(w, trace->n_events > 0 ? trace->events[0].in_use : 0);
    put(w, "}\n");
}

static void put_phases(writer *w, const tarn__trace *trace)
{
    put(w, "\"phases\":[");
    for (size_t i = 0; i < trace->n_phase_names; i++) {
        put_separator(w, i);
        put_json_text(w, trace->phase_names[i], sizeof trace->phase_names[i]);
    }
    put(w, "],\n");
}

/* ---- the page */

bool tarn__trace_write_html(const tarn__trace *trace, const char *title, const char *options_text,
                            FILE *stream)
{
    writer w = { stream, true };
    if (title == NULL || title[0] == '\0') title = "tarn";
    if (options_text == NULL) options_text = "";

    PUT_LINES(&w, page_head);
    put(&w, "<title>");
    put_text(&w, title, strlen(title), put_html_character);
    put(&w, "</title>\n<style>\n");
    PUT_LINES(&w, page_style);
    put(&w, "</style>\n</head>\n");
    PUT_LINES(&w, page_body);
    put(&w, "<script type=\"application/json\" id=\"data\">\n{\"title\":");
    put_json_text(&w, title, strlen(title));
    put(&w, ",\n\"now\":");
    put_u64(&w, trace->now);
    put(&w, ",\n\"dropped\":");
    put_u64(&w, trace->dropped);
    put(&w, ",\n\"options\":");
    put_json_text(&w, options_text, strlen(options_text));
    put(&w, ",\n");
    put_kinds(&w);
    put_stats(&w, &trace->stats);
    put_tags(&w, trace);
    put_buckets(&w, trace);
    put_regions(&w, trace);
    put_phases(&w, trace);
    put_events(&w, trace);
    put(&w, "}\n</script>\n<script>\n");
    PUT_LINES(&w, page_script);
    put(&w, "</script>\n</body>\n</html>\n");
    return w.ok;
}
