/* SPDX-License-Identifier: MIT
 * pool_fields.c - the fields of a pool's options, and their values as text. */
#include "core/pool_fields.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/size.h"

#define AT(name) #name, offsetof(tarn_pool_options, name)
#define DEFAULT_GROWTH 2.0

const tarn__field tarn__pool_fields[] = {
    { AT(initial_capacity), SIZE, ZERO_IS_NONE, 0, { 0 } },
    { AT(max_capacity), SIZE, UNLIMITED, TARN_UNLIMITED, { 0 } },
    { AT(growth_factor), FACTOR, 0, 0, { 0 } },
    { AT(cache_limit), SIZE, UNLIMITED | NONE, 0, { 0 } },
    { AT(alignment), SIZE, POWER, MIN_ALIGNMENT, { 0 } },
    { AT(decay_steps), SIZE, UNLIMITED, 0, { 0 } },
    { AT(track_stats), CHOICE, 0, TARN_ON, { "default", "on", "off" } },
    { AT(huge_pages), CHOICE, 0, 0, { "auto", "always", "never" } },
    { AT(zero_policy), CHOICE, 0, 0, { "on_demand", "at_once" } },
    { AT(wipe_on_release), FLAG, 0, 0, { "off", "on" } },
    { AT(checking), CHOICE, 0, 0, { "light", "full" } },
    { AT(mode), CHOICE, 0, 0, { "pooled", "pass_through" } },
    { AT(trace_events), SIZE, ZERO_IS_NONE, 0, { 0 } },
};
_Static_assert(sizeof(tarn__pool_fields) / sizeof(tarn__pool_fields[0]) == TARN__N_POOL_FIELDS,
               "as many fields as pool_fields.h says");

_Static_assert(sizeof(tarn_switch) == sizeof(unsigned) &&
                   sizeof(tarn_huge_pages) == sizeof(unsigned) &&
                   sizeof(tarn_zero_policy) == sizeof(unsigned) &&
                   sizeof(tarn_checking) == sizeof(unsigned) &&
                   sizeof(tarn_pool_mode) == sizeof(unsigned),
               "a choice is loaded and stored as unsigned");

tarn__value tarn__field_load(const tarn__field *f, const tarn_pool_options *options)
{
    const unsigned char *at = (const unsigned char *)options + f->offset;
    tarn__value v = { 0, 0 };
    unsigned choice = 0;
    unsigned char flag = 0; /* whatever is there can be read so, and be refused */
    switch (f->kind) {
    case SIZE: memcpy(&v.n, at, sizeof(v.n)); break;
    case FACTOR: memcpy(&v.factor, at, sizeof(v.factor)); break;
    case CHOICE:
        memcpy(&choice, at, sizeof(choice));
        v.n = choice;
        break;
    case FLAG:
        memcpy(&flag, at, sizeof(flag));
        v.n = flag;
        break;
    }
    return v;
}

void tarn__field_store(const tarn__field *f, tarn_pool_options *options, tarn__value v)
{
    unsigned char *at = (unsigned char *)options + f->offset;
    const unsigned choice = (unsigned)v.n;
    const bool flag = v.n != 0;
    switch (f->kind) {
    case SIZE: memcpy(at, &v.n, sizeof(v.n)); break;
    case FACTOR: memcpy(at, &v.factor, sizeof(v.factor)); break;
    case CHOICE: memcpy(at, &choice, sizeof(choice)); break;
    case FLAG: memcpy(at, &flag, sizeof(flag)); break;
    }
}

static size_t n_choices(const tarn__field *f)
{
    size_t n = 0;
    while (n <= MAX_CHOICES && f->choices[n] != NULL) n++;
    return n;
}

bool tarn__field_is_valid(const tarn__field *f, tarn__value v)
{
    switch (f->kind) {
    case SIZE:
        if (v.n == 0) return true;
        if ((f->flags & POWER) != 0)
            return v.n >= MIN_ALIGNMENT && v.n <= MAX_ALIGNMENT && (v.n & (v.n - 1)) == 0;
        return v.n != TARN_NONE || (f->flags & (NONE | ZERO_IS_NONE)) != 0;
    case FACTOR: return v.factor == 0 || (isfinite(v.factor) && v.factor >= 1);
    case CHOICE:
    case FLAG: return v.n < n_choices(f);
    }
    return false;
}

tarn__value tarn__field_with_default(const tarn__field *f, tarn__value v)
{
    if (v.n == TARN_NONE && (f->flags & ZERO_IS_NONE) != 0) v.n = 0;
    if (v.n == 0) v.n = f->default_value;
    if (v.factor == 0) v.factor = DEFAULT_GROWTH;
    return v;
}

