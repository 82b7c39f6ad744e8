/* SPDX-License-Identifier: MIT
 * pool_fields.h - the options of a pool that can be set from outside: what each may be, and how
 * that reads. */
#ifndef TARN_CORE_POOL_FIELDS_H
#define TARN_CORE_POOL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include <tarn/pool.h>

typedef enum tarn__field_kind {
    SIZE,
    FACTOR,
    CHOICE, /* an enumeration */
    FLAG    /* a bool: a choice of off and on */
} tarn__field_kind;

/* What a size may be besides a number. */
enum {
    UNLIMITED = 1,
    NONE = 2,         /* TARN_NONE: other than 0, which means the default */
    ZERO_IS_NONE = 4, /* the default is none */
    POWER = 8         /* nothing else: a power of two from MIN_ALIGNMENT to MAX_ALIGNMENT */
};

enum { MIN_ALIGNMENT = 64, MAX_ALIGNMENT = 2 * 1024 * 1024, MAX_CHOICES = 3 };

typedef struct tarn__field {
    const char *name; /* as in tarn_pool_options; its variable has it in capitals */
    size_t offset;
    tarn__field_kind kind;
    unsigned flags;       /* of a size */
    size_t default_value; /* in place of 0 */
    const char *choices[MAX_CHOICES + 1];
} tarn__field;

/* The value of a field: a FACTOR has factor, every other one n. */
typedef struct tarn__value {
    size_t n;
    double factor;
} tarn__value;

/* Every one, in the order of the structure. */
enum { TARN__N_POOL_FIELDS = 13, TARN__FIELD_BYTES = 32 };
extern const tarn__field tarn__pool_fields[TARN__N_POOL_FIELDS];

tarn__value tarn__field_load(const tarn__field *f, const tarn_pool_options *options);
void tarn__field_store(const tarn__field *f, tarn_pool_options *options, tarn__value v);

/* Whether the field may have this value, whatever the others have. */
bool tarn__field_is_valid(const tarn__field *f, tarn__value v);

/* The value, or what stands for it where it asks for the default. */
tarn__value tarn__field_with_default(const tarn__field *f, tarn__value v);

/* The value that a text names; false if there is none, or the field may not have it. */
bool tarn__field_parse(const tarn__field *f, const char *text, tarn__value *out);

/* The value as text that is parsed to it, whatever the locale. */
void tarn__field_print(const tarn__field *f, tarn__value v, char text[TARN__FIELD_BYTES]);

/* What the field may be set to: "auto, always or never". It may be written to `text`. */
const char *tarn__field_accepted(const tarn__field *f, char text[128]);

#endif
