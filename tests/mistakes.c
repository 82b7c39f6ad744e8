/* SPDX-License-Identifier: MIT
 * mistakes.c - a program that makes one mistake, named by its argument. mistakes.sh runs it under
 * every tool and expects each mistake to be found by those that can. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

enum { BYTES = 100, FLOATS = BYTES / 4 }; /* no multiple of a bucket, so that something is left */

/* ---- what they share */

static void tell(void *context, const char *message)
{
    (void)context;
    (void)fprintf(stderr, "tarn: %s\n", message);
}

static void tell_error(void *context, tarn_status code, const char *message)
{
    (void)code;
    tell(context, message);
}

static tarn_pool *new_pool(void)
{
    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .on_mistake = tell }, NULL);
    if (pool == NULL) exit(2);
    return pool;
}

static tarn_manager *new_manager(tarn_pool *pool)
{
    tarn_manager *tm = tarn_manager_create(
        &(tarn_manager_options){ .pool = pool, .on_error = tell_error, .on_unreleased = tell });
    if (tm == NULL) exit(2);
    return tm;
}

static tarn_block acquire(tarn_pool *pool)
{
    tarn_block block;
    if (tarn_pool_acquire(pool, BYTES, TARN_UNINITIALIZED, &block) != TARN_OK) exit(2);
    return block;
}

static void release(tarn_pool *pool, tarn_block block) { (void)tarn_pool_release(pool, block); }

/* No compiler may leave these out. */
static void write_at(void *data, long place) { ((volatile unsigned char *)data)[place] = 7; }

static void branch_on(const void *data, long place)
{
    if (((const volatile unsigned char *)data)[place] == 42) (void)puts("forty-two");
}

/* ---- bytes that are not the holder's */

static void overrun(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    write_at(block.data, BYTES);
    release(pool, block);
}

static void underrun(tarn_pool *pool)
{
    const tarn_block before = acquire(pool), block = acquire(pool);
    write_at(block.data, -1);
    release(pool, block);
    release(pool, before);
}

static void overread(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    memset(block.data, 1, BYTES);
    branch_on(block.data, BYTES);
    release(pool, block);
}

static void late_write(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    release(pool, block);
    write_at(block.data, 10);
}

static void late_read(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    memset(block.data, 1, BYTES);
    release(pool, block);
    branch_on(block.data, 10);
}

/* With full checking, fresh memory reads as NaN, which the sum shows. */
static void uninitialised(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    float *x = block.data, sum = 0;
    for (int i = 0; i < FLOATS - 1; i++) x[i] = 1;
    for (int i = 0; i < FLOATS; i++) sum += x[i];
    if (!(sum >= 0)) (void)fprintf(stderr, "the sum is no number\n");
    release(pool, block);
}

/* ---- releases that cannot be */

static void double_release(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    release(pool, block);
    release(pool, block);
}

static void stale_release(tarn_pool *pool)
{
    const tarn_block block = acquire(pool);
    release(pool, block);
    const tarn_block again = acquire(pool);
    release(pool, block);
    release(pool, again);
}

static void foreign_block(tarn_pool *pool)
{
    char own[BYTES];
    release(pool, (tarn_block){ own, sizeof(own), 1000, 1 });
}

static void wrong_pool(tarn_pool *pool)
{
    tarn_pool *other = new_pool();
    const tarn_block block = acquire(other), its_own = acquire(pool);
    release(pool, block);
    release(pool, its_own);
    release(other, block);
    (void)tarn_pool_destroy(other);
}

static void foreign_array(tarn_pool *pool)
{
    float own[FLOATS];
    (void)tarn_pool_release_array(pool, own, TARN_F32);
}

static void wrong_dtype(tarn_pool *pool)
{
    void *array = tarn_pool_acquire_array(pool, FLOATS, TARN_F32);
    (void)tarn_pool_release_array(pool, array, TARN_F64);
    (void)tarn_pool_release_array(pool, array, TARN_F32);
}

static void leaked_block(tarn_pool *pool) { memset(acquire(pool).data, 1, BYTES); }

/* ---- tensors */

static void unreleased_tensor(tarn_pool *pool)
{
    tarn_manager *tm = new_manager(pool);
    (void)tarn_retain(tarn_ones(tm, TARN_F32, TARN_SHAPE(FLOATS)));
    (void)tarn_manager_destroy(tm);
}

