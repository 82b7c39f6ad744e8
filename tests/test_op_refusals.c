/* SPDX-License-Identifier: MIT
 * test_op_refusals.c - what every operation refuses, and how it says so: wrong types, missing
 * operands, axes that are not there, shapes that do not fit. */
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"
#include "ops/op_list.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* Trials of more elements tell nothing new. */
enum { MOST = 200 };

/* NULL for a function that is composed of others. */
static const tarn__op *find_op(const op_case *c)
{
    for (int i = 0; tarn__ops[i] != NULL && (c->flags & OP_COMPOSED) == 0; i++)
        if (strcmp(tarn__ops[i]->name, c->op) == 0) return tarn__ops[i];
    assert_true((c->flags & OP_COMPOSED) != 0);
    return NULL;
}

/* Contiguous operands: floats are F64, but operand i (-1: none) has the type `dtype`. */
static void make_operands(tarn_manager *tm, op_trial *t, int i, tarn_dtype dtype, tarn_tensor **in)
{
    for (int k = 0; k < OP_OPERANDS; k++)
        in[k] = k >= t->n ? NULL
                          : op_base(tm, k == i ? dtype : op_operand_dtype(t, k, TARN_F64),
                                    &t->in[k], OP_PLAIN, 0);
}

/* The call failed with this code and text; of a composed function, one of whose operations speaks,
 * with some text. */
static int expect_refusal(tarn_manager *tm, const op_trial *t, tarn_tensor *y, tarn_status code,
                          const char *text)
{
    if (y != NULL) fail_msg("%s: accepted; expected: %s", op_trial_text, text);
    if ((t->c->flags & OP_COMPOSED) != 0) check_error_part(tm, code, "");
    else check_error(tm, code, text);
    return 1;
}

/* ---- types */

static int expect_integers_refused(tarn_manager *tm, op_trial *t, int i, const tarn__op *op)
{
    tarn_tensor *in[OP_OPERANDS];
    char text[200] = "";
    make_operands(tm, t, i, TARN_I32, in);
    tarn_tensor *y = t->c->apply(in, &t->v);
    if ((t->c->flags & OP_ANY_DTYPE) != 0) {
        if (y == NULL) fail_msg("%s: %s", op_trial_text, tarn_error_message(tm));
        return 1;
    }
    if ((t->c->flags & OP_ONE_DTYPE) != 0) {
        if (y != NULL) fail_msg("%s: accepted", op_trial_text);
        check_error_part(tm, TARN_EDTYPE, "one type is needed");
        return 1;
    }
    if (op != NULL)
        snprintf(text, sizeof(text),
                 "%s: %s is int32; float32 or float64 is needed (tarn_cast converts)", op->name,
                 op->operands[i]);
    return expect_refusal(tm, t, y, TARN_EDTYPE, text);
}

/* Operand i in F32, the others in F64: the text names the first float and the first that differs.
 */
static int expect_mixture_refused(tarn_manager *tm, op_trial *t, int i, unsigned floats,
                                  const tarn__op *op)
{
    tarn_tensor *in[OP_OPERANDS];
    char text[200] = "";
    int first = 0, other = i;
    if ((t->c->flags & OP_ANY_DTYPE) != 0 || (floats & (floats - 1)) == 0) return 0;
    while ((floats >> first & 1) == 0) first++;
    if (first == i)
        for (other = i + 1; (floats >> other & 1) == 0;) other++;
    make_operands(tm, t, i, TARN_F32, in);
    if (op != NULL)
        snprintf(text, sizeof(text),
                 "%s: %s is %s, %s is %s; one type is needed (tarn_cast converts)", op->name,
                 op->operands[first], i == first ? "float32" : "float64", op->operands[other],
                 i == first ? "float64" : "float32");
    return expect_refusal(tm, t, t->c->apply(in, &t->v), TARN_EDTYPE, text);
}

/* An operand of integers, given as floats. */
static int expect_floats_refused(tarn_manager *tm, op_trial *t, int i, const tarn__op *op)
{
    tarn_tensor *in[OP_OPERANDS];
    make_operands(tm, t, i, TARN_F64, in);
    if (t->c->apply(in, &t->v) != NULL)
        fail_msg("%s: operand %d may be float64, which is no integer", op_trial_text, i);
    check_error_part(tm, TARN_EDTYPE, op != NULL ? op->operands[i] : "");
    return 1;
}

