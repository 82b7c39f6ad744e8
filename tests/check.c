/* SPDX-License-Identifier: MIT
 * check.c - what the tests share. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */

#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FAIL(file, line, ...)     \
    do {                          \
        print_error(__VA_ARGS__); \
        print_error("\n");        \
        _fail((file), (line));    \
    } while (0)

/* ---- a system that counts and fails */

enum { MAP_FROM = 1024 * 1024, ALIGNMENT = 64, AFTERMATH = 0xa5 };

/* Address space only, from MAP_FROM on, so that a test may ask for more than the machine has. */
static void *piece_new(size_t bytes)
{
    if (bytes >= MAP_FROM) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }
    const size_t rounded = (bytes / ALIGNMENT + 1) * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory != NULL) memset(memory, 0, rounded);
    return memory;
}

static void piece_free(void *memory, size_t bytes)
{
    if (bytes >= MAP_FROM) {
        *(unsigned char *)memory = AFTERMATH;
        munmap(memory, bytes);
        return;
    }
    memset(memory, AFTERMATH, bytes);
    free(memory);
}

/* The pieces stand in a table by address, open addressing with linear probing; at most half of the
 * places are taken. */
static check_piece *place_of(const check_system *s, const void *memory)
{
    const size_t mask = s->capacity - 1;
    size_t i = (size_t)(((uintptr_t)memory >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (s->pieces[i].memory != NULL && s->pieces[i].memory != memory) i = (i + 1) & mask;
    return &s->pieces[i];
}

static void grow(check_system *s)
{
    check_piece *old = s->pieces;
    const size_t n = s->capacity;
    s->capacity = n == 0 ? 128 : 2 * n;
    s->pieces = calloc(s->capacity, sizeof(*s->pieces));
    assert_non_null(s->pieces);
    for (size_t i = 0; i < n; i++)
        if (old[i].memory != NULL) *place_of(s, old[i].memory) = old[i];
    free(old);
}

/* Those behind it, up to the next empty place, are put in again, so that none is cut off. */
static void take_out(check_system *s, check_piece *piece)
{
    const size_t mask = s->capacity - 1;
    piece->memory = NULL;
    s->n_live--;
    for (size_t i = (size_t)(piece - s->pieces + 1) & mask; s->pieces[i].memory != NULL;
         i = (i + 1) & mask) {
        const check_piece moved = s->pieces[i];
        s->pieces[i].memory = NULL;
        *place_of(s, moved.memory) = moved;
    }
}

bool check_system_holds(const check_system *s, const void *memory, size_t bytes)
{
    return s->capacity > 0 && place_of(s, memory)->memory == memory &&
           place_of(s, memory)->bytes == bytes;
}

static void *system_reserve(void *context, size_t bytes)
{
    check_system *s = context;
    bool fails = s->refuse_from != 0 && bytes >= s->refuse_from;
    if (s->fail_after != 0 && --s->fail_after == 0) {
        fails = true;
        s->fail_after = s->fail_on ? 1 : 0;
    }
    if (!fails && 2 * s->n_live >= s->capacity) grow(s);
    void *memory = fails ? NULL : piece_new(bytes);
    if (memory == NULL) {
        s->failed++;
        return NULL;
    }
    *place_of(s, memory) = (check_piece){ memory, bytes };
    s->n_live++;
    s->reserves++;
    s->live_bytes += bytes;
    s->last_bytes = bytes;
    return memory;
}

static void system_release(void *context, void *memory, size_t bytes)
{
    check_system *s = context;
    check_piece *piece = s->capacity == 0 ? NULL : place_of(s, memory);
    if (piece == NULL || piece->memory == NULL || piece->bytes != bytes) {
        s->wrong++;
        print_error("release of %zu bytes at %p: %s\n", bytes, memory,
                    piece == NULL || piece->memory == NULL ? "not reserved"
                                                           : "reserved with another size");
        return;
    }
    take_out(s, piece);
    s->releases++;
    s->live_bytes -= bytes;
    piece_free(memory, bytes);
}

void check_system_begin(check_system *s)
{
    *s = (check_system){ .system = { .reserve = system_reserve, .release = system_release } };
    s->system.context = s;
}

void check_system_fail(check_system *s, uint64_t n, bool fail_on)
{
    s->fail_after = n;
    s->fail_on = fail_on;
}

void check_system_end(check_system *s)
{
    const size_t n_live = s->n_live, live_bytes = s->live_bytes;
    free(s->pieces);
    s->pieces = NULL;
    s->n_live = s->capacity = 0;
    if (n_live > 0) print_error("%zu pieces, %zu bytes were not given back\n", n_live, live_bytes);
    assert_int_equal(n_live, 0);
    assert_int_equal(live_bytes, 0);
    assert_int_equal(s->wrong, 0);
    assert_int_equal(s->reserves, s->releases);
}

void check_fail_acquisition(tarn_pool *pool, uint64_t n)
{
    (void)tarn_pool_inject_faults(pool, &(tarn_faults){ .nth = n });
}

/* ---- fixture */

void check_pool_begin(check_fixture *f, const tarn_pool_options *options)
{
    *f = (check_fixture){ .tm = NULL };
    check_system_begin(&f->system);
    tarn_pool_options completed = options != NULL ? *options : (tarn_pool_options){ 0 };
    completed.system = &f->system.system;
    tarn_status status = TARN_EARG;
    f->pool = tarn_pool_create(&completed, &status);
    check_status(status, TARN_OK);
    assert_non_null(f->pool);
    check_pool(f);
}

void check_begin(check_fixture *f, const tarn_pool_options *options)
{
    check_pool_begin(f, options);
    f->tm = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 42 });
    assert_non_null(f->tm);
}

