/* SPDX-License-Identifier: MIT
 * test_schedule.c - parts of learning rates against those of PyTorch, and what schedules refuse.
 *
 * Expected values are the rates that PyTorch 1.13 gives an optimiser of rate 1 at steps 0, 1, ...
 * with the scheduler that stands at each row. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* ---- values */

enum { MAX_STEPS = 12 };

typedef struct row {
    const char *name;
    tarn_schedule schedule;
    size_t n; /* how many values follow; all later ones equal the last, if it ends */
    bool ends;
    double expected[MAX_STEPS];
} row;

static const uint64_t milestones[] = { 2, 5, 5, 8 };

static const row rows[] = {
    { "constant", { .kind = TARN_SCHEDULE_CONSTANT }, 3, true, { 1, 1, 1 } },
    /* StepLR(o, 3, 0.5) */
    { "step",
      { .kind = TARN_SCHEDULE_STEP, .every = 3, .gamma = 0.5 },
      10,
      false,
      { 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125 } },
    /* MultiStepLR(o, [2, 5, 5, 8], 0.1) */
    { "multi-step",
      { .kind = TARN_SCHEDULE_MULTI_STEP, .milestones = milestones, .n_milestones = 4 },
      10,
      true,
      { 1, 1, 0.1, 0.1, 0.1, 0.001, 0.001, 0.001, 0.0001, 0.0001 } },
    /* ExponentialLR(o, 0.9) */
    { "exponential",
      { .kind = TARN_SCHEDULE_EXPONENTIAL, .gamma = 0.9 },
      6,
      false,
      { 1, 0.9, 0.81, 0.729, 0.6561, 0.59049 } },
    /* LinearLR(o, 1, 0.2, 8) */
    { "linear",
      { .kind = TARN_SCHEDULE_LINEAR, .steps = 8, .floor = 0.2 },
      10,
      true,
      { 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2 } },
    /* CosineAnnealingLR(o, 8, 0.05) */
    { "cosine",
      { .kind = TARN_SCHEDULE_COSINE, .steps = 8, .floor = 0.05 },
      9,
      true,
      { 1, 0.96384277794286122, 0.8608757210636101, 0.70677463037341781, 0.52500000000000002,
        0.3432253696265824, 0.18912427893638994, 0.086157222057138799, 0.05 } },
    /* SequentialLR(o, [LinearLR(o, 0.25, 1, 3), CosineAnnealingLR(o, 7, 0.1)], [3]) */
    { "cosine with warm-up",
      { .kind = TARN_SCHEDULE_COSINE, .steps = 10, .floor = 0.1, .warmup = 3 },
      11,
      true,
      { 0.25, 0.5, 0.75, 1, 0.95543599055608852, 0.83057041083643002, 0.65013442028034141,
        0.44986557971965857, 0.26942958916356996, 0.14456400944391146, 0.1 } },
    /* SequentialLR(o, [LinearLR(o, 0.2, 1, 4), ExponentialLR(o, 0.9)], [4]) */
    { "exponential with warm-up",
      { .kind = TARN_SCHEDULE_EXPONENTIAL, .gamma = 0.9, .warmup = 4, .warmup_from = 0.2 },
      10,
      false,
      { 0.2, 0.4, 0.6, 0.8, 1, 0.9, 0.81, 0.729, 0.6561, 0.59049 } },
    /* ChainedScheduler([LinearLR(o, 0.2, 1, 4), StepLR(o, 4, 0.1)]) */
    { "step with warm-up",
      { .kind = TARN_SCHEDULE_STEP, .every = 4, .warmup = 4 },
      10,
      false,
      { 0.2, 0.4, 0.6, 0.8, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01 } },
    /* OneCycleLR(o, 1, total_steps=12) */
    { "one cycle",
      { .kind = TARN_SCHEDULE_ONE_CYCLE, .steps = 12 },
      12,
      true,
      { 0.04, 0.34978965421958308, 0.87928515912212868, 0.99441543545091171, 0.93301296984141169,
        0.81174565394976295, 0.64737899769510332, 0.46263710266697505, 0.28306099820869923,
        0.1334775301888306, 0.034566987425395219, 3.9999999999999998e-06 } },
    /* OneCycleLR(o, 1, total_steps=10, pct_start=0.5, div_factor=10, final_div_factor=100) */
    { "one cycle in halves",
      { .kind = TARN_SCHEDULE_ONE_CYCLE,
        .steps = 10,
        .rise = 0.5,
        .div_factor = 10,
        .final_div_factor = 100 },
      10,
      true,
      { 0.1, 0.23180194846605362, 0.55, 0.86819805153394636, 1, 0.90460398869028624,
        0.65485398869028622, 0.34614601130971379, 0.0963960113097138, 0.001 } },
    { "constant with warm-up",
      { .warmup = 4, .warmup_from = TARN_ZERO },
      6,
      true,
      { 0, 0.25, 0.5, 0.75, 1, 1 } },
    { "linear after warm-up",
      { .kind = TARN_SCHEDULE_LINEAR, .steps = 6, .warmup = 2, .warmup_from = 0.5 },
      7,
      true,
      { 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0 } },
};

