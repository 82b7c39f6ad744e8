/* SPDX-License-Identifier: MIT
 * test_runtime.c - mending the kernels of BLAS.
 *
 * Mending happens once in a process, so that most cases are scenarios: this program starts itself
 * with the scenario's name. To have something to mend on every processor, a scenario may be started
 * with OPENBLAS_CORETYPE=Prescott, which OpenBLAS reads when it is loaded, and takes the variable
 * away before tarn looks. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cblas.h>
#include <cmocka.h>

#include <tarn/runtime.h>
#include <tarn/version.h>

#include "core/checkers.h"
#include "core/runtime.h"

extern char **environ;

static const char *program; /* argv[0] */

/* In a scenario: reports what does not hold and ends the scenario. */
#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            tarn_runtime_info info_ = tarn_runtime_get_info();                              \
            fprintf(stderr, "%s:%d: %s does not hold (state %d: %s)\n", __FILE__, __LINE__, \
                    #condition, (int)info_.blas_state, info_.blas_reason);                  \
            return 1;                                                                       \
        }                                                                                   \
    } while (0)

/* The products of both precisions against a plain one; large enough that OpenBLAS uses all of its
 * threads. M, K, N are no multiples of any kernel's tile. */
enum { M = 131, K = 117, N = 143 };

static bool products_are_right(void)
{
    static double a[M * K], b[K * N], y[M * N]; /* (M, K)  (K, N)  (M, N) */
    static float af[M * K], bf[K * N], yf[M * N];
    for (int i = 0; i < M * K; i++) af[i] = (float)(a[i] = (double)(i * 7 % 31) / 31.0 - 0.5);
    for (int i = 0; i < K * N; i++) bf[i] = (float)(b[i] = (double)(i * 5 % 37) / 37.0 - 0.5);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1.0, a, K, b, N, 0.0, y, N);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1.0f, af, K, bf, N, 0.0f, yf,
                N);
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            double sum = 0.0;
            for (int k = 0; k < K; k++) sum += a[i * K + k] * b[k * N + j];
            if (!(fabs(y[i * N + j] - sum) <= 1e-12) ||
                !(fabs((double)yf[i * N + j] - sum) <= 1e-4))
                return false;
        }
    }
    return true;
}

static int count_threads(void)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 0;
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(tasks);
    return n;
}

/* Whether the process runs nothing but this thread and BLAS's workers. Some sanitizers keep a
 * thread of their own. */
static bool alone(void) { return count_threads() == 1 + tarn__blas_workers(); }

/* Whether OpenBLAS was started with its slowest kernels and a better core is known; the variable is
 * taken away. */
static bool start_slow(void)
{
    tarn_runtime_info info = tarn_runtime_get_info();
    (void)unsetenv("OPENBLAS_CORETYPE");
    return info.blas_core != NULL && strcasecmp(info.blas_core, "Prescott") == 0 &&
           info.best_core != NULL && tarn__blas_can_dispatch();
}

/* What holds after a mending that was possible; the best core itself need not be built in. */
static bool is_mended(void)
{
    tarn_runtime_info info = tarn_runtime_get_info();
    return info.blas_state == TARN_BLAS_MENDED && strcasecmp(info.found_core, "Prescott") == 0 &&
           strcasecmp(info.blas_core, "Prescott") != 0 && getenv("OPENBLAS_CORETYPE") == NULL;
}

static bool is_slow(tarn_blas_state state)
{
    tarn_runtime_info info = tarn_runtime_get_info();
    return info.blas_state == state && strcasecmp(info.blas_core, "Prescott") == 0;
}

