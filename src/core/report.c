/* SPDX-License-Identifier: MIT
 * report.c - statistics and tensors as text, on a stream that the caller gives, and as JSON. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/pool.h"
#include "core/values.h"

/* ---- one figure of each type */

static const char *figure_u64(char text[32], uint64_t value)
{
    (void)snprintf(text, 32, "%" PRIu64, value);
    return text;
}

static const char *figure_double(char text[32], double value)
{
    (void)snprintf(text, 32, "%.6f", value);
    for (char *c = text; *c != '\0'; c++)
        if (*c == ',') *c = '.'; /* whatever the locale */
    return text;
}

#define FIGURE(text, value) \
    _Generic((value), double : figure_double, default : figure_u64)((text), (value))

static bool print_row(FILE *stream, const char *name, const char *figure, const char *meaning)
{
    return fprintf(stream, "  %-20s %16s  %s\n", name, figure, meaning) > 0;
}

/* ---- JSON into a buffer, as snprintf: counts what does not fit */

typedef struct json {
    char *text;
    size_t size, length;
} json;

static void TARN_PRINTF(2, 3) json_add(json *j, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const bool fits = j->length < j->size;
    const int n = vsnprintf(fits ? j->text + j->length : NULL, fits ? j->size - j->length : 0,
                            format, arguments);
    va_end(arguments);
    if (n > 0) j->length += (size_t)n;
}

/* ---- pool */

tarn_status tarn_pool_print_stats(const tarn_pool *pool, FILE *stream)
{
    if (pool == NULL || stream == NULL) return TARN_EARG;
    const tarn_pool_stats stats = tarn_pool_get_stats(pool);
    char figure[32];
    bool written = fprintf(stream, "pool\n") > 0;
#define PRINT_FIELD(kind, type, field, meaning) \
    written = print_row(stream, #field, FIGURE(figure, stats.field), meaning) && written;
    TARN_POOL_STATS_LIST(PRINT_FIELD)
#undef PRINT_FIELD
    if (pool->overrides.text[0] != '\0')
        written = fprintf(stream, "from the environment\n%s", pool->overrides.text) > 0 && written;
    if (pool->last_mistake[0] != '\0')
        written = fprintf(stream, "last mistake\n  %s\n", pool->last_mistake) > 0 && written;
    return written ? TARN_OK : TARN_EIO;
}

size_t tarn_pool_stats_json(const tarn_pool_stats *stats, char *text, size_t size)
{
    static const tarn_pool_stats none;
    const tarn_pool_stats *s = stats != NULL ? stats : &none;
    json j = { text, text != NULL ? size : 0, 0 };
    char figure[32];
    const char *separator = "{";
#define JSON_FIELD(kind, type, field, meaning)                                \
    json_add(&j, "%s\"" #field "\":%s", separator, FIGURE(figure, s->field)); \
    separator = ",";
    TARN_POOL_STATS_LIST(JSON_FIELD)
#undef JSON_FIELD
    json_add(&j, "}");
    return j.length;
}

/* ---- manager */

tarn_status tarn_manager_print_stats(const tarn_manager *tm, FILE *stream)
{
    if (tm == NULL || stream == NULL) return TARN_EARG;
    const tarn_manager_stats stats = tarn_manager_get_stats(tm);
    char figure[32];
    bool written = fprintf(stream, "tensors\n") > 0;
#define PRINT_FIELD(type, field, meaning) \
    written = print_row(stream, #field, FIGURE(figure, stats.field), meaning) && written;
    TARN_MANAGER_STATS_LIST(PRINT_FIELD)
#undef PRINT_FIELD
    return written ? TARN_OK : TARN_EIO;
}

size_t tarn_manager_stats_json(const tarn_manager_stats *stats, char *text, size_t size)
{
    static const tarn_manager_stats none;
    const tarn_manager_stats *s = stats != NULL ? stats : &none;
    json j = { text, text != NULL ? size : 0, 0 };
    char figure[32];
    const char *separator = "{";
#define JSON_FIELD(type, field, meaning)                                      \
    json_add(&j, "%s\"" #field "\":%s", separator, FIGURE(figure, s->field)); \
    separator = ",";
    TARN_MANAGER_STATS_LIST(JSON_FIELD)
#undef JSON_FIELD
    json_add(&j, "}");
    return j.length;
}

/* ---- tensors */

enum { EDGE = 3, LONG_AXIS = 10 };

static bool print_element(const tarn_tensor *t, int64_t offset, FILE *stream)
{
    const tarn_dtype dtype = (tarn_dtype)t->layout.dtype;
    const unsigned char *element =
        (const unsigned char *)t->data + (size_t)offset * tarn_dtype_size(dtype);
    if (dtype == TARN_I64)
        return fprintf(stream, "%" PRId64, *(const int64_t *)(const void *)element) > 0;
    const bool is_float = dtype == TARN_F32 || dtype == TARN_F64;
    return fprintf(stream, is_float ? "%.6g" : "%.0f", tarn__load(element, dtype)) > 0;
}

/* The elements from one axis on, in brackets; of a long axis the first and last few. At most
 * TARN_MAX_DIMS deep. */
static bool print_axis(const tarn_tensor *t, int axis, int64_t offset, FILE *stream)
{
    if (axis == t->layout.ndim) return print_element(t, offset, stream);
    const int64_t size = t->layout.dims[axis];
    const bool innermost = axis == t->layout.ndim - 1;
    bool written = fputs("[", stream) >= 0;
    for (int64_t i = 0; i < size && written; i++) {
        if (i > 0) written = fputs(innermost ? ", " : ",\n", stream) >= 0;
        for (int space = 0; i > 0 && !innermost && space <= axis && written; space++)
            written = fputs(" ", stream) >= 0;
        if (size > LONG_AXIS && i == EDGE) {
            written = written && fputs("...", stream) >= 0;
            i = size - EDGE - 1;
            continue;
        }
        written = written && print_axis(t, axis + 1, offset + i * t->layout.strides[axis], stream);
    }
    return written && fputs("]", stream) >= 0;
}

tarn_status tarn_print(tarn_tensor *t, FILE *stream)
{
    if (t == NULL || stream == NULL) return TARN_EARG;
    if (!tarn__readable(t, "tarn_print")) return TARN_ESTALE;
    char text[TARN__DESCRIPTION_BYTES];
    tarn__observe_refusal(t->manager, "it prints a tensor");
    tarn__materialize(t);
    const bool written = fprintf(stream, "%s %s\n", tarn_dtype_name((tarn_dtype)t->layout.dtype),
                                 tarn__describe(t, text)) > 0 &&
                         print_axis(t, 0, 0, stream) && fputs("\n", stream) >= 0;
    return written ? TARN_OK : TARN_EIO;
}
