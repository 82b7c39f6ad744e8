/* SPDX-License-Identifier: MIT
 * op_cases.h - the table of operation cases: what drives every test of every operation.
 *
 * A row says of one operation how its operands are drawn, in which shapes and with which attributes
 * it is tried, how it is called, and what it should compute: a function in double, written with
 * plain loops over indices and independent of the library. The tests do the rest: values in both
 * types, strided operands, gradients, NaN, wrong operands.
 *
 * Each operation of ops/op_list.h needs a row; a test names those that have none. */
#ifndef TARN_TESTS_OP_CASES_H
#define TARN_TESTS_OP_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include <tarn/tarn.h>

enum { OP_OPERANDS = 5 };

/* How elements are drawn. All are multiples of 2^-10, so that F32 and F64 hold the same numbers.
 * Kinks are 1/1024 away or farther, which is a hundred steps of a gradient check. */
typedef enum op_values {
    OP_ANY,            /* -2 to 2, not 0 */
    OP_POSITIVE,       /* 1/4 to 3 */
    OP_NONZERO,        /* 1/4 to 2, either sign */
    OP_UNIT,           /* 0 to 1 */
    OP_LATTICE,        /* an even number of 64ths: none equals one of OP_BETWEEN */
    OP_BETWEEN,        /* an odd number of 64ths */
    OP_DISTINCT,       /* all different, by 1/64 at least */
    OP_DISTINCT_SIZES, /* the same of absolute values, 1/4 at least, either sign */
    OP_LABELS, /* integers from 0 to the variant's `classes`, or the last size of operand 0, less 1;
                  the type is the variant's */
    OP_FLAGS   /* 0, or an integer that is not; the type is the variant's */
} op_values;

/* Whether they are drawn as integers, whose type the variant gives. */
static inline bool op_are_integers(op_values values)
{
    return values == OP_LABELS || values == OP_FLAGS;
}

/* One trial: shapes and attributes. Each operation uses those that it has. */
typedef struct op_variant {
    tarn_shape shape[OP_OPERANDS];
    int n; /* operands given; 0: as many as the row has */
    double value, value_b;
    uint64_t stream;
    tarn_axes axes;
    int axis, axis_b;
    int64_t start, stop, step;
    int64_t classes;   /* 0: the last size of operand 0 */
    tarn_shape target; /* a shape, or whatever integers the operation takes */
    tarn_dtype dtype;
    int choice; /* an enumerator of the operation's: a reduction, a mode */
} op_variant;

/* A tensor as the references see it: doubles, last axis fastest, without gaps. */
typedef struct op_array {
    tarn_shape shape;
    int64_t n; /* elements */
    double *data;
} op_array;

enum {
    OP_LINEAR = 1,       /* each gradient is a sum of products of values and the cotangent */
    OP_NO_GRADIENT = 2,  /* the result never requires one */
    OP_CONTIGUOUS = 4,   /* operands with other strides are an error (reshape) */
    OP_ANY_DTYPE = 8,    /* every type is accepted */
    OP_NO_INFINITY = 16, /* the reference's formula does otherwise with infinite operands */
    OP_COMPOSED = 32,    /* a function that calls operations and is none itself */
    OP_ONE_DTYPE = 64,   /* every type is accepted, but all operands have one */
    OP_U8_RESULT = 128,  /* whatever the type of the operands */
    OP_I64_RESULT = 256, /* the same: places */
    OP_F64_RESULT = 512, /* the same: statistics */

    /* What an operation cannot have, which a test tries and must see refused. */
    OP_NO_EMPTY = 1 << 16,  /* operand 0 must have elements */
    OP_NO_SCALAR = 1 << 17, /* operand 0 must have an axis */

    OP_NO_EXTREMES = 1 << 19, /* the reference's formula does otherwise with large operands */
    OP_BY_LAYOUT = 1 << 18    /* the order of sums, and with it rounding, depends on strides */
};

typedef struct op_case {
    const char *op;
    int n; /* operands */
    op_values values[OP_OPERANDS];

    /* Variant number i; false if there are not so many. */
    bool (*variant)(int i, op_variant *v);

    tarn_tensor *(*apply)(tarn_tensor *const *in, const op_variant *v);

    /* Computes `out` (its shape, too: op_array_make) and the magnitude of each element: what the
     * rounding errors of its computation are relative to, the sum of the absolute values of what is
     * added up. NaN and infinities as well. */
    void (*reference)(const op_array *in, const op_variant *v, op_array *out, op_array *magnitude);

    /* In F32 the result differs from the reference by at most `ulps` 2^-24 magnitude. A gradient
     * differs from that in F64 by at most `grad_ulps` 2^-24 times, for linear operations, the same
     * sum of absolute values; for others the largest cotangent. */
    double ulps, grad_ulps;
    unsigned flags;
} op_case;

/* The rows, a file a section: cases_<name>.c ends in op_cases_<name>, whose last row is empty. */
#define OP_SECTION_LIST(X) \
    X(elementwise)         \
    X(products)            \
    X(reductions)          \
    X(losses)              \
    X(label_losses)        \
    X(functional)          \
    X(shape)               \
    X(selection)           \
    X(conv)

