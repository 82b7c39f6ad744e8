/* SPDX-License-Identifier: MIT
 * test_steady.c - the steady state: after a few steps of training nothing is asked of the heap or
 * the system any more.
 *
 * It is seen from three sides: by tarn's own figures, by counting the calls of malloc and its kin,
 * which this program replaces, and by a process in which every call of the system for memory is
 * trapped and page faults are counted. Each must also notice what is planted into a step. */
#define _GNU_SOURCE /* si_syscall, MAP_ANONYMOUS */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Sanitizers and Valgrind use heap and system themselves, and replace malloc. */
static bool is_checked(void) { return check_scaled(1000) != 1000; }

enum { WARM_UP = 20, STEPS = 1000 };

static int n_steps(void) { return is_checked() ? 10 : STEPS; }

/* ---- malloc and its kin, counted */

static volatile uint64_t n_heap_calls;

#if !defined(SANITIZED)
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *memory);

void *malloc(size_t bytes)
{
    n_heap_calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    n_heap_calls++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    n_heap_calls++;
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    n_heap_calls++;
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    n_heap_calls++;
    *out = __libc_memalign(alignment, bytes);
    return *out == NULL ? ENOMEM : 0;
}

void free(void *memory)
{
    n_heap_calls++;
    __libc_free(memory);
}
#endif

/* ---- what is trained */

typedef enum plant {
    NOTHING,
    HEAP_CALL,   /* malloc and free of a few bytes */
    SYSTEM_CALL, /* mmap and munmap of a page */
    PAGE_FAULT,  /* a page that was never touched */
    NEW_SIZE,    /* a tensor larger than any before */
    FORGOTTEN,   /* a tensor that stays */
    N_PLANTS
} plant;

static unsigned char *fresh_pages; /* for PAGE_FAULT: one a step */

typedef struct trainee {
    const char *name;
    tarn_pool *pool;
    tarn_manager *tm;
    tarn_tensor *x, *y;
    tarn_module *net;
    tarn_mlp mlp;
    tarn_optimizer *opt;
    tarn_loader *train, *test; /* of the one that reads images */
    tarn_plan *plan;           /* of the step; NULL: it is called */
    bool is_xor;
    plant plant;
    int step;
} trainee;

/* Models: XOR (2-8-1) and an MLP 784-128-10 on 64 rows; each with SGD and with Adam. The last
 * trains that MLP as one trains on MNIST: shuffled batches of images, of which the last is smaller,
 * and a test after each epoch. An epoch has 8 steps. Then the same again, planned. */
enum { N_KINDS = 5, N_TRAINEES = 2 * N_KINDS, IMAGES = 500 };

static tarn_loader *open_loader(tarn_manager *tm, int64_t batch, uint64_t stream)
{
    tarn_tensor *images = tarn_cast(
        tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(IMAGES, 28, 28), 0, 256, stream), TARN_U8);
    tarn_tensor *labels = tarn_cast(
        tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(IMAGES), 0, 10, stream + 1), TARN_U8);
    return tarn_loader_create(
        images, labels,
        &(tarn_loader_options){
            .batch_size = batch, .shuffle = true, .flatten = true, .scale = 1.0 / 255 });
}

static tarn_tensor *train_on(tarn_tensor *const *inputs, int n, void *context)
{
    trainee *t = context;
    (void)n;
    tarn_tensor *logits = tarn_mlp_forward(&t->mlp, inputs[0]);
    tarn_tensor *loss =
        t->is_xor ? tarn_bce_with_logits(logits, inputs[1]) : tarn_cross_entropy(logits, inputs[1]);
    tarn_backward(loss);
    tarn_optimizer_step(t->opt);
    return loss;
}

static void begin(trainee *t, int number)
{
    const bool planned = number >= N_KINDS;
    const int which = number % N_KINDS;
    static const char *const names[] = { "xor, sgd", "xor, adam", "mlp, sgd", "mlp, adam",
                                         "images, sgd" };
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    *t = (trainee){ .name = names[which], .is_xor = which < 2 };
    t->pool = tarn_pool_create(NULL, NULL);
    t->tm = tarn_manager_create(&(tarn_manager_options){ .pool = t->pool, .seed = 42 });
    t->net = tarn_module_create(t->tm);
    if (t->is_xor) {
        t->x = tarn_from_array(t->tm, TARN_F32, TARN_SHAPE(4, 2), X);
        t->y = tarn_from_array(t->tm, TARN_F32, TARN_SHAPE(4, 1), Y);
        t->mlp = tarn_mlp_create(t->net, "xor", (const int64_t[]){ 2, 8, 1 }, 3,
                                 &(tarn_mlp_options){ .activation = TARN_TANH });
    } else {
        const int64_t rows = is_checked() ? 4 : 64;
        t->x = tarn_random_uniform(t->tm, TARN_F32, TARN_SHAPE(rows, 784), 0, 1, 1);
        t->y =
            tarn_cast(tarn_random_uniform(t->tm, TARN_F32, TARN_SHAPE(rows), 0, 10, 2), TARN_I32);
        t->mlp = tarn_mlp_create(t->net, "mlp", (const int64_t[]){ 784, 128, 10 }, 3, NULL);
    }
    if (which == 4) {
        t->train = open_loader(t->tm, 64, 10);
        t->test = open_loader(t->tm, 300, 20);
    }
    t->opt = which % 2 == 0 ? tarn_sgd_create(t->net, &(tarn_sgd_options){ .momentum = 0.9 })
                            : tarn_adam_create(t->net, NULL);
    if (planned) t->plan = tarn_plan_create(t->tm, train_on, t, NULL);
}