void check_end(check_fixture *f)
{
    check_system_fail(&f->system, 0, false);
    if (f->tm != NULL) check_no_error(f->tm);
    assert_int_equal(tarn_manager_destroy(f->tm), 0);
    f->tm = NULL;
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    check_pool(f);
    check_status(tarn_pool_destroy(f->pool), TARN_OK);
    f->pool = NULL;
    check_system_end(&f->system);
}

int check_setup(void **state)
{
    check_fixture *f = malloc(sizeof(*f));
    if (f == NULL) return -1;
    check_begin(f, NULL);
    *state = f;
    return 0;
}

int check_setup_pool(void **state)
{
    check_fixture *f = malloc(sizeof(*f));
    if (f == NULL) return -1;
    check_pool_begin(f, NULL);
    *state = f;
    return 0;
}

int check_teardown(void **state)
{
    check_end(*state);
    free(*state);
    return 0;
}

bool check_is_plain(const tarn_pool *pool)
{
    const tarn_pool_options o = tarn_pool_get_options(pool);
    return o.mode == TARN_POOLED && o.checking == TARN_CHECK_LIGHT;
}

/* ---- assertions */

static bool is_close(double actual, double expected, double tolerance)
{
    if (isnan(expected)) return isnan(actual);
    return actual == expected || fabs(actual - expected) <= tolerance; /* false for a NaN */
}

void check_close_array_at(const double *actual, const double *expected, size_t n, double tolerance,
                          const char *file, int line)
{
    for (size_t i = 0; i < n; i++)
        if (!is_close(actual[i], expected[i], tolerance))
            FAIL(file, line, "element %zu is %.17g, not %.17g (tolerance %g)", i, actual[i],
                 expected[i], tolerance);
}

static double element(const void *data, size_t i, tarn_dtype dtype)
{
    switch (dtype) {
#define LOAD(code, type, name) \
    case TARN_##code: return (double)((const type *)data)[i];
        TARN_DTYPE_LIST(LOAD)
#undef LOAD
    }
    return NAN;
}

void check_close_at(tarn_tensor *actual, const double *expected, size_t n, double tolerance,
                    const char *file, int line)
{
    if (actual == NULL) FAIL(file, line, "no tensor to compare");
    const int64_t numel = tarn_numel(actual);
    if (numel < 0 || (uint64_t)numel != n)
        FAIL(file, line, "%" PRId64 " elements, not %zu", numel, n);
    const tarn_dtype dtype = tarn_get_dtype(actual);
    const size_t bytes = n * tarn_dtype_size(dtype);
    void *copy = malloc(bytes + 1);
    double *values = malloc((n + 1) * sizeof(*values));
    assert_true(copy != NULL && values != NULL);
    const tarn_status status = tarn_copy_to(actual, copy, bytes);
    if (status != TARN_OK)
        FAIL(file, line, "%s: %s", tarn_status_name(status),
             tarn_error_message(tarn_manager_of(actual)));
    for (size_t i = 0; i < n; i++) values[i] = element(copy, i, dtype);
    check_close_array_at(values, expected, n, tolerance, file, line);
    free(values);
    free(copy);
}

void check_error_at(tarn_manager *tm, tarn_status code, const char *text, const char *file,
                    int line)
{
    const tarn_status held = tarn_error_code(tm);
    const char *message = tarn_error_message(tm);
    if (held != code || strcmp(message, text) != 0)
        FAIL(file, line, "held:     %s \"%s\"\nexpected: %s \"%s\"", tarn_status_name(held),
             message, tarn_status_name(code), text);
    if (tarn_ok(tm) != (code == TARN_OK)) FAIL(file, line, "tarn_ok differs from the code");
    tarn_clear_error(tm);
}

