/* SPDX-License-Identifier: MIT
 * test_scope.c - scopes, and whose a handle is. */
#include "check.h"

#include <math.h>
#include <string.h>

#include "core/manager.h"

static tarn_tensor *make(tarn_manager *tm) { return tarn_ones(tm, TARN_F32, TARN_SHAPE(16)); }

static uint64_t handles(const tarn_manager *tm) { return tarn_manager_get_stats(tm).handles; }

/* ---- the end of a scope */

static void a_scope_ends_what_was_made_in_it(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *outside = make(f->tm);
    const tarn_scope scope = tarn_scope_begin(f->tm);
    assert_ptr_equal(scope.manager, f->tm);
    assert_int_equal(scope.depth, 1);
    for (int i = 0; i < 10; i++) assert_non_null(make(f->tm));
    assert_int_equal(handles(f->tm), 11);
    assert_int_equal(tarn_manager_get_stats(f->tm).root_handles, 1);
    tarn_scope_end(scope);
    assert_int_equal(handles(f->tm), 1);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 1);
    assert_non_null(tarn_data(outside));
}

static int leave_by_return(tarn_manager *tm)
{
    TARN_SCOPE(tm);
    (void)make(tm);
    return (int)handles(tm);
}

static void every_way_out_of_a_block_ends_its_scope(void **state)
{
    const check_fixture *f = *state;
    {
        TARN_SCOPE(f->tm);
        (void)make(f->tm);
    }
    assert_int_equal(handles(f->tm), 0);
    for (int i = 0; i < 3; i++) {
        TARN_SCOPE(f->tm);
        (void)make(f->tm);
        if (i < 3) continue;
        fail();
    }
    assert_int_equal(handles(f->tm), 0);
    for (;;) {
        TARN_SCOPE(f->tm);
        (void)make(f->tm);
        break;
    }
    assert_int_equal(handles(f->tm), 0);
    assert_int_equal(leave_by_return(f->tm), 1);
    assert_int_equal(handles(f->tm), 0);
    {
        TARN_SCOPE(f->tm);
        {
            TARN_NO_GRAD(f->tm);
            (void)make(f->tm);
            goto out;
        }
    }
out:
    assert_int_equal(handles(f->tm), 0);
    assert_int_equal(f->tm->depth, 0);
}

static void scopes_nest(void **state)
{
    const check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    (void)make(f->tm);
    {
        TARN_SCOPE(f->tm);
        (void)make(f->tm);
        {
            TARN_SCOPE(f->tm);
            (void)make(f->tm);
            assert_int_equal(handles(f->tm), 3);
        }
        assert_int_equal(handles(f->tm), 2);
        (void)make(f->tm);
    }
    assert_int_equal(handles(f->tm), 1);
}

static void an_outer_scope_ends_forgotten_inner_ones(void **state)
{
    const check_fixture *f = *state;
    tarn_scope scopes[5];
    for (int i = 0; i < 5; i++) {
        scopes[i] = tarn_scope_begin(f->tm);
        (void)make(f->tm);
    }
    tarn_scope_end(scopes[2]);
    assert_int_equal(handles(f->tm), 2);
    assert_int_equal(f->tm->depth, 2);
    tarn_scope_end(scopes[4]); /* they are over */
    tarn_scope_end(scopes[3]);
    tarn_scope_end(scopes[2]);
    assert_int_equal(handles(f->tm), 2);
    tarn_scope_end(scopes[0]);
    assert_int_equal(handles(f->tm), 0);
    tarn_scope_end(scopes[1]);
    assert_int_equal(f->tm->depth, 0);
}