static int scenario_init(void)
{
    const bool slow = start_slow();
    tarn_runtime_info before = tarn_runtime_get_info();
    tarn_runtime_info after;
    char line[256];

    CHECK(before.blas_state == TARN_BLAS_UNTOUCHED && before.found_core == NULL);
    CHECK(strcmp(before.version, TARN_VERSION) == 0);
    CHECK(before.processors >= 1 && before.simd != NULL && before.blas != NULL);
    CHECK(strcmp(before.kernels, before.simd) == 0 || strcmp(before.kernels, "plain") == 0 ||
          getenv("TARN_SIMD") != NULL);
    CHECK(strncmp(before.math, "SLEEF, ", 7) == 0 ? strcmp(before.math + 7, before.kernels) == 0
                                                  : strcmp(before.math, "C library") == 0);
    CHECK(products_are_right());
    (void)snprintf(line, sizeof line, "%s", before.blas);

    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    after = tarn_runtime_get_info();
    CHECK(after.blas_state != TARN_BLAS_UNTOUCHED && after.blas_state != TARN_BLAS_FAILED);
    CHECK(!slow || is_mended());
    CHECK(getenv("OPENBLAS_CORETYPE") == NULL);
    CHECK(products_are_right());
    CHECK(after.blas_threads == before.blas_threads);
    CHECK(strcmp(before.blas, line) == 0); /* strings that were handed out do not change */

    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    tarn__runtime_first_manager();
    CHECK(tarn_runtime_get_info().blas_state == after.blas_state);
    CHECK(tarn_runtime_get_info().blas_core == after.blas_core);
    CHECK(tarn_runtime_init(&(tarn_runtime_options){ .kernels = TARN_BLAS_KERNELS_KEEP }) ==
          TARN_OK);
    CHECK(!slow || is_mended());
    return 0;
}

/* OpenBLAS's own choice, whatever it is on this processor. */
static int scenario_first_manager(void)
{
    const bool expected = alone();
    tarn__runtime_first_manager();
    tarn_runtime_info info = tarn_runtime_get_info();
    CHECK(info.blas_state != TARN_BLAS_UNTOUCHED && info.blas_state != TARN_BLAS_FAILED);
    CHECK(!expected || info.blas_state != TARN_BLAS_THREADS);
    CHECK(products_are_right());
    return 0;
}

static int scenario_first_manager_slow(void)
{
    const bool slow = start_slow();
    const bool expected = alone();
    tarn__runtime_first_manager();
    if (slow) CHECK(expected ? is_mended() : is_slow(TARN_BLAS_THREADS));
    tarn__runtime_first_manager();
    if (slow) CHECK(expected ? is_mended() : is_slow(TARN_BLAS_THREADS));
    CHECK(getenv("OPENBLAS_CORETYPE") == NULL);
    CHECK(products_are_right());
    return 0;
}

/* The workers that mending found alive go on working. */
static int scenario_workers(void)
{
    const bool slow = start_slow();
    int workers;
    CHECK(tarn_runtime_set_threads(2) == TARN_OK || tarn__blas_get_threads() == 0);
    CHECK(products_are_right());
    workers = tarn__blas_workers();
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    CHECK(!slow || is_mended());
    CHECK(tarn__blas_workers() == workers);
    for (int i = 0; i < 10; i++) CHECK(products_are_right());
    return 0;
}

/* The environment asks to keep the kernels: TARN_BLAS_KERNELS=keep, set by the parent. */
static int scenario_keep(void)
{
    const bool slow = start_slow();
    tarn__runtime_first_manager();
    if (slow) CHECK(is_slow(alone() ? TARN_BLAS_KEPT : TARN_BLAS_THREADS));
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    if (slow) CHECK(is_slow(TARN_BLAS_KEPT));
    CHECK(!slow || strstr(tarn_runtime_get_info().blas_reason, "TARN_BLAS_KERNELS") != NULL);
    return 0;
}

/* A value of TARN_BLAS_KERNELS that tarn does not know is reported, and nothing else. */
static int scenario_unknown(void)
{
    const bool slow = start_slow();
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    CHECK(!slow || is_mended());
    CHECK(!slow || strstr(tarn_runtime_get_info().blas_reason, "unknown value") != NULL);
    return 0;
}

/* OPENBLAS_CORETYPE is set and stays. */
static int scenario_coretype(void)
{
    tarn_runtime_info info = tarn_runtime_get_info();
    const bool slow = info.blas_core != NULL && strcasecmp(info.blas_core, "Prescott") == 0;
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    if (slow) CHECK(is_slow(TARN_BLAS_KEPT));
    CHECK(getenv("OPENBLAS_CORETYPE") != NULL);
    CHECK(strcmp(getenv("OPENBLAS_CORETYPE"), "Prescott") == 0);
    return 0;
}

/* The option asks to keep the kernels, and a later call, but no manager, to mend them. */
static int scenario_option(void)
{
    const bool slow = start_slow();
    CHECK(tarn_runtime_init(&(tarn_runtime_options){ .kernels = TARN_BLAS_KERNELS_KEEP }) ==
          TARN_OK);
    tarn__runtime_first_manager();
    if (slow) CHECK(is_slow(TARN_BLAS_KEPT));
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    CHECK(!slow || is_mended());
    return 0;
}

