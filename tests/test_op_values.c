/* SPDX-License-Identifier: MIT
 * test_op_values.c - what every operation computes, against the reference of its row: of numbers as
 * they are drawn, NaN, infinities and extremes, in both types and every layout. */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* Operands of a trial in a type and a layout, where it applies; then the result. */
static tarn_tensor *compute(tarn_manager *tm, op_trial *t, tarn_dtype dtype, op_layout layout)
{
    tarn_tensor *in[OP_OPERANDS] = { NULL };
    for (int i = 0; i < t->n; i++) {
        const op_layout own = op_layout_applies(layout, &t->in[i]) ? layout : OP_PLAIN;
        const double filler = !op_is_float(t, i) ? 255 : NAN;
        tarn_tensor *base = op_base(tm, op_operand_dtype(t, i, dtype), &t->in[i], own, filler);
        in[i] = op_view(base, own, t->in[i].shape);
    }
    return t->c->apply(in, &t->v);
}

static tarn_dtype result_dtype(const op_trial *t, tarn_dtype dtype)
{
    if ((t->c->flags & OP_I64_RESULT) != 0) return TARN_I64;
    if ((t->c->flags & OP_U8_RESULT) != 0) return TARN_U8;
    if (strcmp(t->c->op, "one_hot") == 0) return (tarn_dtype)t->v.choice;
    if ((t->c->flags & OP_F64_RESULT) != 0) return TARN_F64;
    return strcmp(t->c->op, "cast") == 0 ? t->v.dtype : dtype;
}

/* Whether a result that the type cannot hold has become infinite; or infinite or no number where
 * only the terms, `sum` together, are too large, or where what counts against the sign of the
 * result, half of what `magnitude` exceeds it by, is too large as well. */
static bool overflows_alike(double a, double e, double magnitude, double sum, tarn_dtype dtype)
{
    const double most = dtype == TARN_F32 ? (double)FLT_MAX : DBL_MAX;
    if (isnan(e) || sum <= most) return false;
    const bool one_way = (magnitude - fabs(e)) / 2 <= most;
    return fabs(e) > most && one_way ? isinf(a) && signbit(a) == signbit(e) : !isfinite(a);
}

static int expect_reference(const op_trial *t, tarn_tensor *y, tarn_dtype dtype, op_layout layout)
{
    op_array actual, expected, magnitude;
    if (y == NULL) fail_msg("%s", op_trial_text); /* the error is told after that */
    assert_int_equal(tarn_get_dtype(y), result_dtype(t, dtype));
    t->c->reference(t->in, &t->v, &expected, &magnitude);
    op_array_read(&actual, y);
    assert_int_equal(actual.shape.ndim, expected.shape.ndim);
    for (int i = 0; i < actual.shape.ndim; i++)
        assert_int_equal(actual.shape.dims[i], expected.shape.dims[i]);

    /* In F64 the reference errs as well: by one rounding a term, of which there are no more than
     * elements. */
    double most_terms = 0;
    for (int i = 0; i < t->n; i++) most_terms = fmax(most_terms, (double)t->in[i].n);
    const double unit = dtype == TARN_F32 ? 0x1p-24 : 0x1p-53;
    const double least = dtype == TARN_F32 ? 0x1p-149 : 0x1p-1074; /* of subnormal numbers */
    const double ulps = dtype == TARN_F32 ? t->c->ulps : t->c->ulps + most_terms;
    for (int64_t i = 0; i < actual.n; i++) {
        const double a = actual.data[i], e = expected.data[i];
        const double bound = ulps * unit * magnitude.data[i] + ulps * least;
        if (isnan(e) ? isnan(a) : a == e) continue;
        if (isfinite(e) && isfinite(a) && fabs(a - e) <= bound) continue;
        const double m = magnitude.data[i];
        if (overflows_alike(a, e, m, m * fmax(most_terms, 1), dtype)) continue;
        fail_msg("%s, %s, %s: element %lld is %.17g, not %.17g +- %.3g", op_trial_text,
                 tarn_dtype_name(dtype), op_layout_name(layout), (long long)i, a, e, bound);
    }
    op_array_free(&actual);
    op_array_free(&expected);
    op_array_free(&magnitude);
    return 1;
}