#define OP_SECTION_EXTERN(name) extern const op_case op_cases_##name[];
OP_SECTION_LIST(OP_SECTION_EXTERN)
#undef OP_SECTION_EXTERN

/* The row after c, of all sections; the first for NULL; NULL after the last. */
const op_case *op_next_case(const op_case *c);
#define OP_EACH_CASE(c) for (const op_case *c = op_next_case(NULL); c != NULL; c = op_next_case(c))

#define OP_LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* For the tables: { a, b, ... }, and a row whose functions are named after its operation. */
#define OF(...)     \
    {               \
        __VA_ARGS__ \
    }
#define ROW(name, n, values, variant, ulps, grad_ulps, flags)                             \
    {                                                                                     \
#name, n, values, variant, name##_apply, name##_reference, ulps, grad_ulps, flags \
    }

/* log(sum(e^(x - max))) of n numbers `step` apart, and the largest of them; log(sum(e^x)), which is
 * less exact where the largest is large. */
double op_log_sum(int64_t n, int64_t step, const double *x, double *max);
double op_log_sum_exp(int64_t n, int64_t step, const double *x, double *max);

/* Variants that many operations share: shapes of one operand (with value and dtype), and pairs that
 * broadcast (with dtype U8). */
bool op_any_shape(int i, op_variant *v);
bool op_any_pair(int i, op_variant *v);

/* Memory for an array of a shape. */
void op_array_make(op_array *a, tarn_shape shape);
void op_array_free(op_array *a);

int64_t op_shape_numel(const tarn_shape *shape);

/* Goes to the next index of a shape, last axis fastest; false after the last. */
bool op_next(const tarn_shape *shape, int64_t *index);

/* The shape to which two broadcast. */
tarn_shape op_broadcast(const tarn_shape *a, const tarn_shape *b);

/* Where an array that aligns with `ndim` axes at the last, and is repeated along axes of size 1,
 * has an index. */
int64_t op_place_of(const op_array *a, int ndim, const int64_t *index);

/* Where an array that is repeated to a shape has element i of it. */
int64_t op_place(const op_array *a, const tarn_shape *shape, int64_t i);

/* Draws operand i of a variant. */
void op_array_draw(op_array *a, const op_case *c, const op_variant *v, int i, uint64_t *random);

/* ---- strided operands */

typedef enum op_layout {
    OP_PLAIN,
    OP_TRANSPOSED, /* all axes in reverse order */
    OP_SLICED,     /* the inside of a larger tensor */
    OP_STEPPED,    /* every second element of a larger one */
    OP_OFFSET,     /* without gaps, but not from the start of its storage */
    OP_EXPANDED,   /* one row for all places of axis 0; the array is made so, and stays so */
    OP_LAYOUTS
} op_layout;

const char *op_layout_name(op_layout layout);

/* Whether an array can be laid out so and differs from a plain one. */
bool op_layout_applies(op_layout layout, const op_array *a);

/* The tensor that op_view shows as `a`. What no view shows is `filler`. */
tarn_tensor *op_base(tarn_manager *tm, tarn_dtype dtype, op_array *a, op_layout layout,
                     double filler);
tarn_tensor *op_view(tarn_tensor *base, op_layout layout, tarn_shape shape);

/* Makes an array such as OP_EXPANDED shows; op_base does so itself. */
void op_array_expand(op_array *a);

/* What the view of a base shows, taken out of it: the base holds 0 there afterwards. Not for
 * OP_EXPANDED, which shows elements more than once. */
op_array op_show(op_array *base, op_layout layout, const tarn_shape *shape);

/* The elements of a tensor. */
void op_array_read(op_array *a, tarn_tensor *t);

/* ---- trials */

/* A variant with its operands drawn. */
typedef struct op_trial {
    const op_case *c;
    int number; /* of the variant */
    op_variant v;
    int n; /* operands */
    op_array in[OP_OPERANDS];
} op_trial;

/* Variant i of a row, drawn; false if there are not so many. The draws depend on the operation's
 * name, the variant's number and the seed. */
bool op_trial_begin(op_trial *t, const op_case *c, int i, uint64_t seed);
void op_trial_end(op_trial *t);

/* Elements of all operands. */
int64_t op_trial_elements(const op_trial *t);

/* The trial that runs now, for messages. */
extern const char *op_trial_text;

/* A check of one trial: returns how many things it compared, or what op_skip returns. */
typedef int op_driver(tarn_manager *tm, op_trial *t);

/* Says that a trial is not for a check, and why; returns 0. */
int op_skip(const char *reason);

/* Calls f with every variant of every operation, inside a scope of tm. Fails if an error is held
 * after it, or if it neither checked anything nor said why. Variants of more than `most` elements
 * are left out (0: none), unless that leaves an operation without any: then it fails. Prints one
 * line of what was checked and skipped. */
void op_drive(tarn_manager *tm, const char *name, int64_t most, op_driver *f);

/* The type of operand i when floats are `dtype`. */
tarn_dtype op_operand_dtype(const op_trial *t, int i, tarn_dtype dtype);

/* Whether an operand can be laid out so; the others are plain then. */
bool op_trial_allows(const op_trial *t, op_layout layout);

/* "sum [3,5]", for messages. */
const char *op_case_text(const op_case *c, const op_variant *v, char text[200]);

#endif