static int check_types(tarn_manager *tm, op_trial *t)
{
    const tarn__op *op = find_op(t->c);
    const bool one = (t->c->flags & OP_ONE_DTYPE) != 0;
    unsigned floats = 0;
    int checks = 0;
    for (int i = 0; i < t->n; i++)
        if (op_is_float(t, i) && (one || op == NULL || (op->any_dtype >> i & 1) == 0))
            floats |= 1U << i;
    for (int i = 0; i < t->n; i++) {
        if (!op_is_float(t, i)) {
            checks += expect_floats_refused(tm, t, i, op);
        } else if ((floats >> i & 1) != 0) {
            checks += expect_integers_refused(tm, t, i, op);
            checks += expect_mixture_refused(tm, t, i, floats, op);
        }
    }
    return checks > 0 ? checks : op_skip("every type is accepted");
}

static void wrong_types(void **state)
{
    op_drive(MANAGER(state), "wrong types", MOST, check_types);
}

/* ---- NULL */

/* NULL with no error held is an error of whichever operand there is; with an error held it passes
 * in silence. */
static int check_null(tarn_manager *tm, op_trial *t)
{
    const tarn__op *op = find_op(t->c);
    tarn_tensor *in[OP_OPERANDS] = { NULL };
    char text[200] = "";
    int checks = 1;
    assert_null(t->c->apply(in, &t->v));
    assert_true(tarn_ok(tm));
    for (int i = 0; i < t->n && t->n > 1; i++) {
        if (op != NULL && (op->optional >> i & 1) != 0) continue;
        make_operands(tm, t, -1, TARN_F64, in);
        in[i] = NULL;
        if (op != NULL)
            snprintf(text, sizeof(text),
                     "%s: operand %s is NULL, but no call before failed: was it ever made?",
                     op->name, op->operands[i]);
        checks += expect_refusal(tm, t, t->c->apply(in, &t->v), TARN_EARG, text);

        (void)tarn_item(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2)));
        assert_null(t->c->apply(in, &t->v));
        check_error(tm, TARN_ESHAPE, "tarn_item: [2] has 2 elements, not one");
    }
    return checks;
}

static void null_operands(void **state)
{
    op_drive(MANAGER(state), "NULL operands", MOST, check_null);
}

/* ---- axes */

/* Whether a row's variants name axes. */
static bool names_axes(const op_case *c, bool several)
{
    op_variant v = { .n = 0 };
    for (int i = 0; c->variant(i, &v); i++, v = (op_variant){ .n = 0 })
        if (several ? v.axes.n > 0 : v.axis != 0) return true;
    return false;
}

static int expect_axis_refused(tarn_manager *tm, op_trial *t, const op_variant *v, const char *text)
{
    tarn_tensor *in[OP_OPERANDS];
    make_operands(tm, t, -1, TARN_F64, in);
    if (t->c->apply(in, v) != NULL) fail_msg("%s: accepted, but %s", op_trial_text, text);
    check_error_part(tm, TARN_EARG, text);
    return 1;
}

static int check_axes(tarn_manager *tm, op_trial *t)
{
    int checks = 0;
    op_variant v = t->v;
    if (names_axes(t->c, false)) {
        v.axis = 99;
        checks += expect_axis_refused(tm, t, &v, "has no axis 99");
        v.axis = -t->in[0].shape.ndim - 1;
        char text[40];
        snprintf(text, sizeof(text), "has no axis %d", v.axis);
        checks += expect_axis_refused(tm, t, &v, text);
        v = t->v;
    }
    if (names_axes(t->c, true)) {
        v.axes.n = 1;
        v.axes.axis[0] = 99;
        checks += expect_axis_refused(tm, t, &v, "has no axis 99");
        v.axes.n = 2;
        v.axes.axis[0] = v.axes.axis[1] = 0;
        if (t->in[0].shape.ndim > 0) checks += expect_axis_refused(tm, t, &v, "is named twice");
    }
    return checks > 0 ? checks : op_skip("no axis is named");
}

