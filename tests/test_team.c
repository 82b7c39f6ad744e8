/* SPDX-License-Identifier: MIT
 * test_team.c - work that several threads do. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"
#include "core/threads.h"

enum { MOST = 64 };

static atomic_int done[MOST];
static atomic_int wrong;

static void note(void *context, int part, int parts)
{
    const int *expected = context;
    if (parts != *expected || part < 0 || part >= parts) atomic_fetch_add(&wrong, 1);
    else atomic_fetch_add(&done[part], 1);
}

static bool each_part_once(int parts)
{
    memset(done, 0, sizeof(done));
    atomic_store(&wrong, 0);
    tarn__parallel(note, &parts, parts);
    bool once = atomic_load(&wrong) == 0;
    for (int i = 0; i < MOST; i++) once = once && atomic_load(&done[i]) == (i < parts);
    return once;
}

static void every_part_is_done_once(void **state)
{
    (void)state;
    const int before = tarn__threads();
    static const int threads[] = { 1, 2, 3, 8, 2, 1, 4 };
    for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++) {
        tarn__set_threads(threads[t]);
        assert_int_equal(tarn__threads(), threads[t]);
        for (int round = 0; round < 200; round++)
            for (int parts = 1; parts <= 7; parts += 3) assert_true(each_part_once(parts));
        assert_true(each_part_once(MOST));
    }
    tarn__set_threads(before);
}

/* ---- parts within parts, and work of two threads at once: all is done */

static atomic_int inner;

static void count_inner(void *context, int part, int parts)
{
    (void)context, (void)part, (void)parts;
    atomic_fetch_add(&inner, 1);
}

static void nest(void *context, int part, int parts)
{
    (void)part, (void)parts;
    tarn__parallel(count_inner, context, 5);
}

static void work_within_work(void **state)
{
    (void)state;
    const int before = tarn__threads();
    tarn__set_threads(3);
    atomic_store(&inner, 0);
    tarn__parallel(nest, NULL, 6);
    assert_int_equal(atomic_load(&inner), 30);
    tarn__set_threads(before);
}

static void *work_a_while(void *context)
{
    for (int i = 0; i < 2000; i++) tarn__parallel(count_inner, context, 4);
    return NULL;
}

static void work_of_several_threads(void **state)
{
    pthread_t others[3];
    (void)state;
    const int before = tarn__threads();
    tarn__set_threads(2);
    atomic_store(&inner, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&others[i], NULL, work_a_while, NULL), 0);
    work_a_while(NULL);
    for (int i = 0; i < 3; i++) pthread_join(others[i], NULL);
    assert_int_equal(atomic_load(&inner), 4 * 2000 * 4);
    tarn__set_threads(before);
}

static void a_child_has_a_team_of_its_own(void **state)
{
    int status = 1;
    (void)state;
    const int before = tarn__threads();
    tarn__set_threads(3);
    assert_true(each_part_once(6));
    const pid_t child = fork();
    if (child == 0) _exit(each_part_once(6) && each_part_once(5) ? 0 : 1);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(each_part_once(6));
    tarn__set_threads(before);
}

static void parts_cover_everything(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 200; n += 7)
        for (int64_t whole = 1; whole <= 64; whole *= 4)
            for (int parts = 1; parts < 9; parts++) {
                assert_int_equal(tarn__part_begin(n, whole, 0, parts), 0);
                assert_int_equal(tarn__part_begin(n, whole, parts, parts), n);
                for (int i = 0; i < parts; i++) {
                    const int64_t begin = tarn__part_begin(n, whole, i, parts);
                    assert_true(begin <= tarn__part_begin(n, whole, i + 1, parts));
                    assert_true(begin == n || begin % whole == 0);
                }
            }
}

/* ---- results do not depend on the number */

static void train(int threads, float *weights, size_t n)
{
    tarn__set_threads(threads);
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 3 });
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 300, 700),
                l2 = tarn_linear_create(net, "l2", 700, 9);
    tarn_optimizer *opt = tarn_adam_create(net, NULL);
    tarn_tensor *x = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(65, 300), -1, 1, 1);
    tarn_tensor *y = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(65, 9), -1, 1, 2);
    for (int step = 0; step < 3; step++) {
        TARN_SCOPE(tm);
        tarn_tensor *z = tarn_tanh(tarn_linear_forward(&l1, x));
        (void)tarn_backward(tarn_mse(tarn_linear_forward(&l2, z), y));
        (void)tarn_optimizer_step(opt);
    }
    assert_true(tarn_ok(tm));
    assert_int_equal(tarn_numel(l1.weight), n);
    memcpy(weights, tarn_data(l1.weight), n * sizeof(*weights));
    tarn_manager_destroy(tm);
}

/* A long chain over many elements, of which one view has gaps and one operand is repeated. */
static void chain(int threads, double *grad, size_t n)
{
    tarn__set_threads(threads);
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 3 });
    tarn_tensor *x = tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(300, 700), -1, 1, 1);
    tarn_tensor *row = tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(700), -1, 1, 2);
    (void)tarn_require_grad(x);
    tarn_tensor *y = tarn_mul(tarn_tanh(x), tarn_sigmoid(x));
    y = tarn_add(
        tarn_add(y, row),
        tarn_mul_scalar(tarn_transpose(tarn_contiguous(tarn_transpose(x, 0, 1)), 0, 1), 3));
    (void)tarn_backward(tarn_mean(tarn_mul(y, y), TARN_ALL_AXES));
    assert_true(tarn_ok(tm));
    assert_int_equal(tarn_numel(x), n);
    memcpy(grad, tarn_data(tarn_grad_of(x)), n * sizeof(*grad));
    tarn_manager_destroy(tm);
}

static void many_elements_give_the_same_bits(void **state)
{
    enum { N = 300 * 700 };
    static double one[N], other[N];
    (void)state;
    const int before = tarn__threads();
    chain(1, one, N);
    for (int threads = 2; threads <= 4; threads++) {
        chain(threads, other, N);
        assert_memory_equal(one, other, sizeof(one));
    }
    tarn__set_threads(before);
}

static void training_gives_the_same_bits(void **state)
{
    enum { N = 300 * 700 };
    static float one[N], other[N];
    (void)state;
    const int before = tarn__threads();
    train(1, one, N);
    for (int threads = 2; threads <= 5; threads++) {
        train(threads, other, N);
        assert_memory_equal(one, other, sizeof(one));
    }
    tarn__set_threads(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_done_once),
        cmocka_unit_test(work_within_work),
        cmocka_unit_test(work_of_several_threads),
        cmocka_unit_test(a_child_has_a_team_of_its_own),
        cmocka_unit_test(parts_cover_everything),
        cmocka_unit_test(many_elements_give_the_same_bits),
        cmocka_unit_test(training_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
