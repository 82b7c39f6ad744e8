/* SPDX-License-Identifier: MIT
 * op_cases.c - what the table of operation cases is read with; its rows are in cases_*.c. */
#include "op_cases.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/random.h"

const char *op_trial_text = "";

/* ---- arrays */

int64_t op_shape_numel(const tarn_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->ndim; i++) n *= shape->dims[i];
    return n;
}

void op_array_make(op_array *a, tarn_shape shape)
{
    a->shape = shape;
    a->n = op_shape_numel(&shape);
    a->data = calloc((size_t)a->n + 1, sizeof(double));
    assert_non_null(a->data);
}

void op_array_free(op_array *a)
{
    free(a->data);
    a->data = NULL;
}

bool op_next(const tarn_shape *shape, int64_t *index)
{
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        if (++index[axis] < shape->dims[axis]) return true;
        index[axis] = 0;
    }
    return false;
}

int64_t op_place_of(const op_array *a, int ndim, const int64_t *index)
{
    int64_t p = 0;
    for (int axis = 0; axis < a->shape.ndim; axis++) {
        const int64_t i = index[axis + ndim - a->shape.ndim];
        p = p * a->shape.dims[axis] + (a->shape.dims[axis] == 1 ? 0 : i);
    }
    return p;
}

int64_t op_place(const op_array *a, const tarn_shape *shape, int64_t i)
{
    int64_t index[TARN_MAX_DIMS];
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        index[axis] = i % shape->dims[axis];
        i /= shape->dims[axis];
    }
    return op_place_of(a, shape->ndim, index);
}

tarn_shape op_broadcast(const tarn_shape *a, const tarn_shape *b)
{
    tarn_shape s = { .ndim = a->ndim > b->ndim ? a->ndim : b->ndim };
    for (int i = 0; i < s.ndim; i++) {
        const int p = i - (s.ndim - a->ndim), q = i - (s.ndim - b->ndim);
        const int64_t m = p < 0 ? 1 : a->dims[p], n = q < 0 ? 1 : b->dims[q];
        s.dims[i] = m == 1 ? n : m;
    }
    return s;
}

static double between(uint64_t *random, double low, double high)
{
    const double u = (double)(check_random(random) >> 11) * 0x1p-53;
    return floor((low + (high - low) * u) * 1024) / 1024;
}

static double draw_one(op_values values, uint64_t *random)
{
    const double side = (check_random(random) & 1) != 0 ? 1 : -1;
    switch (values) {
    case OP_ANY: return side * between(random, 0x1p-10, 2);
    case OP_POSITIVE: return between(random, 0.25, 3);
    case OP_NONZERO: return side * between(random, 0.25, 2);
    case OP_UNIT: return between(random, 0, 1);
    case OP_LATTICE: return floor(between(random, -64, 64)) * 2 / 64;
    case OP_BETWEEN: return (floor(between(random, -64, 64)) * 2 + 1) / 64;
    case OP_FLAGS: return (double)(check_random(random) % 3);
    default: return 0;
    }
}

/* The numbers k / 64 around 0 in random order (Fisher and Yates). */
static void draw_distinct(op_array *a, uint64_t *random)
{
    for (int64_t i = 0; i < a->n; i++) a->data[i] = ((double)i - floor((double)a->n / 2)) / 64;
    for (int64_t i = a->n - 1; i > 0; i--) {
        const int64_t j = (int64_t)(check_random(random) % (uint64_t)(i + 1));
        const double other = a->data[j];
        a->data[j] = a->data[i];
        a->data[i] = other;
    }
}

static void draw_distinct_sizes(op_array *a, uint64_t *random)
{
    draw_distinct(a, random);
    const double least = -floor((double)a->n / 2) / 64;
    for (int64_t i = 0; i < a->n; i++) {
        const double side = (check_random(random) & 1) != 0 ? 1 : -1;
        a->data[i] = side * (a->data[i] - least + 0.25);
    }
}

void op_array_draw(op_array *a, const op_case *c, const op_variant *v, int i, uint64_t *random)
{
    const tarn_shape *logits = &v->shape[0];
    const int64_t classes = v->classes != 0    ? v->classes
                            : logits->ndim > 0 ? logits->dims[logits->ndim - 1]
                                               : 1;
    op_array_make(a, v->shape[i]);
    if (c->values[i] == OP_DISTINCT) draw_distinct(a, random);
    else if (c->values[i] == OP_DISTINCT_SIZES) draw_distinct_sizes(a, random);
    else
        for (int64_t k = 0; k < a->n; k++)
            a->data[k] = c->values[i] == OP_LABELS
                             ? (double)(check_random(random) % (uint64_t)classes)
                             : draw_one(c->values[i], random);
}