void check_error_part_at(tarn_manager *tm, tarn_status code, const char *part, const char *file,
                         int line)
{
    const tarn_status held = tarn_error_code(tm);
    if (held != code || strstr(tarn_error_message(tm), part) == NULL)
        FAIL(file, line, "held:     %s \"%s\"\nexpected: %s with \"%s\"", tarn_status_name(held),
             tarn_error_message(tm), tarn_status_name(code), part);
    tarn_clear_error(tm);
}

void check_status_at(tarn_status actual, tarn_status expected, const char *expression,
                     const char *file, int line)
{
    if (actual != expected)
        FAIL(file, line, "%s is %s, not %s", expression, tarn_status_name(actual),
             tarn_status_name(expected));
}

void check_pool_at(const check_fixture *f, const char *file, int line)
{
    const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
#define HOLDS(condition) \
    if (!(condition)) FAIL(file, line, "in the pool's figures does not hold: %s", #condition)
    HOLDS(s.current_usage <= s.in_use);
    HOLDS(s.in_use <= s.reserved);
    HOLDS(s.in_use + s.cached == s.reserved);
    HOLDS(s.current_usage <= s.peak_usage);
    HOLDS(s.in_use <= s.peak_in_use);
    HOLDS(s.reserved <= s.peak_reserved);
    HOLDS(s.cached <= s.peak_cached);
    HOLDS(s.live_blocks <= s.peak_live_blocks);
    HOLDS(s.peak_usage <= s.peak_in_use);
    HOLDS(s.peak_in_use <= s.peak_reserved);
    HOLDS(s.pool_allocations + s.misses == s.allocations);
    HOLDS(s.allocations - s.releases == s.live_blocks);
    HOLDS(s.hit_ratio ==
          (s.allocations == 0 ? 0 : (double)s.pool_allocations / (double)s.allocations));
    HOLDS(s.total_allocated - s.trimmed_bytes == s.reserved);
    HOLDS(s.reserved + s.metadata == f->system.live_bytes);
    HOLDS(s.system_allocations == f->system.reserves);
    HOLDS(s.system_releases == f->system.releases);
#undef HOLDS
    if (tarn_pool_check(f->pool) != TARN_OK) FAIL(file, line, "tarn_pool_check is not content");
}

void check_same_stats_at(const tarn_pool_stats *actual, const tarn_pool_stats *expected,
                         const char *file, int line)
{
#define COMPARE(kind, type, field, meaning)                                    \
    if (memcmp(&actual->field, &expected->field, sizeof(actual->field)) != 0)  \
        FAIL(file, line, #field " is %.17g, not %.17g", (double)actual->field, \
             (double)expected->field);
    TARN_POOL_STATS_LIST(COMPARE)
#undef COMPARE
}

void check_bytes_at(const void *memory, int value, size_t bytes, const char *file, int line)
{
    const unsigned char *b = memory;
    if (bytes == 0 || (b[0] == value && memcmp(b, b + 1, bytes - 1) == 0)) return;
    size_t i = 0;
    while (b[i] == value) i++;
    FAIL(file, line, "byte %zu of %zu is %d, not %d", i, bytes, b[i], value);
}

/* ---- text */

double check_json_number(const char *json, const char *key)
{
    double value = NAN;
    size_t found = 0;
    const char *p = json;
    assert_int_equal(*p, '{');
    do {
        p++;
        assert_int_equal(*p, '"');
        const char *name = ++p;
        while ((*p >= 'a' && *p <= 'z') || *p == '_') p++;
        const size_t length = (size_t)(p - name);
        assert_true(length > 0);
        assert_int_equal(*p, '"');
        assert_int_equal(p[1], ':');
        assert_true(p[2] >= '0' && p[2] <= '9'); /* none of these figures is negative */
        char *end;
        const double number = strtod(p + 2, &end);
        p = end;
        if (length == strlen(key) && memcmp(name, key, length) == 0) {
            value = number;
            found++;
        }
    } while (*p == ',');
    assert_string_equal(p, "}");
    assert_int_equal(found, 1);
    return value;
}

const char *check_stream_text(FILE *stream)
{
    static char text[64 * 1024];
    rewind(stream);
    text[fread(text, 1, sizeof(text) - 1, stream)] = '\0';
    return text;
}

/* ---- how much, and which numbers */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

size_t check_scaled(size_t n)
{
    /* Valgrind loads itself into a program by this variable. */
    const char *preload = getenv("LD_PRELOAD");
    const bool valgrind = preload != NULL && strstr(preload, "vgpreload") != NULL;
    const size_t scaled = valgrind ? n / 50 : SANITIZED ? n / 10 : n;
    return scaled > 0 ? scaled : n > 0;
}

uint64_t check_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool check_long_double(void)
{
    volatile long double more = 1;
    more += 0x1p-60L;
    return more != 1;
}

uint64_t check_seed(void)
{
    const char *given = getenv("TARN_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20240229;
    print_message("TARN_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}