static atomic_bool running;

/* Another user of BLAS: one product after the other, as long as it may. */
static void *multiply(void *right)
{
    enum { SIZE = 24 };
    double a[SIZE * SIZE], y[SIZE * SIZE];
    for (int i = 0; i < SIZE * SIZE; i++) a[i] = 1.0;
    do {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1.0, a, SIZE, a,
                    SIZE, 0.0, y, SIZE);
        tarn__written(y, sizeof(y));
        if (!(fabs(y[0] - SIZE) <= 1e-12)) *(bool *)right = false;
    } while (atomic_load(&running));
    return NULL;
}

/* With another thread inside BLAS the cautious path only reports; explicit consent mends once it
 * has ended. */
static int scenario_thread(void)
{
    const bool slow = start_slow();
    bool right = true;
    pthread_t thread;
    atomic_store(&running, true);
    CHECK(pthread_create(&thread, NULL, multiply, &right) == 0);
    tarn__runtime_first_manager();
    if (slow) CHECK(is_slow(TARN_BLAS_THREADS));
    atomic_store(&running, false);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(right);
    CHECK(tarn_runtime_init(NULL) == TARN_OK);
    CHECK(!slow || is_mended());
    CHECK(products_are_right());
    return 0;
}

static void *make_manager(void *unused)
{
    (void)unused;
    tarn__runtime_first_manager();
    (void)tarn_runtime_get_info();
    return NULL;
}

static void *init(void *unused)
{
    (void)unused;
    (void)tarn_runtime_init(NULL);
    (void)tarn_runtime_get_info();
    return NULL;
}

static int run_threads(void *(*work)(void *))
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

static int scenario_managers_at_once(void)
{
    const bool slow = start_slow();
    CHECK(run_threads(make_manager) == 0);
    if (slow) CHECK(is_slow(TARN_BLAS_THREADS));
    CHECK(products_are_right());
    return 0;
}

static int scenario_inits_at_once(void)
{
    const bool slow = start_slow();
    CHECK(run_threads(init) == 0);
    CHECK(!slow || is_mended());
    CHECK(products_are_right());
    return 0;
}

/* What a forked child does: it has one thread, whatever its parent had. */
static int in_child(bool slow, bool multiplies)
{
    const bool expected = alone();
    tarn__runtime_first_manager();
    if (slow) CHECK(expected ? is_mended() : is_slow(TARN_BLAS_THREADS));
    CHECK(!multiplies || products_are_right());
    return 0;
}

static int fork_child(bool slow, bool multiplies)
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0) _exit(in_child(slow, multiplies));
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    return 0;
}

static int scenario_fork(void)
{
    const bool slow = start_slow();
    CHECK(products_are_right());
    CHECK(fork_child(slow, true) == 0);
    CHECK(tarn_runtime_get_info().blas_state == TARN_BLAS_UNTOUCHED);
    CHECK(products_are_right());
    return scenario_first_manager();
}

/* The same while another thread is inside BLAS. The child mends without touching a lock of BLAS,
 * which may be held for ever; for the same reason it does not multiply. */
static int scenario_fork_thread(void)
{
    const bool slow = start_slow();
    bool right = true;
    int failed = 0;
    pthread_t thread;
    atomic_store(&running, true);
    CHECK(pthread_create(&thread, NULL, multiply, &right) == 0);
    for (int i = 0; i < 20; i++) failed |= fork_child(slow, false);
    atomic_store(&running, false);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(right && failed == 0);
    return 0;
}

static int scenario_threads(void)
{
    const bool settable = tarn_runtime_set_threads(1) == TARN_OK;
    CHECK(settable == (tarn_runtime_init(&(tarn_runtime_options){ .threads = 2 }) == TARN_OK));
    if (settable) {
        const int n = tarn_runtime_get_info().blas_threads;
        CHECK(n == 2 || n == 1); /* 1 where BLAS was built without threads */
        CHECK(products_are_right());
        CHECK(tarn_runtime_init(NULL) == TARN_OK);
        CHECK(tarn_runtime_get_info().blas_threads == n);
        CHECK(tarn_runtime_set_threads(1) == TARN_OK);
        CHECK(tarn_runtime_get_info().blas_threads == 1);
    }
    return 0;
}

