/* SPDX-License-Identifier: MIT
 * test_arena.c - one piece of memory as a system: what it hands out and takes back, and a network
 * that is trained wholly inside it. */
#define _GNU_SOURCE /* posix_memalign */

#include "check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* ---- memory with something in it */

enum { FILL = 0xa5, MARGIN = 128 };

/* `bytes` bytes that begin `shift` bytes behind a multiple of 64, and margins that nobody may
 * write. */
typedef struct field {
    unsigned char *all, *memory;
    size_t bytes;
} field;

static field field_new(size_t bytes, size_t shift)
{
    field f = { .bytes = bytes };
    const size_t whole = (bytes + shift + 2 * MARGIN + 63) / 64 * 64;
    f.all = aligned_alloc(64, whole);
    assert_non_null(f.all);
    memset(f.all, FILL, whole);
    f.memory = f.all + MARGIN + shift;
    return f;
}

static void field_end(field *f)
{
    check_bytes(f->all, FILL, (size_t)(f->memory - f->all));
    check_bytes(f->memory + f->bytes, FILL, MARGIN);
    free(f->all);
}

static void *take(const tarn_system *s, size_t bytes) { return s->reserve(s->context, bytes); }

static void give(const tarn_system *s, void *memory, size_t bytes)
{
    s->release(s->context, memory, bytes);
}

static tarn_system arena_on(const field *f)
{
    tarn_system s;
    check_status(tarn_system_from_arena(f->memory, f->bytes, &s), TARN_OK);
    assert_true(s.reserve != NULL && s.release != NULL && s.context != NULL);
    return s;
}

/* All of it is one free piece again. */
static void check_whole(const tarn_system *s, size_t free_bytes)
{
    assert_int_equal(tarn_arena_free_bytes(s), free_bytes);
    assert_int_equal(tarn_arena_largest_free(s), free_bytes);
}

/* ---- beginning */

static void what_is_no_arena_is_refused(void **state)
{
    (void)state;
    unsigned char memory[4 * 1024];
    tarn_system s = { .context = memory };
    check_status(tarn_system_from_arena(NULL, 4096, &s), TARN_EARG);
    assert_true(s.reserve == NULL && s.release == NULL && s.context == NULL && s.advise == NULL);
    check_status(tarn_system_from_arena(memory, 4096, NULL), TARN_EARG);
    check_status(tarn_system_from_arena(memory, SIZE_MAX, &s), TARN_EARG);
    for (size_t bytes = 0; bytes < 1024; bytes += 93) {
        s.context = memory;
        check_status(tarn_system_from_arena(memory, bytes, &s), TARN_ENOMEM);
        assert_true(s.reserve == NULL && s.release == NULL && s.context == NULL);
    }
    check_status(tarn_system_from_arena(memory, 1023, &s), TARN_ENOMEM);

    assert_int_equal(tarn_arena_free_bytes(NULL), 0);
    assert_int_equal(tarn_arena_largest_free(NULL), 0);
    assert_int_equal(tarn_arena_free_bytes(&s), 0);
    check_system other;
    check_system_begin(&other);
    assert_int_equal(tarn_arena_free_bytes(&other.system), 0);
    assert_int_equal(tarn_arena_largest_free(&other.system), 0);
    check_system_end(&other);
}

/* Small ones and every alignment: little is lost, nothing is written outside. */
static void every_memory_will_do(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 64; shift++) {
        for (size_t bytes = 1024; bytes < 1024 + 192; bytes += 37) {
            field f = field_new(bytes, shift);
            const tarn_system s = arena_on(&f);
            const size_t all = tarn_arena_free_bytes(&s);
            check_whole(&s, all);
            assert_true(all <= bytes - 64 && all + 64 + 63 + 63 >= bytes);
            assert_null(take(&s, all + 1));
            unsigned char *memory = take(&s, all);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 64, 0);
            assert_true(memory >= f.memory && memory + all <= f.memory + f.bytes);
            check_bytes(memory, 0, all);
            memset(memory, 0x5a, all);
            check_whole(&s, 0);
            assert_null(take(&s, 0));
            assert_null(take(&s, 1));
            give(&s, memory, all);
            check_whole(&s, all);
            field_end(&f);
        }
    }
}

/* ---- first fit, and joining again */