static void test_values(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        double got[MAX_STEPS];
        const row *o = &rows[r];
        for (size_t t = 0; t < o->n; t++) {
            got[t] = tarn_schedule_at(&o->schedule, t);
            if (!(fabs(got[t] - o->expected[t]) <= 1e-14))
                fail_msg("%s at %zu: %.17g, not %.17g", o->name, t, got[t], o->expected[t]);
        }
        if (!o->ends) continue;
        const uint64_t late[] = { o->n, 1000, UINT64_MAX };
        for (int i = 0; i < 3; i++)
            assert_true(fabs(tarn_schedule_at(&o->schedule, late[i]) - o->expected[o->n - 1]) <=
                        1e-14);
    }
}

/* Rises and falls in one direction each, without a jump, at any length. */
static void test_lengths(void **state)
{
    (void)state;
    const double rises[] = { TARN_ZERO, 0, 0.5, 1 };
    for (uint64_t steps = 1; steps <= 40; steps++)
        for (int r = 0; r < 4; r++) {
            const tarn_schedule s = { .kind = TARN_SCHEDULE_ONE_CYCLE,
                                      .steps = steps,
                                      .rise = rises[r] };
            double before = 0;
            bool falling = false;
            for (uint64_t t = 0; t < steps; t++) {
                const double part = tarn_schedule_at(&s, t);
                assert_true(part > 0 && part <= 1 + 1e-15);
                assert_false(falling && part > before);
                falling = falling || part < before;
                before = part;
            }
        }
}

static void test_apply(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module_add_parameter(root, "weight", TARN_F32, TARN_SHAPE(2, 2), NULL);
    tarn_module_add_parameter(root, "bias", TARN_F32, TARN_SHAPE(2), NULL);
    const tarn_optimizer_group groups[] = { { .pattern = "bias", .lr_factor = 2 } };
    tarn_optimizer *sgd =
        tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 0.5, .groups = groups, .n_groups = 1 });
    const tarn_schedule s = { .kind = TARN_SCHEDULE_LINEAR, .steps = 4 };
    for (uint64_t t = 0; t < 6; t++) {
        const double part = t < 4 ? 1 - (double)t / 4 : 0;
        assert_int_equal(tarn_schedule_apply(sgd, &s, t), TARN_OK);
        assert_true(tarn_optimizer_lr(sgd) == 0.5 * part);
        assert_true(tarn_optimizer_group_lr(sgd, 0) == part);
    }
    assert_int_equal(tarn_schedule_apply(sgd, &s, 0), TARN_OK);
    assert_true(tarn_optimizer_lr(sgd) == 0.5);
}

/* ---- what is refused */

