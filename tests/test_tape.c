/* SPDX-License-Identifier: MIT
 * test_tape.c - the tape as text and as a graph. */
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

static tarn_tensor *record_something(tarn_manager *tm)
{
    tarn_tensor *x = tarn_set_name(tarn_ones(tm, TARN_F32, TARN_SHAPE(32, 8)), "the \"x\"");
    tarn_tensor *w = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(64, 8)));
    tarn_tensor *h = tarn_relu(tarn_affine(x, tarn_set_name(w, "w"), NULL));
    return tarn_mean(tarn_mul(h, h), TARN_ALL_AXES);
}

static void as_text(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    (void)record_something(tm);
    check_status(tarn_tape_print(tm, stream), TARN_OK);
    assert_string_equal(
        check_stream_text(stream),
        "     #  operation          result                        keeps  for backward\n"
        "     1  affine             [32,64]                         0 B  x 1.00 KiB (constant)\n"
        "        of x \"the \"x\"\" [32,8] (constant), w \"w\" [64,8]\n"
        "     2  relu               [32,64]                    8.00 KiB  result 8.00 KiB\n"
        "        of x [32,64] #1\n"
        "     3  mul                [32,64]                         0 B  a 8.00 KiB, b 8.00 KiB\n"
        "        of a [32,64] #2, b [32,64] #2\n"
        "     4  mean               []                              0 B  -\n"
        "        of x [32,64] #3\n"
        "4 operations keep 8.00 KiB of intermediates for backward\n");
    fclose(stream);
    assert_int_equal(tarn_tape_print(NULL, stdout), TARN_EARG);
    assert_int_equal(tarn_tape_print(tm, NULL), TARN_EARG);
}

static void as_a_graph(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    (void)record_something(tm);
    check_status(tarn_tape_dot(tm, stream), TARN_OK);
    const char *text = check_stream_text(stream);
    assert_non_null(strstr(text, "digraph tape {\n"));
    assert_non_null(strstr(text, "label=\"\\\"the \\\"x\\\"\\\" [32,8]\"];"));
    assert_non_null(
        strstr(text, "n2 [label=\"relu\\n[32,64]\\nkeeps 8.00 KiB: result 8.00 KiB\"];"));
    assert_non_null(strstr(text, "n2 -> n3 [label=\"a\"];"));
    assert_non_null(strstr(text, "n2 -> n3 [label=\"b\"];"));
    assert_string_equal(text + strlen(text) - 2, "}\n");
    fclose(stream);
}

static void without_anything_recorded(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    check_status(tarn_tape_print(tm, stream), TARN_OK);
    assert_non_null(strstr(check_stream_text(stream), "0 operations keep 0 B"));
    check_status(tarn_tape_dot(tm, stream), TARN_OK);
    fclose(stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(as_text),
        TEST(as_a_graph),
        TEST(without_anything_recorded),
    };
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