static void the_first_that_fits_is_taken(void **state)
{
    (void)state;
    field f = field_new(64 * KIB, 0);
    const tarn_system s = arena_on(&f);
    unsigned char *p[6];
    for (size_t i = 0; i < 6; i++) {
        p[i] = take(&s, 1000 * (i + 1));
        assert_non_null(p[i]);
        assert_true(i == 0 || p[i] > p[i - 1]);
    }
    give(&s, p[1], 2000);
    give(&s, p[4], 5000);
    assert_ptr_equal(take(&s, 2000), p[1]);
    assert_ptr_equal(take(&s, 2100), p[4]); /* the rest of it stays free */
    unsigned char *rest = take(&s, 2100);
    assert_true(rest > p[4] + 2100 && rest + 2100 <= p[5]);
    field_end(&f);
}

/* Three neighbours, in every order of release. */
static void neighbours_are_joined(void **state)
{
    (void)state;
    static const size_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                         { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    field f = field_new(4 * KIB, 24);
    const tarn_system s = arena_on(&f);
    const size_t all = tarn_arena_free_bytes(&s);
    for (size_t i = 0; i < 6; i++) {
        void *p[3];
        for (size_t j = 0; j < 3; j++) p[j] = take(&s, 500);
        void *last = take(&s, tarn_arena_largest_free(&s));
        assert_non_null(last);
        check_whole(&s, 0);
        for (size_t j = 0; j < 3; j++) give(&s, p[orders[i][j]], 500);
        assert_true(tarn_arena_largest_free(&s) >= 1500);
        assert_int_equal(tarn_arena_free_bytes(&s), tarn_arena_largest_free(&s));
        assert_ptr_equal(take(&s, 1500), p[0]);
        give(&s, p[0], 1500);
        give(&s, last, all - tarn_arena_largest_free(&s) - 16);
        check_whole(&s, all);
    }
    field_end(&f);
}

static void the_smallest_fill_it_and_come_back(void **state)
{
    (void)state;
    enum { N = 4096 };
    static unsigned char *p[N];
    field f = field_new(64 * KIB, 8);
    const tarn_system s = arena_on(&f);
    const size_t all = tarn_arena_free_bytes(&s);
    size_t n = 0;
    while (n < N && (p[n] = take(&s, n % 2)) != NULL) n++; /* 0 is a request, too */
    assert_true(n > 64 * KIB / 64 - 4 && n < N);
    check_whole(&s, 0);
    for (size_t i = 0; i < n; i += 2) give(&s, p[i], i % 2);
    assert_true(tarn_arena_largest_free(&s) < 64);
    for (size_t i = 1; i < n; i += 2) give(&s, p[i], i % 2);
    check_whole(&s, all);
    field_end(&f);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    field f = field_new(4 * KIB, 0);
    const tarn_system s = arena_on(&f);
    const size_t all = tarn_arena_free_bytes(&s);
    for (size_t i = 0; i < 200; i++) assert_null(take(&s, SIZE_MAX - i));
    assert_null(take(&s, (size_t)PTRDIFF_MAX));
    check_whole(&s, all);
    field_end(&f);
}

/* ---- what it never gave */

static void wrong_releases_are_ignored(void **state)
{
    (void)state;
    field f = field_new(16 * KIB, 0), other = field_new(16 * KIB, 0);
    const tarn_system s = arena_on(&f), t = arena_on(&other);
    const size_t all = tarn_arena_free_bytes(&s);
    unsigned char *a = take(&s, 1000), *b = take(&s, 1000), *c = take(&s, 1000);
    unsigned char *foreign = take(&t, 1000);
    memset(b, 0, 1000);
    size_t left = tarn_arena_free_bytes(&s);

    give(&s, NULL, 0);
    give(&s, NULL, 1000);
    give(&s, b, 0);
    give(&s, b, 999);
    give(&s, b, 1001);
    give(&s, b, SIZE_MAX);
    give(&s, b + 64, 936);
    give(&s, b + 1, 1000);
    give(&s, b - 64, 1000);
    give(&s, f.memory, 1000);
    give(&s, f.memory - 64, 1000);
    give(&s, f.memory + f.bytes, 1000);
    give(&s, foreign, 1000);
    give(&s, &left, sizeof(left));
    assert_int_equal(tarn_arena_free_bytes(&s), left);

    /* Twice: at once, joined with what lies before, and after it was cut anew. */
    give(&s, b, 1000);
    give(&s, b, 1000);
    give(&s, b, 0);
    give(&s, a, 1000);
    give(&s, a, 1000);
    give(&s, b, 1000);
    unsigned char *d = take(&s, 1500);
    assert_ptr_equal(d, a);
    memset(d, FILL, 1500);
    give(&s, b, 1000);
    give(&s, a, 1000);
    check_bytes(d, FILL, 1500);
    give(&s, d, 1500);
    give(&s, c, 1000);
    check_whole(&s, all);
    give(&s, c, 1000);
    check_whole(&s, all);
    give(&t, foreign, 1000);
    field_end(&f);
    field_end(&other);
}

/* A header that was overwritten ends what can be reached; nothing is followed out of the arena. */
static void damage_is_not_followed(void **state)
{
    (void)state;
    static const int patterns[] = { 0x00, 0xff, 0x01, 0x40, 0x7f };
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        field f = field_new(16 * KIB, 0);
        const tarn_system s = arena_on(&f);
        unsigned char *a = take(&s, 100), *b = take(&s, 100), *c = take(&s, 100);
        memset(a + 100, patterns[i], (size_t)(b - a) - 100);
        give(&s, b, 100);
        give(&s, c, 100);
        assert_true(tarn_arena_free_bytes(&s) <= 16 * KIB);
        give(&s, a, 100);
        (void)take(&s, 100);
        (void)take(&s, 1000);
        assert_true(tarn_arena_largest_free(&s) <= 16 * KIB);
        field_end(&f);
    }
}