/* What a careless change might add to a step. */
static void do_harm(const trainee *t)
{
    static void *volatile memory; /* volatile: no compiler may think it away */
    switch (t->plant) {
    case HEAP_CALL:
        memory = malloc(24);
        free(memory);
        break;
    case SYSTEM_CALL:
        memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(memory, 4096);
        break;
    case PAGE_FAULT: fresh_pages[(size_t)t->step * 4096] = 1; break;
    case NEW_SIZE: (void)tarn_empty(t->tm, TARN_U8, TARN_SHAPE(100000 + 10000 * t->step)); break;
    case FORGOTTEN: (void)tarn_retain(tarn_empty(t->tm, TARN_U8, TARN_SHAPE(1))); break;
    case NOTHING:
    case N_PLANTS: break;
    }
}

/* The next batch; between epochs, a test. */
static void next_batch(trainee *t)
{
    tarn_tensor *x, *y;
    if (t->train == NULL || tarn_loader_next(t->train, &t->x, &t->y)) return;
    while (tarn_loader_next(t->test, &x, &y)) {
        TARN_NO_GRAD(t->tm);
        assert_true(tarn_count_correct(tarn_mlp_forward(&t->mlp, x), y) >= 0);
    }
    assert_true(tarn_loader_next(t->train, &t->x, &t->y));
}

static void train(trainee *t)
{
    TARN_SCOPE(t->tm);
    const tarn_list inputs = TARN_LIST(t->x, t->y);
    (void)(t->plan != NULL ? tarn_plan_run(t->plan, inputs) : train_on(inputs.items, 2, t));
    do_harm(t);
}

static void step(trainee *t)
{
    next_batch(t);
    train(t);
    if (++t->step >= WARM_UP && t->plant == NOTHING)
        check_status(tarn_expect_steady(t->tm), TARN_OK);
}

static void steps(trainee *t, int n)
{
    for (int i = 0; i < n; i++) step(t);
}

static void end(trainee *t)
{
    assert_string_equal(tarn_error_message(t->tm), "");
    assert_int_equal(tarn_optimizer_steps(t->opt), t->step);
    (void)tarn_manager_destroy(t->tm); /* with what was planted */
    assert_int_equal(tarn_pool_check(t->pool), TARN_OK);
    check_status(tarn_pool_destroy(t->pool), TARN_OK);
}

/* ---- tarn's own figures */

/* How many of the steps differ from the steady state. */
static int restless_steps(trainee *t)
{
    int restless = 0;
    const tarn_manager_stats tensors = tarn_manager_get_stats(t->tm);
    tarn_pool_stats before = tarn_pool_get_stats(t->pool);
    for (int i = 0; i < n_steps(); i++) {
        step(t);
        const tarn_pool_stats now = tarn_pool_get_stats(t->pool);
        const tarn_manager_stats held = tarn_manager_get_stats(t->tm);
        const bool quiet =
            now.system_allocations == before.system_allocations &&
            now.system_releases == before.system_releases && now.misses == before.misses &&
            now.reserved == before.reserved && now.metadata == before.metadata &&
            now.zeroed_bytes == before.zeroed_bytes &&
            now.pool_allocations - before.pool_allocations == now.allocations - before.allocations;
        const bool back = now.live_blocks == before.live_blocks &&
                          now.current_usage == before.current_usage &&
                          now.in_use == before.in_use && held.handles == tensors.handles &&
                          held.active == tensors.active && held.tape_length == 0;
        restless += !quiet || !back;
        before = now;
    }
    return restless;
}

static void every_acquisition_is_served_by_the_pool(void **state)
{
    (void)state;
    for (int which = 0; which < N_TRAINEES; which++) {
        trainee t;
        begin(&t, which);
        steps(&t, WARM_UP);
        const uint64_t before = tarn_pool_get_stats(t.pool).allocations;
        const int restless = restless_steps(&t);
        if (restless != 0) fail_msg("%s: %d steps are not in the steady state", t.name, restless);
        const double acquisitions =
            (double)(tarn_pool_get_stats(t.pool).allocations - before) / n_steps();
        print_message("%-10s %-8s %4.1f acquisitions a step, all reused\n", t.name,
                      t.plan != NULL ? "planned" : "", acquisitions);
        if (t.plan == NULL) assert_true(acquisitions >= 3);
        else if (t.train == NULL) assert_int_equal((int)(1000 * acquisitions), 0);
        assert_true(t.plan == NULL || tarn_plan_is_replayed(t.plan));
        if (t.is_xor) {
            t.plant = NEW_SIZE;
            assert_true(restless_steps(&t) > 0);
            t.plant = FORGOTTEN;
            assert_int_equal(restless_steps(&t), n_steps());
        }
        end(&t);
    }
}