const char *op_case_text(const op_case *c, const op_variant *v, char text[200])
{
    size_t n = (size_t)snprintf(text, 200, "%s", c->op);
    const int operands = v->n != 0 ? v->n : c->n;
    for (int i = 0; i < operands; i++) {
        n += (size_t)snprintf(text + n, 200 - n, " [");
        for (int axis = 0; axis < v->shape[i].ndim; axis++)
            n += (size_t)snprintf(text + n, 200 - n, axis == 0 ? "%d" : ",%d",
                                  (int)v->shape[i].dims[axis]);
        n += (size_t)snprintf(text + n, 200 - n, "]");
    }
    snprintf(text + n, 200 - n, ", axes %d of %d:%d,%d keep %d, axis %d, value %g, type %d",
             v->axes.n, v->shape[0].ndim, v->axes.axis[0], v->axes.axis[1], v->axes.keep, v->axis,
             v->value, (int)v->dtype);
    return text;
}

/* ---- tensors as arrays */

void op_array_read(op_array *a, tarn_tensor *t)
{
    const tarn_dtype dtype = tarn_get_dtype(t);
    const size_t bytes = (size_t)tarn_numel(t) * tarn_dtype_size(dtype);
    void *elements = malloc(bytes + 1);
    assert_non_null(elements);
    op_array_make(a, tarn_get_shape(t));
    check_status(tarn_copy_to(t, elements, bytes), TARN_OK);
    for (int64_t i = 0; i < a->n; i++) switch (dtype) {
#define READ(code, type, name) \
    case TARN_##code: a->data[i] = (double)((type *)elements)[i]; break;
            TARN_DTYPE_LIST(READ)
#undef READ
        }
    free(elements);
}

/* ---- variants that many operations share */

bool op_any_shape(int i, op_variant *v)
{
    static const tarn_shape shapes[] = {
        { 0, { 0 } },    { 1, { 1 } },       { 1, { 0 } },          { 2, { 0, 3 } }, { 1, { 23 } },
        { 2, { 3, 5 } }, { 3, { 2, 1, 3 } }, { 4, { 2, 3, 2, 2 } }, { 1, { 812 } }
    };
    if (i >= OP_LENGTH(shapes)) return false;
    v->shape[0] = shapes[i];
    v->value = 0.5 + 0x1p-11; /* between two numbers that are drawn */
    v->dtype = TARN_F64;
    return true;
}

bool op_any_pair(int i, op_variant *v)
{
    static const tarn_shape pairs[][2] = {
        { { 0, { 0 } }, { 0, { 0 } } },
        { { 1, { 7 } }, { 1, { 7 } } },
        { { 2, { 3, 5 } }, { 2, { 3, 5 } } },
        { { 1, { 1 } }, { 0, { 0 } } },
        { { 1, { 23 } }, { 0, { 0 } } },
        { { 2, { 2, 1 } }, { 1, { 2 } } },
        { { 2, { 4, 8 } }, { 1, { 8 } } },
        { { 2, { 4, 1 } }, { 2, { 4, 6 } } },
        { { 3, { 3, 1, 2 } }, { 3, { 1, 3, 2 } } },
        { { 3, { 1, 3, 2 } }, { 2, { 3, 2 } } },
        { { 4, { 2, 1, 3, 1 } }, { 4, { 1, 2, 1, 2 } } },
        { { 3, { 4, 6, 5 } }, { 2, { 6, 5 } } },
        { { 3, { 0, 1, 3 } }, { 3, { 0, 10, 3 } } },
        { { 2, { 1, 3 } }, { 2, { 0, 3 } } },
        { { 2, { 2, 600 } },
          { 2, { 2, 1 } } }, /* longer than the pieces in which rows are summed */
        { { 0, { 0 } }, { 2, { 2, 600 } } },
        { { 2, { 2, 300 } }, { 2, { 2, 300 } } },
    };
    if (i >= OP_LENGTH(pairs)) return false;
    v->shape[0] = pairs[i][0];
    v->shape[1] = pairs[i][1];
    v->dtype = TARN_U8;
    return true;
}

double op_log_sum(int64_t n, int64_t step, const double *x, double *max)
{
    double sum = 0;
    *max = -INFINITY;
    for (int64_t i = 0; i < n; i++) *max = fmax(*max, x[i * step]);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i * step] - *max);
    return log(sum);
}

double op_log_sum_exp(int64_t n, int64_t step, const double *x, double *max)
{
    const double log_sum = op_log_sum(n, step, x, max);
    return *max + log_sum;
}

/* ---- trials */

#define SECTION_ENTRY(name) op_cases_##name,
static const op_case *const sections[] = { OP_SECTION_LIST(SECTION_ENTRY) };
#undef SECTION_ENTRY

