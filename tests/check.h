/* SPDX-License-Identifier: MIT
 * check.h - what the tests share: a system that counts and fails, a fixture that ends with
 * everything given back, and assertions that tell what differs.
 *
 *   static void adds(void **state)
 *   {
 *       check_fixture *f = *state;
 *       ...
 *   }
 *   cmocka_unit_test_setup_teardown(adds, check_setup, check_teardown) */
#ifndef TARN_TESTS_CHECK_H
#define TARN_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <tarn/manager.h>
#include <tarn/pool.h>
#include <tarn/status.h>
#include <tarn/tensor.h>

/* ---- a system that counts and fails */

typedef struct check_piece {
    void *memory;
    size_t bytes;
} check_piece;

/* Gives memory to pools. A release that matches no reserve in address and size is counted as wrong;
 * what is released is overwritten first, so that a later use shows. */
typedef struct check_system {
    tarn_system system;  /* for tarn_pool_options */
    check_piece *pieces; /* (capacity): a table; those reserved and not released */
    size_t n_live, capacity;
    size_t live_bytes;
    size_t last_bytes; /* of the last reserve that succeeded */
    uint64_t reserves, releases;
    uint64_t fail_after; /* reserves until one fails; 0: none */
    bool fail_on;        /* and so do all after it */
    size_t refuse_from;  /* reserves of this size and above fail; 0: none */
    uint64_t failed, wrong;
} check_system;

void check_system_begin(check_system *s);

/* Lets the n-th reserve from now (1: the next) fail, alone or with all that follow; 0: none any
 * more. */
void check_system_fail(check_system *s, uint64_t n, bool fail_on);

/* Whether this piece is reserved and not released. */
bool check_system_holds(const check_system *s, const void *memory, size_t bytes);

/* Asserts that no release was wrong and that everything was given back; frees the records. */
void check_system_end(check_system *s);

/* Lets the n-th acquisition from now (1: the next) fail; 0 disarms. NULL is passed on. */
void check_fail_acquisition(tarn_pool *pool, uint64_t n);

/* ---- fixture */

typedef struct check_fixture {
    check_system system;
    tarn_pool *pool;
    tarn_manager *tm; /* seed 42 */
} check_fixture;

/* Makes a pool on a check_system; options may be NULL, their system is replaced. */
void check_pool_begin(check_fixture *f, const tarn_pool_options *options);

/* The same, and a manager. */
void check_begin(check_fixture *f, const tarn_pool_options *options);

/* Asserts that no error is held and nothing retained, in use or lost, and ends what check_begin
 * made. */
void check_end(check_fixture *f);

/* For cmocka: a fixture with a manager, or with a pool alone. */
int check_setup(void **state);
int check_setup_pool(void **state);
int check_teardown(void **state);

/* True in default mode and with light checking, which the environment may change: what figures of
 * buckets, hits and calls to the system are about. */
bool check_is_plain(const tarn_pool *pool);

/* ---- assertions */

/* The elements of a tensor of any type, last dimension fastest, against n expected values. Equal
 * infinities and NaN where NaN is expected pass. */
#define check_close(actual, expected, n, tolerance) \
    check_close_at((actual), (expected), (n), (tolerance), __FILE__, __LINE__)

/* The same of an array of double. */
#define check_close_array(actual, expected, n, tolerance) \
    check_close_array_at((actual), (expected), (n), (tolerance), __FILE__, __LINE__)

/* The code and the exact text of the error that a manager holds; clears it. */
#define check_error(tm, code, text) check_error_at((tm), (code), (text), __FILE__, __LINE__)

/* The code, and a part of the text. */
#define check_error_part(tm, code, part) \
    check_error_part_at((tm), (code), (part), __FILE__, __LINE__)

/* No error is held. */
#define check_no_error(tm) check_error_at((tm), TARN_OK, "", __FILE__, __LINE__)

/* A status, by name. */
#define check_status(actual, expected) \
    check_status_at((actual), (expected), #actual, __FILE__, __LINE__)

/* The records of the pool, the identities of its public figures, and that they agree with what the
 * system gave. */
#define check_pool(f) check_pool_at((f), __FILE__, __LINE__)

/* Every figure of two moments is the same. */
#define check_same_stats(actual, expected) \
    check_same_stats_at((actual), (expected), __FILE__, __LINE__)

/* `bytes` bytes that all read as `value`. */
#define check_bytes(memory, value, bytes) \
    check_bytes_at((memory), (value), (bytes), __FILE__, __LINE__)

void check_close_at(tarn_tensor *actual, const double *expected, size_t n, double tolerance,
                    const char *file, int line);
void check_close_array_at(const double *actual, const double *expected, size_t n, double tolerance,
                          const char *file, int line);
void check_error_at(tarn_manager *tm, tarn_status code, const char *text, const char *file,
                    int line);
void check_error_part_at(tarn_manager *tm, tarn_status code, const char *part, const char *file,
                         int line);
void check_status_at(tarn_status actual, tarn_status expected, const char *expression,
                     const char *file, int line);
void check_pool_at(const check_fixture *f, const char *file, int line);
void check_same_stats_at(const tarn_pool_stats *actual, const tarn_pool_stats *expected,
                         const char *file, int line);
void check_bytes_at(const void *memory, int value, size_t bytes, const char *file, int line);

/* The number under a key of a flat JSON object of numbers. The whole text is checked, and that the
 * key stands in it once. */
double check_json_number(const char *json, const char *key);

/* What a stream holds, from its start: a static text, cut to 64 KiB. */
const char *check_stream_text(FILE *stream);

/* ---- how much, and which numbers */

/* n, or a fraction of it under sanitizers and Valgrind, so that tests stay quick there. */
size_t check_scaled(size_t n);

/* The next of a sequence of 64-bit numbers (splitmix64). */
uint64_t check_random(uint64_t *state);

/* Whether long double knows more digits than double: under Valgrind it does not. */
bool check_long_double(void);

/* A start for it: TARN_TEST_SEED or a constant. Prints it. */
uint64_t check_seed(void);

#endif