/* ---- numbers as text, whatever the locale */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits, and a unit or none: 65536, 64K, 64k, 64KiB. */
static bool parse_size(const char *text, size_t *out)
{
    static const char units[] = "kmgt";
    size_t n = 0;
    if (!is_digit(*text)) return false;
    for (; is_digit(*text); text++)
        if (!tarn__size_mul(n, 10, &n) || !tarn__size_add(n, (size_t)(*text - '0'), &n))
            return false;
    if (*text != '\0') {
        const char letter = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        const char *unit = strchr(units, letter);
        if (unit == NULL || (text[1] != '\0' && strcmp(text + 1, "iB") != 0)) return false;
        for (ptrdiff_t i = unit - units; i >= 0; i--)
            if (!tarn__size_mul(n, 1024, &n)) return false;
    }
    *out = n;
    return true;
}

/* Digits, with or without a point among them. Up to 15 of them the result is the double nearest to
 * the decimal, since both parts of the quotient are exact; more decimals than that are dropped. */
static bool parse_factor(const char *text, double *out)
{
    enum { MAX_DIGITS = 15 };
    uint64_t digits = 0;
    double scale = 1;
    int n = 0;
    bool point = false;
    for (; *text != '\0'; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*text) || (n == MAX_DIGITS && !point)) return false;
        if (n == MAX_DIGITS) continue;
        digits = digits * 10 + (uint64_t)(*text - '0');
        if (point) scale *= 10;
        n++;
    }
    if (n > 0) *out = (double)digits / scale;
    return n > 0;
}

static void print_factor(double factor, char text[TARN__FIELD_BYTES])
{
    (void)snprintf(text, TARN__FIELD_BYTES, "%.15g", factor);
    /* A locale's own point may be several bytes long: one takes their place. */
    char *end = text;
    for (const char *c = text; *c != '\0'; c++) {
        const bool plain = (*c >= '0' && *c <= '9') || strchr("+-einfa", *c) != NULL;
        if (plain) *end++ = *c;
        else if (end == text || end[-1] != '.') *end++ = '.';
    }
    *end = '\0';
}

/* ---- values as text */

bool tarn__field_parse(const tarn__field *f, const char *text, tarn__value *out)
{
    tarn__value v = { 0, 0 };
    if (strcmp(text, "default") == 0) {
        *out = v;
        return true;
    }
    switch (f->kind) {
    case SIZE:
        if (strcmp(text, "unlimited") == 0 && (f->flags & UNLIMITED) != 0) v.n = TARN_UNLIMITED;
        else if (strcmp(text, "none") == 0 && (f->flags & (NONE | ZERO_IS_NONE)) != 0)
            v.n = TARN_NONE;
        else if (!parse_size(text, &v.n)) return false;
        break;
    case FACTOR:
        if (!parse_factor(text, &v.factor)) return false;
        break;
    case CHOICE:
    case FLAG:
        while (f->choices[v.n] != NULL && strcmp(text, f->choices[v.n]) != 0) v.n++;
        break;
    }
    *out = v;
    return tarn__field_is_valid(f, v);
}

void tarn__field_print(const tarn__field *f, tarn__value v, char text[TARN__FIELD_BYTES])
{
    const char *word = NULL;
    if (f->kind == CHOICE || f->kind == FLAG)
        word = v.n < n_choices(f) ? f->choices[v.n] : "unknown";
    else if (f->kind == FACTOR && v.factor == 0) word = "default";
    else if (f->kind == SIZE && v.n == 0)
        word = (f->flags & ZERO_IS_NONE) != 0 ? "none" : "default";
    else if (f->kind == SIZE && v.n == TARN_UNLIMITED) word = "unlimited";
    else if (f->kind == SIZE && v.n == TARN_NONE) word = "none";

    if (word != NULL) (void)snprintf(text, TARN__FIELD_BYTES, "%s", word);
    else if (f->kind == FACTOR) print_factor(v.factor, text);
    else (void)snprintf(text, TARN__FIELD_BYTES, "%zu", v.n);
}

const char *tarn__field_accepted(const tarn__field *f, char text[128])
{
    if (f->kind == FACTOR) return "a number of at least 1, such as 1.5";
    if (f->kind == SIZE) {
        const bool unlimited = (f->flags & UNLIMITED) != 0;
        const bool none = (f->flags & (NONE | ZERO_IS_NONE)) != 0;
        if ((f->flags & POWER) != 0) return "a power of two from 64 to 2M";
        (void)snprintf(text, 128, "a number with or without K, M, G or T%s%s%s",
                       unlimited && none ? ", unlimited" : "",
                       unlimited && !none ? ", or unlimited" : "", none ? ", or none" : "");
        return text;
    }
    const size_t n = n_choices(f);
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && length < 128; i++) {
        const char *before = i == 0 ? "" : i + 1 < n ? ", " : " or ";
        const int written = snprintf(text + length, 128 - length, "%s%s", before, f->choices[i]);
        if (written > 0) length += (size_t)written;
    }
    return text;
}
