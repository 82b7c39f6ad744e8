/* SPDX-License-Identifier: MIT
 * values.c - reads them with the C library, and then asks whether it took all. */
#include "values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool parse_whole(const char *text, char stop, uint64_t *out, const char **end)
{
    char *after;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    const unsigned long long value = strtoull(text, &after, 10);
    if (errno != 0 || value > UINT64_MAX || (*after != '\0' && *after != stop)) return false;
    *out = value;
    if (end != NULL) *end = after;
    return true;
}

bool parse_count(const char *text, uint64_t most, int64_t *out)
{
    uint64_t value;
    if (!parse_whole(text, '\0', &value, NULL) || value < 1 || value > most) return false;
    *out = (int64_t)value;
    return true;
}

bool parse_positive(const char *text, double *out)
{
    char *end;
    if (text[0] == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0') return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out) && *out > 0;
}

bool parse_bytes(const char *text, size_t *out)
{
    static const char units[] = "KMG";
    const size_t length = strlen(text);
    const char *end;
    uint64_t n;
    if (length == 0 || !parse_whole(text, text[length - 1], &n, &end) || n == 0) return false;
    const char *unit = strchr(units, *end); /* its final NUL where there is none */
    if (unit == NULL || (*end != '\0' && end[1] != '\0')) return false;
    const unsigned shift = *end == '\0' ? 0 : 10 * (unsigned)(unit - units + 1);
    if (n > (SIZE_MAX - 2) >> shift) return false; /* the last two have another meaning */
    *out = (size_t)n << shift;
    return true;
}
