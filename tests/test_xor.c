/* SPDX-License-Identifier: MIT
 * test_xor.c - the program of the README learns the exclusive or from every seed, and the same from
 * the same seed.
 *
 * TARN_TEST_SEEDS in the environment sets how many seeds are tried. */
#include <stdlib.h>

#include <tarn/tarn.h>

#include "check.h"

static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };

typedef struct outcome {
    uint64_t digest;
    double loss;      /* of the last step */
    float answers[4]; /* logits */
} outcome;

/* 500 steps of the program in the README, on a pool that must be empty after it. */
static outcome train(tarn_pool *pool, uint64_t seed)
{
    outcome o = { 0 };
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool, .seed = seed });
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });

    for (int step = 0; step < 500 && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&l1, x));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y);
        tarn_backward(loss);
        tarn_optimizer_step(opt);
        o.loss = tarn_item(loss);
    }
    {
        TARN_NO_GRAD(tm);
        tarn_tensor *logits = tarn_linear_forward(&l2, tarn_tanh(tarn_linear_forward(&l1, x)));
        tarn_copy_to(logits, o.answers, sizeof o.answers);
    }
    o.digest = tarn_module_digest(net);
    assert_string_equal(tarn_error_message(tm), "");
    assert_int_equal(tarn_optimizer_steps(opt), 500);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    assert_int_equal(tarn_pool_get_stats(pool).live_blocks, 0);
    return o;
}

static bool all_right(const outcome *o)
{
    for (int i = 0; i < 4; i++)
        if (!(Y[i] > 0 ? o->answers[i] > 0 : o->answers[i] < 0)) return false;
    return true;
}

static uint64_t n_seeds(void)
{
    const char *text = getenv("TARN_TEST_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : check_scaled(1000);
}

static void every_seed_learns(void **state)
{
    tarn_pool *pool = ((check_fixture *)*state)->pool;
    double worst = 0;
    uint64_t worst_seed = 0, failures = 0;
    for (uint64_t seed = 0; seed < n_seeds(); seed++) {
        const outcome o = train(pool, seed);
        if (!(o.loss <= worst)) {
            worst = o.loss;
            worst_seed = seed;
        }
        if (all_right(&o)) continue;
        failures++;
        print_message("seed %llu: loss %g, logits %g %g %g %g\n", (unsigned long long)seed, o.loss,
                      (double)o.answers[0], (double)o.answers[1], (double)o.answers[2],
                      (double)o.answers[3]);
    }
    print_message("xor: %llu seeds, worst loss %.5f (seed %llu)\n", (unsigned long long)n_seeds(),
                  worst, (unsigned long long)worst_seed);
    assert_int_equal(failures, 0);
}

static void a_seed_decides_every_bit(void **state)
{
    tarn_pool *pool = ((check_fixture *)*state)->pool;
    tarn_pool *fresh = tarn_pool_create(NULL, NULL);
    const outcome a = train(pool, 42), b = train(pool, 42), c = train(pool, 43),
                  d = train(fresh, 42);
    assert_true(a.digest == b.digest && a.digest == d.digest);
    assert_memory_equal(&a.loss, &b.loss, sizeof a.loss);
    assert_memory_equal(a.answers, d.answers, sizeof a.answers);
    assert_true(a.digest != c.digest);
    assert_int_equal(tarn_pool_destroy(fresh), TARN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_seed_learns, check_setup_pool, check_teardown),
        cmocka_unit_test_setup_teardown(a_seed_decides_every_bit, check_setup_pool, check_teardown),
    };
    return cmocka_run_group_tests_name("xor", tests, NULL, NULL);
}
