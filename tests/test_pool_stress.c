/* SPDX-License-Identifier: MIT
 * test_pool_stress.c - long random runs of the pool against a naive model of it. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 256, CHECK_EVERY = 64, SMALL_ENOUGH_TO_FILL = 4096, EDGE = 64, STRIDE = 509 };

/* What the model knows of a block in use. */
typedef struct shadow {
    tarn_block block;
    uint64_t cookie; /* what was written into it */
} shadow;

typedef struct model {
    check_fixture f;
    tarn_pool_options options;
    uint64_t random;
    shadow slots[SLOTS]; /* those with data are in use */
    tarn_block last_released;
    size_t usage, peak_usage, live, peak_live;
    uint64_t allocations, releases, failed, bad;
    uint64_t inject; /* acquisitions until the injected failure; 0: none */
} model;

static uint64_t draw(model *m, uint64_t below) { return check_random(&m->random) % below; }

/* 0 to 1 MiB, every order of magnitude as often as another; half of them from a few sizes that
 * repeat. */
static size_t draw_size(model *m)
{
    static const size_t common[] = { 0, 4, 40, 256, 1024, 3136, 32768, 40000, 100352, 401408 };
    if (draw(m, 2) == 0) return common[draw(m, sizeof(common) / sizeof(common[0]))];
    const size_t top = (size_t)1 << draw(m, 21);
    return top / 2 + draw(m, top / 2 + 1);
}

/* ---- contents: all of a small block, the ends and a comb of a large one */

static unsigned char cookie_byte(uint64_t cookie, size_t i)
{
    return (unsigned char)((cookie >> (i % 8 * 8)) ^ i);
}

static bool is_written(size_t bytes, size_t i)
{
    return bytes <= SMALL_ENOUGH_TO_FILL || i < EDGE || i >= bytes - EDGE || i % STRIDE == 0;
}

static size_t next_written(size_t bytes, size_t i)
{
    i++;
    if (is_written(bytes, i)) return i;
    const size_t tooth = (i + STRIDE - 1) / STRIDE * STRIDE;
    return tooth < bytes - EDGE ? tooth : bytes - EDGE;
}

static void write_cookie(shadow *s, uint64_t cookie)
{
    unsigned char *data = s->block.data;
    s->cookie = cookie;
    for (size_t i = 0; i < s->block.bytes; i = next_written(s->block.bytes, i))
        data[i] = cookie_byte(cookie, i);
}

static void verify_cookie(const shadow *s)
{
    const unsigned char *data = s->block.data;
    size_t wrong = 0;
    for (size_t i = 0; i < s->block.bytes; i = next_written(s->block.bytes, i))
        wrong += data[i] != cookie_byte(s->cookie, i);
    assert_int_equal(wrong, 0);
}

/* ---- the model */

static void verify_apart(const model *m, tarn_block block)
{
    const uintptr_t begin = (uintptr_t)block.data,
                    end = begin + (block.bytes > 0 ? block.bytes : 1);
    for (size_t i = 0; i < SLOTS; i++) {
        const tarn_block other = m->slots[i].block;
        if (other.data == NULL) continue;
        const uintptr_t at = (uintptr_t)other.data;
        const bool apart = end <= at || at + (other.bytes > 0 ? other.bytes : 1) <= begin;
        if (!apart || other.id == block.id) fail_msg("blocks overlap, or share an id");
    }
}

static void verify_figures(const model *m)
{
    const tarn_pool_stats s = tarn_pool_get_stats(m->f.pool);
    assert_int_equal(s.current_usage, m->usage);
    assert_int_equal(s.peak_usage, m->peak_usage);
    assert_int_equal(s.live_blocks, m->live);
    assert_int_equal(s.peak_live_blocks, m->peak_live);
    assert_int_equal(s.allocations, m->allocations);
    assert_int_equal(s.releases, m->releases);
    assert_int_equal(s.failed_acquisitions, m->failed);
    assert_int_equal(s.bad_releases, m->bad);
}

/* ---- operations */

static void acquire(model *m, shadow *slot)
{
    const size_t bytes = draw_size(m);
    const bool zeroed = draw(m, 2) == 0, injected = m->inject != 0 && --m->inject == 0;
    const uint64_t refused = m->f.system.failed;
    tarn_block block;
    const tarn_status status =
        tarn_pool_acquire(m->f.pool, bytes, zeroed ? TARN_ZEROED : TARN_UNINITIALIZED, &block);
    if (status != TARN_OK) {
        /* Only for a reason: injected here, refused by the system, or no room under the cap. */
        const tarn_pool_stats s = tarn_pool_get_stats(m->f.pool);
        const size_t cap = m->options.max_capacity;
        const size_t needed = tarn_pool_block_capacity(bytes);
        check_status(status, TARN_ENOMEM);
        assert_null(block.data);
        if (!injected && m->f.system.failed == refused)
            assert_true(cap != 0 && s.reserved + needed > cap);
        m->failed++;
        return;
    }
    assert_false(injected);
    assert_int_equal((uintptr_t)block.data % 64, 0);
    verify_apart(m, block);
    if (zeroed) check_bytes(block.data, 0, bytes);
    slot->block = block;
    write_cookie(slot, check_random(&m->random));
    m->allocations++;
    m->usage += bytes;
    if (m->usage > m->peak_usage) m->peak_usage = m->usage;
    if (++m->live > m->peak_live) m->peak_live = m->live;
}