/* ---- at random, against a record of what is held */

typedef struct holding {
    unsigned char *memory;
    size_t bytes;
    int mark;
} holding;

/* Sizes of every order of magnitude to 16 KiB. */
static size_t random_size(uint64_t *random)
{
    const unsigned bits = (unsigned)(check_random(random) % 15);
    return (size_t)(check_random(random) & ((UINT64_C(1) << bits) - 1));
}

static void check_apart(const holding *all, size_t n, const field *f, const holding *one)
{
    assert_int_equal((uintptr_t)one->memory % 64, 0);
    assert_true(one->memory >= f->memory);
    assert_true(one->memory + one->bytes <= f->memory + f->bytes);
    for (size_t i = 0; i < n; i++)
        assert_true(one->memory + one->bytes <= all[i].memory ||
                    all[i].memory + all[i].bytes <= one->memory);
}

static void random_requests_agree_with_a_record(void **state)
{
    (void)state;
    enum { MAX = 512 };
    static holding all[MAX];
    uint64_t random = check_seed();
    for (size_t round = 0; round < 4; round++) {
        field f = field_new(256 * KIB + round * 1000, (size_t)(check_random(&random) % 64));
        const tarn_system s = arena_on(&f);
        const size_t whole = tarn_arena_free_bytes(&s);
        size_t n = 0, refused = 0;
        for (size_t step = 0; step < check_scaled(50000); step++) {
            /* It fills up and empties in turns. */
            const bool fills = (step / 1000) % 2 == 0;
            if (n < MAX && check_random(&random) % 100 < (fills ? 60 : 40)) {
                const size_t bytes = random_size(&random), largest = tarn_arena_largest_free(&s);
                const holding new = { take(&s, bytes), bytes, (int)(check_random(&random) % 256) };
                /* It fails exactly when no free piece is large enough. */
                assert_true((new.memory != NULL) == ((bytes > 0 ? bytes : 1) <= largest));
                if (new.memory == NULL) {
                    refused++;
                    continue;
                }
                check_bytes(new.memory, 0, bytes);
                check_apart(all, n, &f, &new);
                memset(new.memory, new.mark, bytes);
                all[n++] = new;
            } else if (n > 0) {
                const size_t i = (size_t)(check_random(&random) % n);
                const size_t before = tarn_arena_free_bytes(&s);
                check_bytes(all[i].memory, all[i].mark, all[i].bytes);
                give(&s, all[i].memory, all[i].bytes);
                assert_true(tarn_arena_free_bytes(&s) >= before + all[i].bytes);
                all[i] = all[--n];
            }
        }
        print_message("%zu held at the end, %zu refused\n", n, refused);
        for (; n > 0; n--) {
            check_bytes(all[n - 1].memory, all[n - 1].mark, all[n - 1].bytes);
            give(&s, all[n - 1].memory, all[n - 1].bytes);
        }
        check_whole(&s, whole);
        field_end(&f);
    }
}

/* ---- a program without malloc
 *
 * Where the C library is glibc and no sanitizer stands in its place, its allocator is counted: the
 * functions here are found before its own. */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define COUNTS 0