static void test_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(2), NULL);
    tarn_optimizer *sgd = tarn_sgd_create(root, NULL);
    static const uint64_t falling[] = { 5, 4 };
    const double nan = (double)NAN, inf = (double)INFINITY;
    const struct {
        tarn_schedule schedule;
        const char *text;
    } cases[] = {
        { { .kind = (tarn_schedule_kind)17 }, "unknown schedule: there is no kind 17" },
        { { .warmup_from = 1.5 }, "constant schedule: warmup_from 1.5 is not in [0, 1]" },
        { { .warmup_from = nan }, "constant schedule: warmup_from nan is not in [0, 1]" },
        { { .kind = TARN_SCHEDULE_STEP }, "step schedule: every 0 steps" },
        { { .kind = TARN_SCHEDULE_STEP, .every = 2, .gamma = -1 },
          "step schedule: gamma -1 is not in (0, inf)" },
        { { .kind = TARN_SCHEDULE_STEP, .every = 2, .warmup = 3 },
          "step schedule: warm-up of 3, the first change at 2" },
        { { .kind = TARN_SCHEDULE_MULTI_STEP, .n_milestones = 2 },
          "multi-step schedule: 2 milestones, but none is given" },
        { { .kind = TARN_SCHEDULE_MULTI_STEP, .milestones = falling, .n_milestones = 2 },
          "multi-step schedule: milestone 4 stands behind milestone 5" },
        { { .kind = TARN_SCHEDULE_MULTI_STEP,
            .milestones = milestones,
            .n_milestones = 4,
            .warmup = 3 },
          "multi-step schedule: warm-up of 3, the first milestone at 2" },
        { { .kind = TARN_SCHEDULE_MULTI_STEP, .gamma = inf },
          "multi-step schedule: gamma inf is not in (0, inf)" },
        { { .kind = TARN_SCHEDULE_EXPONENTIAL },
          "exponential schedule: gamma 0 is not in (0, inf)" },
        { { .kind = TARN_SCHEDULE_LINEAR }, "linear schedule: 0 steps, warm-up of 0" },
        { { .kind = TARN_SCHEDULE_LINEAR, .steps = 2, .floor = -0.5 },
          "linear schedule: floor -0.5 is not in [0, 1]" },
        { { .kind = TARN_SCHEDULE_COSINE, .steps = 10, .warmup = 10 },
          "cosine schedule: 10 steps, warm-up of 10" },
        { { .kind = TARN_SCHEDULE_COSINE, .steps = 10, .floor = 2 },
          "cosine schedule: floor 2 is not in [0, 1]" },
        { { .kind = TARN_SCHEDULE_ONE_CYCLE }, "one cycle schedule: 0 steps, warm-up of 0" },
        { { .kind = TARN_SCHEDULE_ONE_CYCLE, .steps = 10, .warmup = 2 },
          "one cycle schedule: warm-up of 2 beside its own rise" },
        { { .kind = TARN_SCHEDULE_ONE_CYCLE, .steps = 10, .rise = 1.25 },
          "one cycle schedule: rise 1.25 is not in [0, 1]" },
        { { .kind = TARN_SCHEDULE_ONE_CYCLE, .steps = 10, .div_factor = TARN_ZERO },
          "one cycle schedule: div_factor 0 is not in (0, inf)" },
        { { .kind = TARN_SCHEDULE_ONE_CYCLE, .steps = 10, .final_div_factor = nan },
          "one cycle schedule: final_div_factor nan is not in (0, inf)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(isnan(tarn_schedule_at(&cases[i].schedule, 1)));
        assert_int_equal(tarn_schedule_apply(sgd, &cases[i].schedule, 1), TARN_EARG);
        check_error(f->tm, TARN_EARG, cases[i].text);
    }
    assert_true(tarn_optimizer_lr(sgd) == 0.01);
    assert_true(isnan(tarn_schedule_at(NULL, 0)));
    assert_int_equal(tarn_schedule_apply(NULL, &rows[0].schedule, 0), TARN_EARG);
    assert_int_equal(tarn_schedule_apply(sgd, NULL, 0), TARN_EARG);
}

/* ---- plateaus */

static const double losses[] = { 1.0, 0.9, 0.9, 0.9,  0.89995, NAN, 0.7, 0.7, 0.7, 0.7,
                                 0.7, 0.7, 0.7, 0.69, 0.7,     0.7, 0.7, 0.7, 0.7, 0.7 };

enum { VALUES = sizeof losses / sizeof losses[0] };

typedef struct plateau_row {
    tarn_plateau plateau;
    double sign;
    size_t n;
    double expected[VALUES];
} plateau_row;

