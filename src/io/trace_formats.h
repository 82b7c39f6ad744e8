/* SPDX-License-Identifier: MIT
 * trace_formats.h - the formats in which a trace is written.
 *
 * Each function streams: it takes no memory, whatever the length of the trace, and returns true if
 * all of it was written (what the stream still holds back is its caller's to flush). */
#ifndef TARN_IO_TRACE_FORMATS_H
#define TARN_IO_TRACE_FORMATS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/trace.h"

bool tarn__trace_write_chrome(const tarn__trace *trace, FILE *stream);
bool tarn__trace_write_pickle(const tarn__trace *trace, FILE *stream);
bool tarn__trace_write_csv(const tarn__trace *trace, FILE *stream);
bool tarn__trace_write_html(const tarn__trace *trace, const char *title, const char *options_text,
                            FILE *stream);

/* ---- what they share (trace.c) */

/* Room for a text of n bytes once it is valid UTF-8. */
#define TARN__CLEAN_BYTES(n) (3 * (n) + 1)

/* Copies at most n bytes of a text that may end earlier with a NUL; bytes that are not UTF-8, such
 * as a character that was cut, become U+FFFD, one each. Returns the length of the copy. */
size_t tarn__trace_clean(const char *text, size_t n, char *clean);

/* The parts of a tag as valid UTF-8. */
typedef struct tarn__trace_name {
    char path[TARN__CLEAN_BYTES(TARN_TAG_PATH_BYTES)];
    char operation[TARN__CLEAN_BYTES(TARN_TAG_OPERATION_BYTES)];
    const char *kind;
} tarn__trace_name;

void tarn__trace_get_name(const tarn__trace *trace, uint64_t tag, tarn__trace_name *name);

/* The kind of a tag; TARN_KIND_OTHER for one that is not in the trace. */
tarn_kind tarn__trace_kind(const tarn__trace *trace, uint64_t tag);

/* When the trace begins: at its first event, or now. */
uint64_t tarn__trace_begin_ns(const tarn__trace *trace);

/* Calls visit for each block that was in use before the first event, with its tag then; bytes is
 * SIZE_MAX where the trace does not tell. */
void tarn__trace_each_early(const tarn__trace *trace,
                            void (*visit)(void *context, const tarn__trace_block *block),
                            void *context);

#endif