static void release(model *m, shadow *slot)
{
    verify_cookie(slot);
    check_status(tarn_pool_release(m->f.pool, slot->block), TARN_OK);
    m->last_released = slot->block;
    m->releases++;
    m->usage -= slot->block.bytes;
    m->live--;
    slot->block = (tarn_block){ 0 };
}

/* What happens seldom. */
static void disturb(model *m)
{
    const tarn_pool_stats before = tarn_pool_get_stats(m->f.pool);
    switch (draw(m, 6)) {
    case 0: {
        const size_t keep = draw_size(m);
        const size_t given = tarn_pool_trim(m->f.pool, keep);
        assert_int_equal(tarn_pool_get_stats(m->f.pool).reserved, before.reserved - given);
        break;
    }
    case 1:
        tarn_pool_reset_peaks(m->f.pool);
        m->peak_usage = m->usage;
        m->peak_live = m->live;
        break;
    case 2:
        m->inject = 1 + draw(m, 20);
        check_fail_acquisition(m->f.pool, m->inject);
        break;
    case 3: check_system_fail(&m->f.system, 1 + draw(m, 4), false); break;
    case 4:
        if (m->last_released.data == NULL) break;
        check_status(tarn_pool_release(m->f.pool, m->last_released), TARN_ESTATE);
        m->bad++;
        break;
    default: /* everything goes: the pool is idle */
        if (draw(m, 8) != 0) break;
        for (size_t i = 0; i < SLOTS; i++)
            if (m->slots[i].block.data != NULL) release(m, &m->slots[i]);
        break;
    }
}

static void run(const tarn_pool_options *options, uint64_t seed, size_t operations)
{
    model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->options = *options;
    m->random = seed;
    check_pool_begin(&m->f, options);
    for (size_t i = 0; i < operations; i++) {
        shadow *slot = &m->slots[draw(m, SLOTS)];
        if (draw(m, 50) == 0) disturb(m);
        else if (slot->block.data == NULL) acquire(m, slot);
        else release(m, slot);
        if (i % CHECK_EVERY != 0) continue;
        check_pool(&m->f);
        verify_figures(m);
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (m->slots[i].block.data != NULL) release(m, &m->slots[i]);
    verify_figures(m);
    assert_true(m->allocations > 0 && m->bad > 0);
    check_end(&m->f);
    free(m);
}

/* ---- pools of several kinds */

enum { OPERATIONS = 200000, KINDS = 7 };

/* Of each kind: TARN_TEST_OPERATIONS in all, or the default. */
static size_t operations(void)
{
    const char *text = getenv("TARN_TEST_OPERATIONS");
    const unsigned long long all = text != NULL ? strtoull(text, NULL, 10) : 0;
    return all > 0 ? (size_t)all / KINDS : check_scaled(OPERATIONS / KINDS);
}

static void defaults(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ 0 }, check_seed(), operations());
}

static void tight_cap(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .max_capacity = 6000000, .initial_capacity = 1000000 }, check_seed(),
        operations());
}

static void small_cache_and_regions(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .cache_limit = 1000000, .growth_factor = 1.0 }, check_seed(),
        operations());
}

static void wiped_and_not_cached(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .cache_limit = TARN_NONE, .wipe_on_release = true }, check_seed(),
        operations());
}

static void fully_checked(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .checking = TARN_CHECK_FULL }, check_seed(), operations());
}

static void aligned_and_traced(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .alignment = 512, .trace_events = 1000 }, check_seed(), operations());
}

static void passed_through(void **state)
{
    (void)state;
    run(&(tarn_pool_options){ .mode = TARN_PASS_THROUGH }, check_seed(), operations());
}

int main(void)
{
    const struct CMUnitTest tests[KINDS] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(tight_cap),
        cmocka_unit_test(small_cache_and_regions),
        cmocka_unit_test(wiped_and_not_cached),
        cmocka_unit_test(fully_checked),
        cmocka_unit_test(aligned_and_traced),
        cmocka_unit_test(passed_through),
    };
    return cmocka_run_group_tests_name("pool_stress", tests, NULL, NULL);
}
