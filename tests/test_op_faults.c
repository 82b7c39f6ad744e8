/* SPDX-License-Identifier: MIT
 * test_op_faults.c - memory that ends in the middle of an operation: each acquisition from the pool
 * fails in turn, forward and backward, until none is left to fail.
 *
 * Whatever failed says TARN_ENOMEM, leaves no block and no record behind, and gives the bits of an
 * undisturbed run when it is repeated. */
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

/* Trials of more elements acquire no more often. */
enum { MOST = 200 };

static tarn_pool *pool; /* of the fixture */

/* ---- one pass */

/* What a trial is tried on: its leaves, and a cotangent unless it has no gradient. */
typedef struct subject {
    op_subject of;
    tarn_tensor *cotangent;
} subject;

static subject make_subject(tarn_manager *tm, op_trial *t, const op_pass *pass,
                            const op_gradients *undisturbed)
{
    subject s = { .of = op_make_subject(tm, t, pass->dtype, pass->layout, ~0U) };
    if (!op_is_differentiable(t)) return s;
    tarn_tensor *y = tarn_zeros(tm, undisturbed->dtype, undisturbed->out.shape);
    op_array a = op_draw_cotangent(y, OP_DRAWN);
    s.cotangent = op_base(tm, undisturbed->dtype, &a, OP_PLAIN, 0);
    op_array_free(&a);
    return s;
}

/* Forward and backward in a scope of their own; the result goes to `out` where there is one. */
static tarn_status run(tarn_manager *tm, subject *s, op_array *out)
{
    TARN_SCOPE(tm);
    tarn_tensor *y = op_evaluate(s->of.leaf, s->of.t->n, &s->of);
    if (y == NULL) return tarn_error_code(tm);
    if (out != NULL) op_array_read(out, y);
    if (s->cotangent == NULL) return TARN_OK;
    const tarn_status status =
        tarn_backward_with(y, &(tarn_backward_options){ .gradient = s->cotangent });
    if (status == TARN_OK) assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
    return status;
}

static void expect_bits(const op_array *a, const op_array *e, uint64_t n)
{
    assert_int_equal(a->n, e->n);
    if (memcmp(a->data, e->data, (size_t)a->n * sizeof(double)) != 0)
        fail_msg("%s: acquisition %llu failed, and the repetition gave other bits", op_trial_text,
                 (unsigned long long)n);
}

/* ---- the loop */

/* One pass whose n-th acquisition fails, and its repetition. False if it has not so many. */
static bool fail_one(tarn_manager *tm, op_trial *t, const op_pass *pass, const op_gradients *e,
                     uint64_t n)
{
    TARN_SCOPE(tm);
    subject s = make_subject(tm, t, pass, e);
    const tarn_pool_stats before = tarn_pool_get_stats(pool);
    check_fail_acquisition(pool, n);
    const tarn_status status = run(tm, &s, NULL);
    check_fail_acquisition(pool, 0);
    const tarn_pool_stats after = tarn_pool_get_stats(pool);
    const bool failed = after.failed_acquisitions > before.failed_acquisitions;

    if (failed != (status == TARN_ENOMEM) || (!failed && status != TARN_OK))
        fail_msg("%s: acquisition %llu %s, and the status is %s: %s", op_trial_text,
                 (unsigned long long)n, failed ? "failed" : "did not fail",
                 tarn_status_name(status), tarn_error_message(tm));
    if (failed) check_error_part(tm, TARN_ENOMEM, "out of memory");
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
    assert_in_range(after.live_blocks, before.live_blocks,
                    before.live_blocks + (uint64_t)t->n); /* gradients of leaves */
    if (!failed) return false;

    op_array out;
    check_status(run(tm, &s, &out), TARN_OK);
    expect_bits(&out, &e->out, n);
    op_array_free(&out);
    for (int i = 0; i < t->n && s.cotangent != NULL; i++) {
        op_array g;
        if (!op_is_float(t, i)) continue;
        op_array_read(&g, tarn_grad_of(s.of.leaf[i]));
        expect_bits(&g, &e->of[i], n);
        op_array_free(&g);
    }
    return true;
}

static op_gradients undisturbed(tarn_manager *tm, op_trial *t, const op_pass *pass)
{
    op_gradients g = { .largest = 0 };
    if (op_is_differentiable(t)) return op_differentiate(tm, t, pass);
    subject s = make_subject(tm, t, pass, NULL);
    check_status(run(tm, &s, &g.out), TARN_OK);
    return g;
}

static int check_faults(tarn_manager *tm, op_trial *t)
{
    static const op_pass passes[] = { { .dtype = TARN_F32 },
                                      { .dtype = TARN_F64, .layout = OP_SLICED } };
    uint64_t checks = 0;
    for (int i = 0; i < OP_LENGTH(passes); i++) {
        if (!op_trial_allows(t, passes[i].layout)) continue;
        op_gradients e = undisturbed(tm, t, &passes[i]);
        const uint64_t live = tarn_pool_get_stats(pool).live_blocks;
        uint64_t n = 1;
        while (fail_one(tm, t, &passes[i], &e, n)) n++;
        assert_int_equal(tarn_pool_get_stats(pool).live_blocks, live);
        assert_int_equal(tarn_pool_check(pool), TARN_OK);
        op_free_gradients(&e);
        checks += n;
    }
    return (int)checks;
}

static void every_acquisition_fails_once(void **state)
{
    check_fixture *f = *state;
    pool = f->pool;
    op_drive(f->tm, "faults", MOST, check_faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acquisition_fails_once, check_setup, check_teardown),
    };
    return cmocka_run_group_tests_name("op_faults", tests, NULL, NULL);
}