static const plateau_row plateau_rows[] = {
    /* ReduceLROnPlateau(o, factor=0.5, patience=2) */
    { { .factor = 0.5, .patience = 2 }, 1, VALUES, { 1,     1,      1,      1,      0.5,
                                                     0.5,   0.5,    0.5,    0.5,    0.25,
                                                     0.25,  0.25,   0.125,  0.125,  0.125,
                                                     0.125, 0.0625, 0.0625, 0.0625, 0.03125 } },
    /* ReduceLROnPlateau(o, factor=0.5, patience=0, cooldown=2, min_lr=0.1) */
    { { .factor = 0.5, .patience = TARN_NONE, .cooldown = 2, .floor = 0.1 },
      1,
      VALUES,
      { 1,     1,   0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125,
        0.125, 0.1, 0.1, 0.1, 0.1, 0.1,  0.1,  0.1,  0.1,   0.1 } },
    /* ReduceLROnPlateau(o, mode='max', patience=1, threshold=0.05, threshold_mode='abs') */
    { { .mode = TARN_PLATEAU_MAX, .patience = 1, .threshold = 0.05, .absolute = true },
      1,
      10,
      { 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001 } },
    /* ReduceLROnPlateau(o, mode='max', factor=0.2, patience=3, threshold=0.01, cooldown=1), of the
     * values with their signs changed */
    { { .mode = TARN_PLATEAU_MAX, .factor = 0.2, .patience = 3, .threshold = 0.01, .cooldown = 1 },
      -1,
      VALUES,
      { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.2, 0.2, 0.2 } },
};

static void test_plateaus(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof plateau_rows / sizeof plateau_rows[0]; r++) {
        tarn_plateau p = plateau_rows[r].plateau;
        for (size_t i = 0; i < plateau_rows[r].n; i++) {
            const double part = tarn_plateau_next(&p, plateau_rows[r].sign * losses[i]);
            if (!(fabs(part - plateau_rows[r].expected[i]) <= 1e-15))
                fail_msg("row %zu, value %zu: %.17g, not %.17g", r, i, part,
                         plateau_rows[r].expected[i]);
        }
    }
}

/* Ten values are waited for unless it is said otherwise; no threshold lets any gain count. */
static void test_plateau_defaults(void **state)
{
    (void)state;
    tarn_plateau p = { 0 }, q = { .threshold = TARN_ZERO };
    for (int i = 0; i <= 10; i++) assert_true(tarn_plateau_next(&p, 1) == 1);
    assert_true(tarn_plateau_next(&p, 1) == 0.1);
    assert_true(p.best == 1 && p.begun);
    for (int i = 0; i < 40; i++) assert_true(tarn_plateau_next(&q, 1 - 1e-9 * i) == 1);
    tarn_plateau copy = q; /* a plain structure: it goes on where it was */
    for (int i = 0; i < 10; i++) assert_true(tarn_plateau_next(&copy, 1) == 1);
    assert_true(tarn_plateau_next(&copy, 1) == 0.1);
    assert_true(tarn_plateau_next(&q, 1) == 1);
}

static void test_plateau_apply(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(2), NULL);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 0.5 });
    tarn_plateau p = { .factor = 0.5, .patience = 1 };
    for (int i = 0; i < 2; i++) assert_int_equal(tarn_plateau_apply(sgd, &p, 3), TARN_OK);
    assert_true(tarn_optimizer_lr(sgd) == 0.5);
    assert_int_equal(tarn_plateau_apply(sgd, &p, 3), TARN_OK);
    assert_true(tarn_optimizer_lr(sgd) == 0.25);

    const struct {
        tarn_plateau plateau;
        const char *text;
    } cases[] = {
        { { .mode = (tarn_plateau_mode)2 }, "plateau: mode 2 is out of range" },
        { { .factor = 1 }, "plateau: factor 1 is out of range" },
        { { .factor = -1 }, "plateau: factor -1 is out of range" },
        { { .threshold = (double)NAN }, "plateau: threshold nan is out of range" },
        { { .threshold = -0.5 }, "plateau: threshold -0.5 is out of range" },
        { { .floor = 1.5 }, "plateau: floor 1.5 is out of range" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_plateau bad = cases[i].plateau;
        assert_true(isnan(tarn_plateau_next(&bad, 1)));
        assert_int_equal(tarn_plateau_apply(sgd, &bad, 1), TARN_EARG);
        check_error(f->tm, TARN_EARG, cases[i].text);
        assert_false(bad.begun);
    }
    assert_true(isnan(tarn_plateau_next(NULL, 1)));
    assert_int_equal(tarn_plateau_apply(NULL, &p, 1), TARN_EARG);
    assert_int_equal(tarn_plateau_apply(sgd, NULL, 1), TARN_EARG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_values),        TEST(test_lengths),  TEST(test_apply),
        TEST(test_refused),       TEST(test_plateaus), TEST(test_plateau_defaults),
        TEST(test_plateau_apply),
    };
#undef TEST
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