#endif
#endif
#if !defined(COUNTS)
#if defined(__GLIBC__)
#define COUNTS 1
#else
#define COUNTS 0
#endif
#endif

static atomic_bool counting;
static atomic_uint n_calls;

#if COUNTS
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void count_call(void)
{
    if (atomic_load(&counting)) atomic_fetch_add(&n_calls, 1);
}

void *malloc(size_t bytes)
{
    count_call();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_call();
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    count_call();
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    count_call();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    count_call();
    void *given = __libc_memalign(alignment, bytes);
    if (given == NULL) return ENOMEM;
    *memory = given;
    return 0;
}
#endif

static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };

typedef struct outcome {
    tarn_status status;
    size_t retained;
    uint64_t digest;
    double first_loss, loss;
    tarn_pool_stats stats; /* before the end */
} outcome;

/* 100 steps of the program in the README. Asserts nothing, since that may allocate. */
static outcome train(const tarn_system *system)
{
    outcome o = { 0 };
    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .system = system }, &o.status);
    if (pool == NULL) return o;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool, .seed = 42 });
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });
    for (int step = 0; step < 100 && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&l1, x));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y);
        tarn_backward(loss);
        tarn_optimizer_step(opt);
        o.loss = tarn_item(loss);
        if (step == 0) o.first_loss = o.loss;
    }
    o.status = tarn_error_code(tm);
    o.digest = tarn_module_digest(net);
    o.stats = tarn_pool_get_stats(pool);
    o.retained = tarn_manager_destroy(tm);
    const tarn_status end = tarn_pool_destroy(pool);
    if (o.status == TARN_OK) o.status = end;
    return o;
}

static void a_network_is_trained_without_malloc(void **state)
{
    (void)state;
    const outcome expected = train(NULL); /* and BLAS has what it keeps for itself */
    check_status(expected.status, TARN_OK);
    assert_true(expected.loss < expected.first_loss);

    static const size_t shifts[] = { 0, 1, 40 };
    for (size_t i = 0; i < 3; i++) {
        field f = field_new(MIB, shifts[i]);
        const tarn_system s = arena_on(&f);
        const size_t whole = tarn_arena_free_bytes(&s);
        atomic_store(&n_calls, 0);
        atomic_store(&counting, true);
        const outcome o = train(&s);
        atomic_store(&counting, false);
        check_status(o.status, TARN_OK);
        assert_int_equal(atomic_load(&n_calls), 0);
        assert_int_equal(o.retained, 0);
        assert_true(o.digest == expected.digest);
        assert_true(o.stats.reserved > 0);
        assert_true(o.stats.reserved + o.stats.metadata <= MIB);
        check_whole(&s, whole);
        field_end(&f);
    }

    if (!COUNTS) return;
    atomic_store(&n_calls, 0);
    atomic_store(&counting, true);
    const outcome outside = train(NULL); /* the count does count */
    atomic_store(&counting, false);
    check_status(outside.status, TARN_OK);
    print_message("outside an arena the same takes %u calls\n", atomic_load(&n_calls));
}

/* Arenas that are too small end in an error that is told, and are whole again after it. */
static void a_network_that_does_not_fit_fails_clean(void **state)
{
    (void)state;
    size_t fits = 0;
    for (size_t bytes = 1024; bytes <= MIB; bytes += bytes < 16 * KIB ? 1 * KIB : 16 * KIB) {
        field f = field_new(bytes, 0);
        const tarn_system s = arena_on(&f);
        const size_t whole = tarn_arena_free_bytes(&s);
        const outcome o = train(&s);
        /* A manager that could not be made reads as TARN_EARG. */
        assert_true(o.status == TARN_OK || o.status == TARN_ENOMEM || o.status == TARN_EARG);
        if (o.status == TARN_OK && fits == 0) fits = bytes;
        check_whole(&s, whole);
        field_end(&f);
    }
    print_message("it fits into %zu KiB\n", fits / KIB);
    assert_true(fits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_arena_is_refused),
        cmocka_unit_test(every_memory_will_do),
        cmocka_unit_test(the_first_that_fits_is_taken),
        cmocka_unit_test(neighbours_are_joined),
        cmocka_unit_test(the_smallest_fill_it_and_come_back),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(wrong_releases_are_ignored),
        cmocka_unit_test(damage_is_not_followed),
        cmocka_unit_test(random_requests_agree_with_a_record),
        cmocka_unit_test(a_network_is_trained_without_malloc),
        cmocka_unit_test(a_network_that_does_not_fit_fails_clean),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