static void only_the_scope_itself_can_be_ended(void **state)
{
    const check_fixture *f = *state;
    const tarn_scope first = tarn_scope_begin(f->tm);
    tarn_scope_end(first);
    const tarn_scope second = tarn_scope_begin(f->tm); /* at the same depth */
    (void)make(f->tm);
    tarn_scope_end(first);
    assert_int_equal(handles(f->tm), 1);
    tarn_scope_end((tarn_scope){ f->tm, 0, 0 }); /* the root scope has no end */
    tarn_scope_end((tarn_scope){ f->tm, 7, second.serial });
    tarn_scope_end((tarn_scope){ f->tm, UINT32_MAX, second.serial });
    tarn_scope_end((tarn_scope){ f->tm, second.depth, second.serial + 1 });
    tarn_scope_end((tarn_scope){ NULL, second.depth, second.serial });
    assert_int_equal(handles(f->tm), 1);
    tarn_scope_end(second);
    assert_int_equal(handles(f->tm), 0);
}

static void the_root_scope_lives_as_long_as_the_manager(void **state)
{
    const check_fixture *f = *state;
    for (int i = 0; i < 100; i++) assert_non_null(make(f->tm));
    assert_int_equal(tarn_manager_get_stats(f->tm).root_handles, 100);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 100);
    /* check_teardown sees them gone */
}

/* ---- out of a scope */

static void escape_moves_one_scope_outwards(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t, *u;
    {
        TARN_SCOPE(f->tm);
        {
            TARN_SCOPE(f->tm);
            {
                TARN_SCOPE(f->tm);
                t = make(f->tm);
                u = make(f->tm);
                (void)make(f->tm);
                assert_ptr_equal(tarn_escape(t), t);
                assert_ptr_equal(tarn_escape(t), t); /* it is there already */
                assert_ptr_equal(tarn_escape(u), u);
            }
            assert_int_equal(handles(f->tm), 2);
            assert_ptr_equal(tarn_escape(t), t);
        }
        assert_int_equal(handles(f->tm), 1); /* u ended */
        assert_ptr_equal(tarn_escape(t), t);
    }
    assert_int_equal(tarn_manager_get_stats(f->tm).root_handles, 1);
    assert_ptr_equal(tarn_escape(t), t); /* nothing is around the root */
    static const double ones[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    check_close(t, ones, 16, 0);
    tarn_release(t);
    assert_int_equal(handles(f->tm), 0);
}

static void a_retained_handle_outlives_its_scope(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t, *twice;
    {
        TARN_SCOPE(f->tm);
        t = tarn_retain(make(f->tm));
        twice = tarn_retain(tarn_retain(make(f->tm)));
    }
    assert_int_equal(handles(f->tm), 2);
    assert_int_equal(tarn_manager_get_stats(f->tm).retained, 2);
    assert_int_equal(tarn_manager_get_stats(f->tm).root_handles, 0);
    assert_non_null(tarn_data(t));
    assert_ptr_equal(tarn_escape(t), t); /* no scope owns it */
    tarn_release(t);
    tarn_release(twice);
    assert_non_null(tarn_data(twice));
    assert_int_equal(handles(f->tm), 1);
    assert_ptr_equal(tarn_retain(twice), twice); /* again, after its scope */
    tarn_release(twice);
    tarn_release(twice);
    assert_int_equal(handles(f->tm), 0);
    assert_int_equal(tarn_manager_get_stats(f->tm).retained, 0);
}

static void retain_and_release_inside_a_scope_change_nothing(void **state)
{
    const check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_tensor *t = tarn_retain(make(f->tm));
    tarn_release(t);
    assert_non_null(tarn_data(t)); /* the scope has it still */
    assert_int_equal(handles(f->tm), 1);
}

static void release_ends_a_handle_before_its_scope(void **state)
{
    const check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_tensor *a = make(f->tm), *b = make(f->tm), *c = make(f->tm), *d = make(f->tm);
    tarn_release(b); /* from the middle, the ends, and the last */
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 3);
    tarn_release(d);
    tarn_release(a);
    assert_int_equal(handles(f->tm), 1);
    assert_non_null(tarn_data(c));
    tarn_release(c);
    assert_int_equal(handles(f->tm), 0);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    assert_non_null(make(f->tm));
}

static void a_retain_goes_before_the_scope(void **state)
{
    const check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_tensor *t = tarn_retain(make(f->tm));
    tarn_release(t); /* the retain */
    assert_int_equal(handles(f->tm), 1);
    tarn_release(t); /* the scope's part */
    assert_int_equal(handles(f->tm), 0);
}