typedef struct scenario {
    const char *name;
    int (*run)(void);
    bool slow;           /* start with OpenBLAS's slowest kernels */
    const char *kernels; /* the value of TARN_BLAS_KERNELS; NULL: unset */
} scenario;

static const scenario scenarios[] = {
    { "init", scenario_init, false, NULL },
    { "init, slow kernels", scenario_init, true, NULL },
    { "init, asked to mend", scenario_init, true, "mend" },
    { "first manager", scenario_first_manager, false, NULL },
    { "first manager, slow kernels", scenario_first_manager_slow, true, NULL },
    { "workers", scenario_workers, true, NULL },
    { "keep by variable", scenario_keep, true, "keep" },
    { "variable of unknown value", scenario_unknown, true, "Keep" },
    { "a core of the user's", scenario_coretype, true, NULL },
    { "keep by option", scenario_option, true, NULL },
    { "another thread in BLAS", scenario_thread, true, NULL },
    { "managers at once", scenario_managers_at_once, true, NULL },
    { "inits at once", scenario_inits_at_once, true, NULL },
    { "fork", scenario_fork, true, NULL },
    { "fork beside a thread in BLAS", scenario_fork_thread, true, NULL },
    { "threads", scenario_threads, false, NULL },
};

enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Starts this program for one scenario, with the environment that it wants. */
static void run_scenario(void **state)
{
    const scenario *s = *state;
    char *arguments[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)s->name, NULL };
    pid_t child = -1;
    int status = -1;
    int failed;

    if (s->slow) assert_int_equal(setenv("OPENBLAS_CORETYPE", "Prescott", 1), 0);
    if (s->kernels != NULL) assert_int_equal(setenv("TARN_BLAS_KERNELS", s->kernels, 1), 0);
    failed = posix_spawnp(&child, program, NULL, NULL, arguments, environ);
    (void)unsetenv("OPENBLAS_CORETYPE");
    (void)unsetenv("TARN_BLAS_KERNELS");
    assert_int_equal(failed, 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_bad_options(void **state)
{
    tarn_runtime_info info;
    (void)state;
    assert_int_equal(tarn_runtime_init(&(tarn_runtime_options){ .threads = -1 }), TARN_EARG);
    assert_int_equal(tarn_runtime_init(&(tarn_runtime_options){ .kernels = (tarn_blas_kernels)2 }),
                     TARN_EARG);
    assert_int_equal(tarn_runtime_set_threads(0), TARN_EARG);
    assert_int_equal(tarn_runtime_set_threads(-3), TARN_EARG);
    info = tarn_runtime_get_info();
    assert_int_equal(info.blas_state, TARN_BLAS_UNTOUCHED);
    assert_null(info.found_core);
}

/* The same as in the scenarios, but in this process, which a checker such as Valgrind follows. */
static void test_here(void **state)
{
    tarn_runtime_info info;
    (void)state;
    assert_true(products_are_right());
    tarn__runtime_first_manager();
    assert_int_equal(tarn_runtime_init(NULL), TARN_OK);
    assert_true(products_are_right());
    assert_null(getenv("OPENBLAS_CORETYPE"));
    info = tarn_runtime_get_info();
    print_message("%s\n%s (found %s, best %s): %s\n%d BLAS threads, %d processors, %s, %s\n",
                  info.blas, info.blas_core ? info.blas_core : "?",
                  info.found_core ? info.found_core : "?", info.best_core ? info.best_core : "?",
                  info.blas_reason, info.blas_threads, info.processors, info.simd, info.math);
    assert_int_not_equal(info.blas_state, TARN_BLAS_UNTOUCHED);
    assert_int_not_equal(info.blas_state, TARN_BLAS_FAILED);
    assert_int_not_equal(info.blas_state, TARN_BLAS_THREADS);
}

static int run_named(const char *name)
{
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        if (strcmp(scenarios[i].name, name) == 0) return scenarios[i].run();
    }
    fprintf(stderr, "unknown scenario: %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 + N_SCENARIOS] = {
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_here),
    };
    if (argc > 1) return run_named(argv[1]);
    program = argv[0];
    /* The variables of the user who runs the tests would change what they test. */
    (void)unsetenv("OPENBLAS_CORETYPE");
    (void)unsetenv("TARN_BLAS_KERNELS");
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        tests[2 + i] = (struct CMUnitTest){ .name = scenarios[i].name,
                                            .test_func = run_scenario,
                                            .initial_state = (void *)(uintptr_t)&scenarios[i] };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