static int section_length(const op_case *section)
{
    int n = 0;
    while (section[n].op != NULL) n++;
    return n;
}

const op_case *op_next_case(const op_case *c)
{
    int section = 0;
    if (c == NULL) return sections[0];
    if ((++c)->op != NULL) return c;
    while (sections[section] + section_length(sections[section]) != c) section++;
    return ++section < OP_LENGTH(sections) ? sections[section] : NULL;
}

/* Draws depend on the row's operation and the variant's number, not on the rows before it (FNV-1a).
 */
static uint64_t draw_key(const op_case *c, int variant)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *s = c->op; *s != '\0'; s++)
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return (hash ^ (uint64_t)variant) * UINT64_C(0x100000001b3);
}

/* ---- drivers */

enum { REASONS = 32, VALGRIND_EVERY = 10 };

/* What a driver did, for its summary. */
typedef struct tally {
    uint64_t seed;
    int every; /* so many-th variant is tried: not all where programs are slow */
    int operations, trials, checks, larger, others;
    struct {
        const char *text;
        int trials;
    } reason[REASONS];
} tally;

static const char *skipped; /* why the check that runs made none */

int op_skip(const char *reason)
{
    skipped = reason;
    return 0;
}

static void count_reason(tally *all, const char *reason)
{
    int i = 0;
    while (all->reason[i].text != NULL && strcmp(all->reason[i].text, reason) != 0) i++;
    assert_in_range(i, 0, REASONS - 2);
    all->reason[i].text = reason;
    all->reason[i].trials++;
}

static void print_tally(const char *name, const tally *all)
{
    print_message("%s: %d operations, %d trials, %d checks", name, all->operations, all->trials,
                  all->checks);
    if (all->others > 0) print_message("; %d left out, since programs are slow here", all->others);
    if (all->larger > 0) print_message("; %d larger trials left out", all->larger);
    for (int i = 0; all->reason[i].text != NULL; i++)
        print_message("; %d skipped: %s", all->reason[i].trials, all->reason[i].text);
    print_message("\n");
}

bool op_trial_begin(op_trial *t, const op_case *c, int i, uint64_t seed)
{
    uint64_t random = seed ^ draw_key(c, i);
    op_variant v = { .n = 0 };
    if (!c->variant(i, &v)) return false;
    *t = (op_trial){ c, i, v, v.n != 0 ? v.n : c->n, { { .n = 0 } } };
    for (int k = 0; k < t->n; k++) op_array_draw(&t->in[k], c, &v, k, &random);
    return true;
}

void op_trial_end(op_trial *t)
{
    for (int k = 0; k < t->n; k++) op_array_free(&t->in[k]);
}

int64_t op_trial_elements(const op_trial *t)
{
    int64_t elements = 0;
    for (int k = 0; k < t->n; k++) elements += t->in[k].n;
    return elements;
}

/* One row; true if some trial of it was checked or said why not. */
static bool drive_case(tarn_manager *tm, const op_case *c, int64_t most, op_driver *f, tally *all)
{
    bool explained = false;
    op_trial t;
    for (int i = 0; op_trial_begin(&t, c, i, all->seed); i++) {
        TARN_SCOPE(tm);
        char text[200];
        op_trial_text = op_case_text(c, &t.v, text);
        const bool small = most == 0 || op_trial_elements(&t) <= most;
        if (small && explained && i % all->every != 0) {
            all->others++;
        } else if (small) {
            skipped = NULL;
            const int checks = f(tm, &t);
            if (!tarn_ok(tm)) fail_msg("%s: %s", text, tarn_error_message(tm));
            if (checks == 0 && skipped == NULL) fail_msg("%s: not checked, and no reason", text);
            if (checks == 0) count_reason(all, skipped);
            else all->trials++;
            all->checks += checks;
            explained = true;
        } else {
            all->larger++;
        }
        op_trial_end(&t);
    }
    (void)tarn_pool_trim(tarn_manager_pool(tm), 0); /* full checking looks at all that is cached */
    return explained;
}

void op_drive(tarn_manager *tm, const char *name, int64_t most, op_driver *f)
{
    tally all = { .seed = check_seed(), .every = check_scaled(100) < 10 ? VALGRIND_EVERY : 1 };
    OP_EACH_CASE(c)
    {
        if (!drive_case(tm, c, most, f, &all))
            fail_msg("%s: every variant of %s has more than %lld elements", name, c->op,
                     (long long)most);
        const op_case *next = op_next_case(c);
        if (next == NULL || strcmp(next->op, c->op) != 0) all.operations++;
    }
    op_trial_text = "";
    print_tally(name, &all);
}

tarn_dtype op_operand_dtype(const op_trial *t, int i, tarn_dtype dtype)
{
    return op_are_integers(t->c->values[i]) ? t->v.dtype : dtype;
}