static void keep_changes_no_life(void **state)
{
    const check_fixture *f = *state;
    {
        TARN_SCOPE(f->tm);
        tarn_tensor *t = make(f->tm);
        assert_ptr_equal(tarn_keep(t), t);
        assert_true(t->kept);
    }
    assert_int_equal(handles(f->tm), 0);
    tarn_tensor *t = tarn_keep(make(f->tm));
    tarn_release(t);
    assert_int_equal(handles(f->tm), 0);
}

/* ---- after the end, while something else holds the handle */

static void an_ended_handle_says_who_ended_it(void **state)
{
    const check_fixture *f = *state;
    float values[16];
    tarn_tensor *t = tarn_set_name(make(f->tm), "x");
    tarn__ref(t); /* as the tape does */
    tarn_release(t);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
#define ENDED ": tensor \"x\" [16] was ended by tarn_release"
    tarn_release(t);
    check_error(f->tm, TARN_ESTALE, "tarn_release" ENDED);
    assert_null(tarn_data(t));
    check_error(f->tm, TARN_ESTALE, "tarn_data" ENDED);
    assert_null(tarn_data_mut(t));
    check_error(f->tm, TARN_ESTALE, "tarn_data_mut" ENDED);
    assert_true(isnan(tarn_item(t)));
    check_error(f->tm, TARN_ESTALE, "tarn_item" ENDED);
    check_status(tarn_copy_from(t, values, sizeof(values)), TARN_ESTALE);
    check_error(f->tm, TARN_ESTALE, "tarn_copy_from" ENDED);
    check_status(tarn_copy_to(t, values, sizeof(values)), TARN_ESTALE);
    check_error(f->tm, TARN_ESTALE, "tarn_copy_to" ENDED);
    check_status(tarn_fill_with(t, 1), TARN_ESTALE);
    check_error(f->tm, TARN_ESTALE, "tarn_fill_with" ENDED);
    check_status(tarn_print(t, stdout), TARN_ESTALE);
    check_error(f->tm, TARN_ESTALE, "tarn_print" ENDED);
    assert_ptr_equal(tarn_retain(t), t);
    check_error(f->tm, TARN_ESTALE, "tarn_retain" ENDED);
    assert_int_equal(tarn_manager_get_stats(f->tm).retained, 0);
    assert_ptr_equal(tarn_escape(t), t);
    check_error(f->tm, TARN_ESTALE, "tarn_escape" ENDED);
    assert_ptr_equal(tarn_keep(t), t);
    check_error(f->tm, TARN_ESTALE, "tarn_keep" ENDED);
#undef ENDED
    assert_int_equal(tarn_ndim(t), 0);
    assert_int_equal(tarn_numel(t), 0);
    assert_int_equal(tarn_dim(t, 0), 0);
    assert_false(tarn_is_contiguous(t));
    assert_string_equal(tarn_name(t), "");
    tarn__unref(t);
    assert_int_equal(handles(f->tm), 0);
}

static void the_message_names_the_remedy(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t, *u;
    {
        TARN_SCOPE(f->tm);
        t = make(f->tm);
        tarn__ref(t);
        u = make(f->tm);
        tarn__tensor_spend(u); /* as backward does; the handle stays in its scope */
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 1);
        assert_null(tarn_data(u));
        check_error(
            f->tm, TARN_ESTALE,
            "tarn_data: tensor [16] was given back by tarn_backward: keep it with tarn_keep "
            "before, or read it before");
        (void)tarn_set_name(u, "late");
        check_error(
            f->tm, TARN_ESTALE,
            "tarn_set_name: tensor [16] was given back by tarn_backward: keep it with tarn_keep "
            "before, or read it before");
        assert_string_equal(tarn_name(u), "");
    }
    assert_null(tarn_data(t));
    check_error(f->tm, TARN_ESTALE,
                "tarn_data: tensor [16] ended with its scope: move it out with "
                "tarn_escape, or hold it with tarn_retain");
    tarn__unref(t);
    assert_int_equal(handles(f->tm), 0);
}