/* ---- the heap */

static void no_step_calls_the_heap(void **state)
{
    (void)state;
    if (is_checked()) skip();
    for (int which = 0; which < N_TRAINEES; which++) {
        trainee t;
        begin(&t, which);
        steps(&t, WARM_UP);
        uint64_t before = n_heap_calls;
        steps(&t, STEPS);
        const uint64_t calls = n_heap_calls - before;
        if (calls != 0)
            fail_msg("%s: %llu calls of malloc and its kin", t.name, (unsigned long long)calls);
        t.plant = HEAP_CALL;
        before = n_heap_calls;
        steps(&t, 10);
        assert_int_equal(n_heap_calls - before, 2 * 10);
        end(&t);
    }
}

/* ---- the system */

/* What the trapped process tells. */
typedef struct told {
    volatile int trapped; /* the number of the system call */
    volatile long faults; /* in the quietest of three rounds */
    volatile long steps;  /* done */
} told;

static told *shared;

enum { EXIT_QUIET, EXIT_TRAPPED, EXIT_NO_FILTER, EXIT_ERROR };

static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    shared->trapped = info->si_syscall;
    _exit(EXIT_TRAPPED);
}

/* From here on each of these calls raises SIGSYS instead of being done. */
static bool trap_calls_for_memory(void)
{
    static const unsigned calls[] = { SYS_mmap, SYS_munmap, SYS_brk, SYS_madvise, SYS_mremap };
    enum { N = sizeof calls / sizeof calls[0] };
    struct sock_filter filter[N + 3];
    filter[0] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned char i = 0; i < N; i++)
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i],
                                                     (unsigned char)(N - i), 0);
    filter[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    const struct sock_fprog program = { N + 3, filter };
    struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static long faults_so_far(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt : -1;
}

/* In a process of its own: warms up, then trains with the trap set. Other things can fault once, so
 * that the quietest of three rounds counts; a fault of a step would be in each. */
static void train_trapped(int which, plant planted)
{
    trainee t;
    begin(&t, which);
    steps(&t, WARM_UP);
    t.plant = planted;
    t.step = 0;
    (void)faults_so_far();
    if (!trap_calls_for_memory()) _exit(EXIT_NO_FILTER);
    shared->faults = -1;
    for (int round = 0; round < 3 && shared->faults != 0; round++) {
        const long before = faults_so_far();
        steps(&t, STEPS);
        const long faults = faults_so_far() - before;
        if (shared->faults < 0 || faults < shared->faults) shared->faults = faults;
        shared->steps += STEPS;
    }
    _exit(tarn_ok(t.tm) ? EXIT_QUIET : EXIT_ERROR);
}

static int run_trapped(int which, plant planted)
{
    *shared = (told){ .trapped = -1 };
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) train_trapped(which, planted);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) fail_msg("killed by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void no_step_calls_the_system_or_faults(void **state)
{
    (void)state;
    if (is_checked()) skip();
    for (int which = 0; which < N_TRAINEES; which++) {
        const int result = run_trapped(which, NOTHING);
        if (result == EXIT_NO_FILTER) {
            print_message("this system allows no seccomp filter\n");
            skip();
        }
        if (result == EXIT_TRAPPED) fail_msg("model %d: system call %d", which, shared->trapped);
        assert_int_equal(result, EXIT_QUIET);
        assert_true(shared->steps >= STEPS);
        if (shared->faults != 0)
            fail_msg("model %d: %ld page faults in %d steps", which, shared->faults, STEPS);
    }
    assert_int_equal(run_trapped(0, SYSTEM_CALL), EXIT_TRAPPED);
    assert_int_equal(shared->trapped, SYS_mmap);
    assert_int_equal(run_trapped(0, NEW_SIZE), EXIT_TRAPPED);
    assert_int_equal(run_trapped(0, PAGE_FAULT), EXIT_QUIET);
    assert_in_range(shared->faults, STEPS, STEPS + 100);
}

/* ---- the pages that the processes share, and those that nobody has touched */

static int setup(void **state)
{
    (void)state;
    const int how = MAP_ANONYMOUS | MAP_NORESERVE;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | how, -1, 0);
    fresh_pages =
        mmap(NULL, (size_t)3 * STEPS * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | how, -1, 0);
    if (shared == MAP_FAILED || fresh_pages == MAP_FAILED) return -1;
    (void)madvise(fresh_pages, (size_t)3 * STEPS * 4096, MADV_NOHUGEPAGE);
    (void)tarn_runtime_set_threads(1); /* OpenBLAS on several threads uses the heap by itself */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acquisition_is_served_by_the_pool),
        cmocka_unit_test(no_step_calls_the_heap),
        cmocka_unit_test(no_step_calls_the_system_or_faults),
    };
    return cmocka_run_group_tests_name("steady", tests, setup, NULL);
}