static int expect_values(tarn_manager *tm, op_trial *t)
{
    int checks = 0;
    for (int layout = 0; layout < OP_LAYOUTS; layout++) {
        if (!op_trial_allows(t, (op_layout)layout)) continue;
        for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++)
            checks += expect_reference(t, compute(tm, t, (tarn_dtype)dtype, (op_layout)layout),
                                       (tarn_dtype)dtype, (op_layout)layout);
    }
    return checks;
}

static void values_are_those_of_the_references(void **state)
{
    op_drive(MANAGER(state), "values", 0, expect_values);
}

/* Replaces elements of every operand of floats: every `every`-th by `value`. */
static void replace(op_trial *t, int every, double value)
{
    for (int i = 0; i < t->n; i++)
        for (int64_t k = i; k < t->in[i].n && op_is_float(t, i); k += every)
            t->in[i].data[k] = value;
}

static int expect_nan(tarn_manager *tm, op_trial *t)
{
    replace(t, 3, NAN);
    return expect_values(tm, t);
}

static void nan_passes_through(void **state) { op_drive(MANAGER(state), "NaN", 0, expect_nan); }

static int expect_infinities(tarn_manager *tm, op_trial *t)
{
    if ((t->c->flags & OP_NO_INFINITY) != 0)
        return op_skip("the reference's formula does not suit");
    replace(t, 5, INFINITY);
    const int checks = expect_values(tm, t);
    replace(t, 7, -INFINITY);
    return checks + expect_values(tm, t);
}

static void infinities_are_no_surprise(void **state)
{
    op_drive(MANAGER(state), "infinities", 0, expect_infinities);
}

/* Every so many elements, or each, are of these; operands go through them at different paces, so
 * that pairs differ. As float32 has them. */
static void replace_by_extremes(op_trial *t, int every)
{
    static const float extremes[] = { 0,    -0.0F, 1e-3F, -1e-3F, 501,   -501,
                                      1e4F, -1e4F, 5e6F,  -5e6F,  1e20F, -1e20F };
    static const int paces[OP_OPERANDS] = { 1, 5, 7, 11, 5 };
    const int64_t n = OP_LENGTH(extremes);
    for (int i = 0; i < t->n; i++)
        for (int64_t k = 0; k < t->in[i].n && op_is_float(t, i); k += every)
            t->in[i].data[k] = (double)extremes[(k / every * paces[i] + k / n * i) % n];
}

static int expect_extremes(tarn_manager *tm, op_trial *t)
{
    if ((t->c->flags & OP_NO_EXTREMES) != 0)
        return op_skip("the reference's formula does not suit");
    replace_by_extremes(t, 4);
    const int checks = expect_values(tm, t);
    replace_by_extremes(t, 1);
    return checks + expect_values(tm, t);
}

static void extremes_are_as_exact_as_others(void **state)
{
    op_drive(MANAGER(state), "extremes", 0, expect_extremes);
}

static int expect_same_bits(tarn_manager *tm, op_trial *t)
{
    op_array first, second;
    op_array_read(&first, compute(tm, t, TARN_F32, OP_PLAIN));
    op_array_read(&second, compute(tm, t, TARN_F32, OP_PLAIN));
    assert_memory_equal(first.data, second.data, (size_t)first.n * sizeof(double));
    op_array_free(&first);
    op_array_free(&second);
    return 1;
}

static void the_same_again_gives_the_same_bits(void **state)
{
    op_drive(MANAGER(state), "values again", 0, expect_same_bits);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_are_those_of_the_references), TEST(nan_passes_through),
        TEST(infinities_are_no_surprise),         TEST(extremes_are_as_exact_as_others),
        TEST(the_same_again_gives_the_same_bits),
    };
    return cmocka_run_group_tests_name("op_values", tests, NULL, NULL);
}