static void wrong_axes(void **state) { op_drive(MANAGER(state), "wrong axes", MOST, check_axes); }

/* ---- shapes */

/* How an operand's shape is spoilt. */
typedef enum spoil {
    LONGER, /* the last axis */
    DEEPER, /* an axis of size 2 before the others */
    SCALAR,
    EMPTY, /* the first axis */
    SPOILS
} spoil;

static bool spoil_shape(tarn_shape *s, spoil how)
{
    switch (how) {
    case LONGER:
        if (s->ndim == 0) return false;
        s->dims[s->ndim - 1]++;
        return true;
    case DEEPER:
        if (s->ndim == TARN_MAX_DIMS) return false;
        memmove(s->dims + 1, s->dims, (size_t)s->ndim++ * sizeof(s->dims[0]));
        s->dims[0] = 2;
        return true;
    case SCALAR: s->ndim = 0; return true;
    default:
        if (s->ndim == 0) return false;
        s->dims[0] = 0;
        return true;
    }
}

/* How often an operation refused a shape, by its place in the list of rows. */
typedef struct refusals {
    const char *op;
    int n;
} refusals;

enum { OPERATIONS = 512 };
static refusals refused[OPERATIONS];

static refusals *refusals_of(const char *op)
{
    int i = 0;
    while (refused[i].op != NULL && strcmp(refused[i].op, op) != 0) i++;
    assert_in_range(i, 0, OPERATIONS - 1);
    refused[i].op = op;
    return &refused[i];
}

/* Operand i with another shape: the call is refused in words, or has a meaning. What is marked as
 * impossible must be refused. */
static int try_shape(tarn_manager *tm, op_trial *t, int i, spoil how)
{
    tarn_tensor *in[OP_OPERANDS];
    op_array other;
    const unsigned impossible = how == SCALAR ? OP_NO_SCALAR : how == EMPTY ? OP_NO_EMPTY : 0;
    tarn_shape shape = t->in[i].shape;
    if (!spoil_shape(&shape, how)) return 0;
    make_operands(tm, t, -1, TARN_F64, in);
    op_array_make(&other, shape);
    for (int64_t k = 0; k < other.n && op_is_float(t, i); k++) other.data[k] = 0.5;
    in[i] = op_base(tm, op_operand_dtype(t, i, TARN_F64), &other, OP_PLAIN, 0);
    op_array_free(&other);
    if (t->c->apply(in, &t->v) != NULL) {
        if (i == 0 && (t->c->flags & impossible) != 0)
            fail_msg("%s: marked as impossible, but accepted", op_trial_text);
        return 1;
    }
    const tarn_status code = tarn_error_code(tm);
    const char *text = tarn_error_message(tm);
    const size_t n = strlen(t->c->op);
    const bool named = strncmp(text, t->c->op, n) == 0 && strncmp(text + n, ": ", 2) == 0;
    if (code != TARN_ESHAPE && code != TARN_EARG)
        fail_msg("%s: %s \"%s\" is about no shape", op_trial_text, tarn_status_name(code), text);
    if (!named && (t->c->flags & OP_COMPOSED) == 0)
        fail_msg("%s: \"%s\" does not begin with the operation", op_trial_text, text);
    tarn_clear_error(tm);
    refusals_of(t->c->op)->n++;
    return 1;
}

static int check_shapes(tarn_manager *tm, op_trial *t)
{
    int checks = 0;
    for (int i = 0; i < t->n; i++)
        for (int how = 0; how < SPOILS; how++) checks += try_shape(tm, t, i, (spoil)how);
    return checks;
}

static void wrong_shapes(void **state)
{
    memset(refused, 0, sizeof(refused));
    op_drive(MANAGER(state), "other shapes", MOST, check_shapes);
    if (check_scaled(100) < 10) return; /* not every variant was tried: see op_drive */
    OP_EACH_CASE(c)
    {
        if (c->n > 1 && refusals_of(c->op)->n == 0)
            fail_msg("%s refused no shape of %d operands", c->op, c->n);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(wrong_types),
        TEST(null_operands),
        TEST(wrong_axes),
        TEST(wrong_shapes),
    };
    return cmocka_run_group_tests_name("op_refusals", tests, NULL, NULL);
}