static tarn_tensor *ended_tensor(tarn_manager *tm)
{
    TARN_SCOPE(tm);
    return tarn_ones(tm, TARN_F32, TARN_SCALAR);
}

static void dangling_tensor(tarn_pool *pool)
{
    tarn_manager *tm = new_manager(pool);
    (void)tarn_item(ended_tensor(tm));
    (void)tarn_manager_destroy(tm);
}

/* A new tensor takes the place of the handle, unless handles are never reused. */
static void dangling_reused(tarn_pool *pool)
{
    tarn_manager *tm = new_manager(pool);
    tarn_tensor *ended = ended_tensor(tm);
    (void)tarn_ones(tm, TARN_F32, TARN_SCALAR);
    (void)tarn_item(ended);
    (void)tarn_manager_destroy(tm);
}

static void *ended_elements(tarn_manager *tm)
{
    TARN_SCOPE(tm);
    return tarn_data_mut(tarn_ones(tm, TARN_F32, TARN_SHAPE(FLOATS)));
}

static void stale_elements(tarn_pool *pool)
{
    tarn_manager *tm = new_manager(pool);
    write_at(ended_elements(tm), 0);
    (void)tarn_manager_destroy(tm);
}

static void element_overrun(tarn_pool *pool)
{
    tarn_manager *tm = new_manager(pool);
    write_at(tarn_data_mut(tarn_ones(tm, TARN_F32, TARN_SHAPE(FLOATS))), BYTES);
    (void)tarn_manager_destroy(tm);
}

/* ---- all of the above, done right */

static void none(tarn_pool *pool)
{
    const tarn_block block = acquire(pool), again = acquire(pool);
    memset(block.data, 1, BYTES);
    branch_on(block.data, BYTES - 1);
    release(pool, block);
    release(pool, again);
    void *array = tarn_pool_acquire_array(pool, FLOATS, TARN_F32);
    branch_on(array, BYTES - 1);
    (void)tarn_pool_release_array(pool, array, TARN_F32);
    tarn_manager *tm = new_manager(pool);
    tarn_tensor *kept = tarn_retain(tarn_ones(tm, TARN_F32, TARN_SHAPE(FLOATS)));
    for (int i = 0; i < 10; i++) {
        TARN_SCOPE(tm);
        (void)tarn_item(tarn_sum(tarn_mul(kept, kept), TARN_ALL_AXES));
        write_at(tarn_data_mut(kept), BYTES - 1);
    }
    tarn_release(kept);
    (void)tarn_manager_destroy(tm);
}

/* ---- choosing one */

static const struct {
    const char *name;
    void (*make)(tarn_pool *pool);
} mistakes[] = {
#define MISTAKE(name) \
    {                 \
#name, name   \
    }
    MISTAKE(none),
    MISTAKE(overrun),
    MISTAKE(underrun),
    MISTAKE(overread),
    MISTAKE(late_write),
    MISTAKE(late_read),
    MISTAKE(uninitialised),
    MISTAKE(double_release),
    MISTAKE(stale_release),
    MISTAKE(foreign_block),
    MISTAKE(wrong_pool),
    MISTAKE(foreign_array),
    MISTAKE(wrong_dtype),
    MISTAKE(leaked_block),
    MISTAKE(unreleased_tensor),
    MISTAKE(dangling_tensor),
    MISTAKE(dangling_reused),
    MISTAKE(stale_elements),
    MISTAKE(element_overrun),
#undef MISTAKE
};
enum { N_MISTAKES = sizeof(mistakes) / sizeof(mistakes[0]) };

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < N_MISTAKES; i++) {
        if (strcmp(argv[1], mistakes[i].name) != 0) continue;
        tarn_pool *pool = new_pool();
        mistakes[i].make(pool);
        (void)tarn_pool_check(pool);
        (void)tarn_pool_destroy(pool);
        return 0;
    }
    (void)fprintf(stderr, "usage: mistakes NAME, which is one of\n");
    for (size_t i = 0; i < N_MISTAKES; i++) (void)fprintf(stderr, "  %s\n", mistakes[i].name);
    return 2;
}