static void saved_elements_outlive_their_handle(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t = make(f->tm);
    tarn__ref(t);
    t->saves = 2;
    tarn_release(t);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 1);
    assert_null(tarn_data(t)); /* for the tape's eyes only */
    check_error(f->tm, TARN_ESTALE, "tarn_data: tensor [16] was ended by tarn_release");
    tarn__unsave(t);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 1);
    tarn__unsave(t);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    tarn__unref(t);
}

static void what_an_object_owns_is_not_released(void **state)
{
    const check_fixture *f = *state;
    tarn__layout layout;
    check_status(tarn__layout_make(&layout, TARN_F32, &TARN_SHAPE(2)), TARN_OK);
    tarn_tensor *t = tarn__own(tarn__tensor_new(f->tm, &layout, TARN_ZEROED));
    assert_non_null(t);
    tarn_release(tarn_set_name(t, "l1.bias"));
    check_error(f->tm, TARN_ESTATE,
                "tarn_release: \"l1.bias\" [2] belongs to its module, loader or "
                "leaf and was not retained");
    TARN_SCOPE(f->tm);
    assert_ptr_equal(tarn_escape(t), t);
    assert_ptr_equal(tarn_retain(t), t);
    tarn_release(t);
    assert_non_null(tarn_data(t));
    (void)tarn_retain(t);
    tarn__tensor_end(t, TARN__ENDED_BY_RELEASE); /* its object is gone; the caller's hold counts */
    assert_non_null(tarn_data(t));
    tarn_release(t);
    assert_int_equal(handles(f->tm), 0);
}

/* ---- many scopes */

static void frames_grow(void **state)
{
    const check_fixture *f = *state;
    enum { DEEP = 10000 };
    static tarn_scope scopes[DEEP];
    tarn_tensor *outside = make(f->tm);
    for (uint32_t i = 0; i < DEEP; i++) {
        scopes[i] = tarn_scope_begin(f->tm);
        assert_int_equal(scopes[i].depth, i + 1);
        if (i % 100 == 0) assert_non_null(make(f->tm));
    }
    assert_int_equal(handles(f->tm), 1 + DEEP / 100);
    check_pool(f);
    for (uint32_t i = DEEP; i-- > DEEP / 2;) tarn_scope_end(scopes[i]);
    assert_int_equal(handles(f->tm), 1 + DEEP / 200);
    tarn_scope_end(scopes[0]);
    assert_int_equal(handles(f->tm), 1);
    assert_non_null(tarn_data(outside));
}

static void a_scope_without_memory_is_empty(void **state)
{
    check_fixture *f = *state;
    tarn_scope scopes[100];
    uint32_t n = 0;
    check_system_fail(&f->system, 1, true);
    while (tarn_ok(f->tm)) scopes[n++] = tarn_scope_begin(f->tm);
    assert_true(n < 100);
    const tarn_scope failed = scopes[--n];
    assert_true(failed.manager == NULL && failed.depth == 0);
    assert_int_equal(f->tm->depth, n);
    check_status(tarn_error_code(f->tm), TARN_ENOMEM);
    assert_int_equal(strncmp(tarn_error_message(f->tm), "scope: out of memory: ", 22), 0);
    tarn_clear_error(f->tm);
    check_system_fail(&f->system, 0, false);

    assert_non_null(make(f->tm)); /* belongs to the scope around */
    tarn_scope_end(failed);
    assert_int_equal(handles(f->tm), 1);
    const tarn_scope again = tarn_scope_begin(f->tm);
    assert_int_equal(again.depth, n + 1);
    (void)make(f->tm);
    tarn_scope_end(again);
    assert_int_equal(handles(f->tm), 1);
    tarn_scope_end(scopes[n - 1]);
    assert_int_equal(handles(f->tm), 0);
    tarn_scope_end(scopes[0]);
    assert_int_equal(f->tm->depth, 0);
}

/* ---- the tape, played by a recorder of the test's own */

static struct {
    uint64_t position, marks[8];
    uint32_t depths[8];
    size_t n_truncated, n_destroyed;
} tape;

