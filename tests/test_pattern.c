/* SPDX-License-Identifier: MIT
 * test_pattern.c - patterns of parameters' paths against what they mean, and against fnmatch. */
#define _POSIX_C_SOURCE 200809L
#include <fnmatch.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "nn/pattern.h"

/* A module with parameters a.weight, a.b.weight and bias. */
static tarn_module *plant(check_fixture *f)
{
    tarn_module *root = tarn_module_create(f->tm), *a = tarn_module_add_child(root, "a");
    tarn_module *b = tarn_module_add_child(a, "b");
    assert_non_null(tarn_module_add_parameter(a, "weight", TARN_F32, TARN_SHAPE(1), NULL));
    assert_non_null(tarn_module_add_parameter(b, "weight", TARN_F32, TARN_SHAPE(1), NULL));
    assert_non_null(tarn_module_add_parameter(root, "bias", TARN_F32, TARN_SHAPE(1), NULL));
    return root;
}

static tarn_module *child(tarn_module *module, const char *name)
{
    tarn_module *c = module->first_child;
    while (c != NULL && strcmp(c->name, name) != 0) c = c->next_sibling;
    assert_non_null(c);
    return c;
}

/* Which parameters, by their order, a pattern means: bits. */
static unsigned meant(const tarn_module *top, const char *pattern)
{
    unsigned bits = 0, bit = 1;
    for (tarn__member *p = tarn__next_parameter(top, NULL); p != NULL;
         p = tarn__next_parameter(top, p), bit <<= 1)
        if (tarn__pattern_matches(pattern, top, p)) bits |= bit;
    return bits;
}

static void test_paths(void **state)
{
    tarn_module *root = plant(*state);
    enum { A = 1, AB = 2, BIAS = 4 };
    const struct {
        const char *pattern;
        unsigned bits;
    } cases[] = {
        { "*", A | AB | BIAS }, { "", 0 },
        { "bias", BIAS },       { "b", 0 },
        { "*.weight", A | AB }, { "a.*", A | AB },
        { "a.b.*", AB },        { "a.?.weight", AB },
        { "a.weight", A },      { "*bias", BIAS },
        { "*.bias", 0 },        { "*w*t", A | AB },
        { "[!a]*", BIAS },      { "[a-b].*", A | AB },
        { "a[.]weight", A },    { "**s**", BIAS },
        { "a?weight", A },      { "\\a.weight", A },
        { "weight", 0 },        { "a.b.weight.", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (meant(root, cases[i].pattern) != cases[i].bits)
            fail_msg("\"%s\" means %u, not %u", cases[i].pattern, meant(root, cases[i].pattern),
                     cases[i].bits);
}

static void test_paths_are_relative(void **state)
{
    const tarn_module *a = child(plant(*state), "a"), *b = child(child(a->parent, "a"), "b");
    assert_int_equal(meant(a, "weight"), 1);
    assert_int_equal(meant(a, "b.*"), 2);
    assert_int_equal(meant(a, "a.*"), 0);
    assert_int_equal(meant(b, "weight"), 1);
    assert_int_equal(meant(b, ".weight"), 0);
}

/* A text of up to n bytes, each out of `letters`. */
static void random_text(uint64_t *state, const char *letters, char *text, size_t n)
{
    const size_t length = check_random(state) % (n + 1);
    for (size_t i = 0; i < length; i++) text[i] = letters[check_random(state) % strlen(letters)];
    text[length] = '\0';
}

/* Names hold all that is special in patterns. Where POSIX leaves open what a pattern means (a
 * backslash at its end or among a set, a range out of order or of a set), none is drawn. */
static void test_against_fnmatch(void **state)
{
    check_fixture *f = *state;
    uint64_t random = check_seed();
    size_t matches = 0;
    tarn_module *root = tarn_module_create(f->tm);
    for (size_t k = 0; k < 300; k++) {
        char name[8] = "";
        while (name[0] == '\0') random_text(&random, "aabc*?[]!-", name, 6);
        if (tarn_module_find(root, name) == NULL)
            tarn_module_add_parameter(root, name, TARN_F32, TARN_SHAPE(1), NULL);
    }
    for (size_t k = 0; k < check_scaled(2000); k++) {
        char pattern[10];
        random_text(&random, k % 2 == 0 ? "aabc*?" : "ab**?[]!c", pattern, 8);
        for (tarn__member *p = tarn__next_parameter(root, NULL); p != NULL;
             p = tarn__next_parameter(root, p)) {
            const bool expected = fnmatch(pattern, p->name, 0) == 0;
            matches += expected;
            if (tarn__pattern_matches(pattern, root, p) != expected)
                fail_msg("\"%s\" and \"%s\": %d expected", pattern, p->name, expected);
        }
    }
    assert_true(matches > 100);
}

static void test_escapes_and_ranges(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const char *const names[] = { "a*", "ab", "a]", "a-", "x\\" };
    for (size_t i = 0; i < 5; i++)
        assert_non_null(tarn_module_add_parameter(root, names[i], TARN_F32, TARN_SHAPE(1), NULL));
    assert_int_equal(meant(root, "a\\*"), 1);
    assert_int_equal(meant(root, "a[\\]]"), 4);
    assert_int_equal(meant(root, "a[]]"), 4);
    assert_int_equal(meant(root, "a[a-c]"), 2);
    assert_int_equal(meant(root, "a[a-]"), 8);
    assert_int_equal(meant(root, "a[!]*-]"), 2);
    assert_int_equal(meant(root, "a[^]*-]"), 2);
    assert_int_equal(meant(root, "x\\\\"), 16);
    assert_int_equal(meant(root, "x\\"), 16);
    assert_int_equal(meant(root, "a[a"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_paths),
        TEST(test_paths_are_relative),
        TEST(test_against_fnmatch),
        TEST(test_escapes_and_ranges),
    };
#undef TEST
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