static uint64_t tape_mark(const tarn_manager *tm)
{
    (void)tm;
    return tape.position;
}

static void tape_truncate(tarn_manager *tm, uint64_t mark, uint32_t depth)
{
    (void)tm;
    tape.marks[tape.n_truncated] = mark;
    tape.depths[tape.n_truncated++] = depth;
}

static void tape_destroy(tarn_manager *tm)
{
    (void)tm;
    tape.n_destroyed++;
}

static const tarn__recorder recorder = {
    .mark = tape_mark, .truncate = tape_truncate, .length = tape_mark, .destroy = tape_destroy
};

static void no_grad_reaches_inner_scopes(void **state)
{
    const check_fixture *f = *state;
    assert_false(tarn__recording(f->tm)); /* without a tape */
    f->tm->recorder = &recorder;
    assert_true(tarn__recording(f->tm));
    {
        TARN_SCOPE(f->tm);
        assert_true(tarn__recording(f->tm));
        {
            TARN_NO_GRAD(f->tm);
            assert_false(tarn__recording(f->tm));
            {
                TARN_SCOPE(f->tm);
                assert_false(tarn__recording(f->tm));
                {
                    TARN_NO_GRAD(f->tm);
                    assert_false(tarn__recording(f->tm));
                }
                assert_false(tarn__recording(f->tm));
            }
            assert_false(tarn__recording(f->tm));
        }
        assert_true(tarn__recording(f->tm));
        TARN_SCOPE(f->tm); /* a frame used before by a no-grad scope */
        assert_true(tarn__recording(f->tm));
    }
    assert_true(tarn__recording(f->tm));
    f->tm->recorder = NULL;
}

static void a_scope_truncates_the_tape_to_its_start(void **state)
{
    check_fixture *f = *state;
    memset(&tape, 0, sizeof(tape));
    f->tm->recorder = &recorder;
    tape.position = 3;
    const tarn_scope outer = tarn_scope_begin(f->tm);
    tape.position = 10;
    const tarn_scope inner = tarn_scope_begin(f->tm);
    assert_int_equal(inner.depth, 2);
    tape.position = 12;
    assert_int_equal(tarn_manager_get_stats(f->tm).tape_length, 12);
    tarn_scope_end(outer);
    assert_int_equal(tape.n_truncated, 2);
    assert_true(tape.marks[0] == 10 && tape.depths[0] == 2);
    assert_true(tape.marks[1] == 3 && tape.depths[1] == 1);
    check_no_error(f->tm);
    assert_int_equal(tarn_manager_destroy(f->tm), 0);
    f->tm = NULL;
    assert_int_equal(tape.n_destroyed, 1);
}

int main(void)
{
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        WITH_MANAGER(a_scope_ends_what_was_made_in_it),
        WITH_MANAGER(every_way_out_of_a_block_ends_its_scope),
        WITH_MANAGER(scopes_nest),
        WITH_MANAGER(an_outer_scope_ends_forgotten_inner_ones),
        WITH_MANAGER(only_the_scope_itself_can_be_ended),
        WITH_MANAGER(the_root_scope_lives_as_long_as_the_manager),
        WITH_MANAGER(escape_moves_one_scope_outwards),
        WITH_MANAGER(a_retained_handle_outlives_its_scope),
        WITH_MANAGER(retain_and_release_inside_a_scope_change_nothing),
        WITH_MANAGER(release_ends_a_handle_before_its_scope),
        WITH_MANAGER(a_retain_goes_before_the_scope),
        WITH_MANAGER(keep_changes_no_life),
        WITH_MANAGER(an_ended_handle_says_who_ended_it),
        WITH_MANAGER(the_message_names_the_remedy),
        WITH_MANAGER(saved_elements_outlive_their_handle),
        WITH_MANAGER(what_an_object_owns_is_not_released),
        WITH_MANAGER(frames_grow),
        WITH_MANAGER(a_scope_without_memory_is_empty),
        WITH_MANAGER(no_grad_reaches_inner_scopes),
        WITH_MANAGER(a_scope_truncates_the_tape_to_its_start),
    };
    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
