/* SPDX-License-Identifier: MIT
 * test_programs.c - random programs, computed twice: plainly, and with everything that may be done
 * to memory on the way: in place, functions that run again, inner scopes, handles that are
 * released, retained or kept, hooks, memory that ends. The gradients must be the same. And they
 * are planned: recorded and replayed, with the same bits.
 *
 * A program works on a few slots of one shape, each of which is a tensor; a step replaces one. All
 * choices that decide what is computed come from one sequence of random numbers, those that decide
 * how from another. TARN_TEST_PROGRAMS sets the number of programs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "autograd/tape.h"
#include "check.h"

enum { SLOTS = 5, LEAVES = 3, SIDE = 4, ELEMENTS = SIDE * SIDE, STEPS = 24, HELD = 64 };

/* A function of one or two slots, as tarn_checkpoint takes it. */
typedef struct piece {
    int before, pair, after; /* operations */
    tarn_tensor *leaf;       /* another factor, or NULL */
} piece;

typedef struct program {
    tarn_manager *tm;
    uint64_t what, how; /* random sequences */
    bool plain;
    bool planned; /* no hooks, and nothing is held: a plan refuses both */
    tarn_tensor *leaf[LEAVES], *slot[SLOTS];
    piece pieces[STEPS];
    int n_pieces;
    tarn_tensor *held[HELD]; /* retained */
    int n_held;
    bool checkpointed;
} program;

static int draw(uint64_t *sequence, int n)
{
    return (int)((check_random(sequence) >> 33) % (uint64_t)n);
}
static int what(program *p, int n) { return draw(&p->what, n); }

/* True once in n times, unless the program is plain. */
static bool sometimes(program *p, int n) { return !p->plain && draw(&p->how, n) == 0; }

static void hold(program *p, tarn_tensor *t)
{
    if (!p->planned && p->n_held < HELD) p->held[p->n_held++] = tarn_retain(t);
}

/* ---- operations that keep the shape */

static tarn_tensor *turned(tarn_tensor *x)
{
    tarn_tensor *wide = tarn_reshape(tarn_contiguous(x), TARN_SHAPE(2, ELEMENTS / 2));
    tarn_tensor *tall = tarn_contiguous(tarn_transpose(wide, 0, 1));
    return tarn_reshape(tall, TARN_SHAPE(SIDE, SIDE));
}

static tarn_tensor *rolled(tarn_tensor *x)
{
    tarn_tensor *first = tarn_slice(x, 0, 0, 1), *rest = tarn_slice(x, 0, 1, SIDE);
    return tarn_concat((tarn_tensor *[]){ rest, first }, 2, 0);
}

static tarn_tensor *spread(tarn_tensor *x)
{
    tarn_tensor *mean = tarn_mean(x, TARN_AXES_KEEP(1));
    return tarn_expand(mean, TARN_SHAPE(SIDE, SIDE));
}

static tarn_tensor *masked(tarn_tensor *x, bool in_place)
{
    tarn_tensor *mask = tarn_greater_scalar(x, 0.8);
    return in_place ? tarn_masked_fill_(x, mask, 0.8) : tarn_masked_fill(x, mask, 0.8);
}

enum { ALONE = 15, PAIRS = 7 };

static tarn_tensor *alone(int operation, tarn_tensor *x)
{
    switch (operation) {
    case 0: return tarn_tanh(x);
    case 1: return tarn_sigmoid(x);
    case 2: return tarn_relu(x);
    case 3: return tarn_neg(x);
    case 4: return tarn_mul_scalar(x, 0.7);
    case 5: return tarn_add_scalar(x, 0.3);
    case 6: return masked(x, false);
    case 7: return tarn_transpose(x, 0, 1);
    case 8: return tarn_alias(x);
    case 9: return turned(x);
    case 10: return rolled(x);
    case 11: return spread(x);
    case 12: return tarn_softmax(x, 1);
    case 13: return tarn_layer_norm(x, 1, NULL, NULL, 1e-2);
    default: return tarn_gelu(x);
    }
}

static tarn_tensor *alone_in_place(int operation, tarn_tensor *x)
{
    switch (operation) {
    case 0: return tarn_tanh_(x);
    case 1: return tarn_sigmoid_(x);
    case 2: return tarn_relu_(x);
    case 3: return tarn_neg_(x);
    case 4: return tarn_mul_scalar_(x, 0.7);
    case 5: return tarn_add_scalar_(x, 0.3);
    case 6: return masked(x, true);
    default: return NULL;
    }
}

static tarn_tensor *pair(int operation, tarn_tensor *a, tarn_tensor *b)
{
    switch (operation) {
    case 0: return tarn_add(a, b);
    case 1: return tarn_sub(a, b);
    case 2: return tarn_mul(a, b);
    case 3: return tarn_mul(a, tarn_slice(b, 0, 0, 1));
    case 4: return tarn_maximum(a, b);
    case 5: return tarn_mul_scalar(tarn_matmul(a, b), 0.3);
    default: return tarn_affine(a, b, NULL);
    }
}

static tarn_tensor *pair_in_place(int operation, tarn_tensor *a, tarn_tensor *b)
{
    switch (operation) {
    case 0: return tarn_add_(a, b);
    case 1: return tarn_sub_(a, b);
    case 2: return tarn_mul_(a, b);
    case 3: return tarn_mul_(a, tarn_slice(b, 0, 0, 1));
    default: return NULL;
    }
}

static tarn_tensor *run_piece(tarn_tensor *const *inputs, int n, void *context)
{
    const piece *f = context;
    tarn_tensor *x = alone(f->before, inputs[0]);
    tarn_tensor *y = pair(f->pair, x, inputs[n - 1]);
    if (f->leaf != NULL) y = tarn_mul(y, f->leaf);
    return alone(f->after, y);
}

static tarn_tensor *run_nested(tarn_tensor *const *inputs, int n, void *context)
{
    return tarn_tanh(tarn_checkpoint(run_piece, (tarn_list){ n, inputs }, context));
}

/* ---- steps */

/* In place if that is possible: a refusal has changed nothing. NULL if it is not. */
static tarn_tensor *in_place(program *p, bool single, int operation, tarn_tensor *a, tarn_tensor *b)
{
    tarn_tensor *y = single ? alone_in_place(operation, a) : pair_in_place(operation, a, b);
    if (tarn_ok(p->tm)) return y;
    check_error_part(p->tm, TARN_ESTATE, "cannot be changed in place");
    return NULL;
}

static tarn_tensor *call_piece(program *p, tarn_tensor *a, tarn_tensor *b)
{
    piece *f = &p->pieces[p->n_pieces++];
    *f = (piece){ what(p, ALONE), what(p, PAIRS), what(p, ALONE), NULL };
    if (what(p, 2) == 0) f->leaf = p->leaf[what(p, LEAVES)];
    tarn_tensor *const inputs[] = { a, b };
    const int n = 1 + what(p, 2);
    const bool nested = what(p, 2) == 0;
    if (sometimes(p, 2)) {
        p->checkpointed = true;
        return tarn_checkpoint(nested ? run_nested : run_piece, (tarn_list){ n, inputs }, f);
    }
    tarn_tensor *y = run_piece(inputs, n, f);
    return nested ? tarn_tanh(y) : y;
}

static tarn_tensor *compute(program *p, tarn_tensor *a, tarn_tensor *b)
{
    const int kind = what(p, 8);
    if (kind >= 6) return call_piece(p, a, b);
    const bool single = kind < 3;
    const int operation = what(p, single ? ALONE : PAIRS);
    tarn_tensor *y = sometimes(p, 2) ? in_place(p, single, operation, a, b) : NULL;
    if (y != NULL) return y;
    return single ? alone(operation, a) : pair(operation, a, b);
}

/* A hook that computes, and may hold the gradient or end all hooks. */
static void meddle(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    program *p = context;
    if (sometimes(p, 3)) (void)tarn_sum(tarn_square(gradient), TARN_ALL_AXES);
    if (sometimes(p, 5)) hold(p, gradient);
    if (sometimes(p, 6)) tarn_clear_hooks(t);
}

static bool is_used(const program *p, const tarn_tensor *t)
{
    for (int i = 0; i < SLOTS; i++)
        if (p->slot[i] == t) return true;
    for (int i = 0; i < p->n_held; i++)
        if (p->held[i] == t) return true;
    return false;
}

static void step(program *p)
{
    tarn_tensor **slot = &p->slot[what(p, SLOTS)], *old = *slot;
    const int other_slot = what(p, SLOTS), leaf = what(p, 2 * LEAVES);
    tarn_tensor *other = leaf < LEAVES ? p->leaf[leaf] : p->slot[other_slot];
    const bool scoped = sometimes(p, 4);
    const tarn_scope scope = scoped ? tarn_scope_begin(p->tm) : (tarn_scope){ 0 };
    tarn_tensor *y = compute(p, old, other);
    if (y == NULL) fail_msg("a step: %s", tarn_error_message(p->tm));
    if (scoped) (void)tarn_escape(y); /* unless it is `old`, which is outside already */
    tarn_scope_end(scope);
    if (sometimes(p, 6) && tarn_requires_grad(y) && !p->planned)
        check_status(tarn_on_gradient(y, meddle, p), TARN_OK);
    if (sometimes(p, 8)) (void)tarn_keep(y);
    if (sometimes(p, 8)) hold(p, y);
    *slot = y;
    if (sometimes(p, 2) && !is_used(p, old)) tarn_release(old);
}

/* ---- programs */

typedef enum ending { BACKWARD, TWICE, BY_INPUTS, CREATE, SECOND, ENDINGS } ending;

typedef struct gradients {
    bool known;
    double of[LEAVES][ELEMENTS];
} gradients;

static tarn_tensor *draw_tensor(program *p)
{
    double values[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) values[i] = what(p, 2001) / 1000.0 - 1;
    return tarn_from_array(p->tm, TARN_F64, TARN_SHAPE(SIDE, SIDE), values);
}

static tarn_tensor *loss_of(program *p)
{
    tarn_tensor *loss = tarn_zeros(p->tm, TARN_F64, TARN_SCALAR);
    for (int i = 0; i < SLOTS; i++) {
        tarn_tensor *square = tarn_square(p->slot[i]);
        if (what(p, 4) == 0) square = tarn_mul(square, p->leaf[i % LEAVES]);
        loss = tarn_add(loss, tarn_mean(square, TARN_ALL_AXES));
    }
    return loss;
}

/* Differentiates once or twice; the gradients are those of the leaves, or in g. */
static tarn_status differentiate(program *p, ending how, tarn_tensor *loss, tarn_tensor **g)
{
    const tarn_list leaves = { LEAVES, p->leaf };
    const tarn_backward_options keep = { .keep_graph = true };
    const tarn_grad_options create = { .create_graph = true };
    if (how == TWICE && tarn_backward_with(loss, &keep) != TARN_OK) return tarn_error_code(p->tm);
    if (how == BACKWARD || how == TWICE) return tarn_backward(loss);
    if (how == BY_INPUTS) return tarn_grad(TARN_LIST(loss), leaves, g, NULL);
    if (tarn_grad(TARN_LIST(loss), leaves, g, &create) != TARN_OK) return tarn_error_code(p->tm);
    if (how == CREATE) return TARN_OK;
    tarn_tensor *squares = tarn_sum(tarn_square(g[0]), TARN_ALL_AXES);
    tarn_tensor *products = tarn_sum(tarn_mul(g[1], g[2]), TARN_ALL_AXES);
    return tarn_grad(TARN_LIST(squares, products), leaves, g, NULL);
}

/* Whether it failed for a reason that is none of a mistake. */
static bool may_fail(const program *p, ending how)
{
    const char *text = tarn_error_message(p->tm);
    if (tarn_error_code(p->tm) == TARN_ENOMEM) return true;
    if (how >= CREATE && p->checkpointed && strstr(text, "checkpoint has no gradient") != NULL)
        return true;
    return strstr(text, "was changed since") !=
           NULL; /* a constant in place, of which a view was saved */
}

static void run_steps(program *p, ending how, int steps, uint64_t fail, gradients *out)
{
    TARN_SCOPE(p->tm);
    tarn_tensor *g[LEAVES] = { NULL };
    p->n_pieces = 0;
    for (int i = 0; i < SLOTS; i++)
        p->slot[i] = i < LEAVES ? tarn_alias(p->leaf[i]) : draw_tensor(p);
    for (int i = 0; i < steps; i++) step(p);
    if (sometimes(p, 3)) check_status(tarn_on_gradient(p->leaf[1], meddle, p), TARN_OK);
    tarn_tensor *loss = loss_of(p);
    check_fail_acquisition(tarn_manager_pool(p->tm), fail);
    const tarn_status status = differentiate(p, how, loss, g);
    check_fail_acquisition(tarn_manager_pool(p->tm), 0);
    out->known = status == TARN_OK;
    if (!out->known && !may_fail(p, how)) fail_msg("%s", tarn_error_message(p->tm));
    tarn_clear_error(p->tm);
    for (int i = 0; i < LEAVES && out->known; i++) {
        tarn_tensor *t = how <= TWICE ? tarn_grad_of(p->leaf[i]) : g[i];
        check_status(tarn_copy_to(t, out->of[i], sizeof(out->of[i])), TARN_OK);
    }
    while (p->n_held > 0) tarn_release(p->held[--p->n_held]);
}

/* Nothing is left of a program but its leaves. */
static void expect_nothing_left(const program *p, ending how)
{
    const tarn__tape *tape = p->tm->tape;
    assert_int_equal(tape->nodes.taken, 0);
    assert_int_equal(tape->additions.taken, 0);
    assert_true(tarn_manager_get_stats(p->tm).handles <= 2 * LEAVES);
    for (int i = 0; i < LEAVES; i++) {
        assert_int_equal(p->leaf[i]->target, 0);
        assert_int_equal(p->leaf[i]->refs, 1);
        if (how > TWICE) assert_false(tarn_has_grad(p->leaf[i]));
    }
}

/* fail: the acquisition of the pass that fails in a first try; 0: none. */
static gradients run(uint64_t number, ending how, uint64_t tricks, uint64_t fail)
{
    gradients out;
    const int steps = 1 + (int)(number % STEPS);
    program p = { .tm = tarn_manager_create(NULL), .what = number, .plain = tricks == 0 };
    for (int i = 0; i < LEAVES; i++) p.leaf[i] = tarn_require_grad(draw_tensor(&p));
    const uint64_t begin = p.what;
    for (int try = fail > 0 ? 0 : 1; try < 2; try++) {
        p.what = begin;
        p.how = tricks;
        run_steps(&p, how, steps, try == 0 ? fail : 0, &out);
        for (int i = 0; i < LEAVES; i++) tarn_clear_hooks(p.leaf[i]);
        expect_nothing_left(&p, how);
        for (int i = 0; i < LEAVES && try == 0; i++) (void)tarn_zero_grad(p.leaf[i]);
    }
    assert_int_equal(tarn_manager_destroy(p.tm), 0);
    return out;
}

static int compare(const gradients *a, const gradients *b, uint64_t number, ending how,
                   uint64_t tricks)
{
    if (!a->known || !b->known) return 0;
    for (int i = 0; i < LEAVES; i++)
        for (int k = 0; k < ELEMENTS; k++)
            if (!(fabs(a->of[i][k] - b->of[i][k]) <= 1e-11 * fmax(1, fabs(a->of[i][k]))))
                fail_msg("program %llu, ending %d, tricks %llu: element %d of the gradient of "
                         "leaf %d is %.17g, not %.17g",
                         (unsigned long long)number, (int)how, (unsigned long long)tricks, k, i,
                         b->of[i][k], a->of[i][k]);
    return 1;
}

static void gradients_do_not_depend_on_memory(void **state)
{
    (void)state;
    const char *given = getenv("TARN_TEST_PROGRAMS");
    const uint64_t n = given != NULL ? strtoull(given, NULL, 10) : check_scaled(600);
    uint64_t seed = check_seed();
    int compared = 0, tried = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t number = check_random(&seed);
        for (int how = 0; how < ENDINGS; how++) {
            const gradients plain = run(number, (ending)how, 0, 0);
            for (uint64_t fail = 0; fail <= 40; fail += 1 + number % 40, tried++) {
                const uint64_t tricks = check_random(&seed) | 1;
                const gradients g = run(number, (ending)how, tricks, fail);
                compared += compare(&plain, &g, number, (ending)how, tricks);
            }
        }
    }
    print_message("programs: %d gradients of %d compared; the others were refused\n", compared,
                  tried);
    assert_true(compared > tried / 2);
}

/* ---- planned programs */

typedef struct planned {
    program p;
    ending how;
    int steps;
    uint64_t what, tricks; /* where the sequences begin */
} planned;

/* The program, from inputs; gradients that no leaf keeps are its result, one above the other. */
static tarn_tensor *planned_step(tarn_tensor *const *inputs, int n, void *context)
{
    planned *r = context;
    program *p = &r->p;
    tarn_tensor *g[LEAVES] = { NULL };
    p->what = r->what;
    p->how = r->tricks;
    p->n_pieces = 0;
    for (int i = 0; i < SLOTS; i++)
        p->slot[i] = i < n ? tarn_mul_scalar(inputs[i], 1) : tarn_alias(p->leaf[i - n]);
    for (int i = 0; i < r->steps; i++) step(p);
    tarn_tensor *loss = loss_of(p);
    if (differentiate(p, r->how, loss, g) != TARN_OK) return NULL;
    return r->how <= TWICE ? loss : tarn_concat(g, LEAVES, 0);
}

/* One run in a scope; false if it failed for a reason that is none of a mistake. */
static bool run_planned(planned *r, tarn_plan *plan, tarn_list inputs, double *out)
{
    program *p = &r->p;
    TARN_SCOPE(p->tm);
    for (int i = 0; i < LEAVES; i++) (void)tarn_zero_grad(p->leaf[i]);
    tarn_tensor *y =
        plan != NULL ? tarn_plan_run(plan, inputs) : planned_step(inputs.items, inputs.n, r);
    if (y == NULL) {
        if (!may_fail(p, r->how)) fail_msg("%s", tarn_error_message(p->tm));
        tarn_clear_error(p->tm);
        return false;
    }
    check_status(tarn_copy_to(y, out, (size_t)tarn_numel(y) * sizeof(*out)), TARN_OK);
    for (int i = 0; i < LEAVES && r->how <= TWICE; i++) {
        tarn_tensor *g = tarn_grad_of(p->leaf[i]);
        check_status(tarn_copy_to(g, out + 1 + i * ELEMENTS, ELEMENTS * sizeof(*out)), TARN_OK);
    }
    return true;
}

/* Returns how many replays were compared. */
static int plan_program(uint64_t number, ending how, uint64_t tricks)
{
    enum { INPUTS = SLOTS - LEAVES, RUNS = 5, OUT = 1 + LEAVES * ELEMENTS };
    double called[OUT] = { 0 }, replayed[OUT] = { 0 };
    planned r = { .how = how, .steps = 1 + (int)(number % STEPS), .tricks = tricks };
    program *p = &r.p;
    *p = (program){
        .tm = tarn_manager_create(NULL), .what = number, .plain = tricks == 0, .planned = true
    };
    for (int i = 0; i < LEAVES; i++) p->leaf[i] = tarn_require_grad(draw_tensor(p));
    r.what = p->what;
    tarn_plan *plan = tarn_plan_create(p->tm, planned_step, &r, NULL);
    int compared = 0;
    for (int i = 0; i < RUNS; i++) {
        program draws = { .tm = p->tm, .what = number + (uint64_t)i };
        tarn_tensor *inputs[INPUTS];
        for (int k = 0; k < INPUTS; k++) inputs[k] = draw_tensor(&draws);
        const tarn_list list = { INPUTS, inputs };
        if (!run_planned(&r, NULL, list, called) || !run_planned(&r, plan, list, replayed)) break;
        if (memcmp(called, replayed, sizeof called) != 0)
            fail_msg("program %llu, ending %d, tricks %llu: run %d differs",
                     (unsigned long long)number, (int)how, (unsigned long long)tricks, i);
        compared += tarn_plan_is_replayed(plan);
        for (int k = 0; k < INPUTS; k++) tarn_release(inputs[k]);
        if (i + 1 == RUNS && !tarn_plan_is_replayed(plan))
            fail_msg("program %llu, ending %d, tricks %llu: %s", (unsigned long long)number,
                     (int)how, (unsigned long long)tricks, tarn_plan_reason(plan));
    }
    assert_int_equal(tarn_manager_destroy(p->tm), 0);
    return compared;
}

static void replays_have_the_same_bits(void **state)
{
    (void)state;
    const char *given = getenv("TARN_TEST_PROGRAMS");
    const uint64_t n = given != NULL ? strtoull(given, NULL, 10) : check_scaled(300);
    uint64_t seed = check_seed();
    int compared = 0, tried = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t number = check_random(&seed), tricks = check_random(&seed) | 1;
        for (int how = 0; how < ENDINGS; how++, tried += 2) {
            compared += plan_program(number, (ending)how, 0);
            compared += plan_program(number, (ending)how, tricks);
        }
    }
    print_message("programs: %d replays of %d programs compared\n", compared, tried);
    assert_true(compared > tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_do_not_depend_on_memory),
        cmocka_unit_test(replays_have_the_same_bits),
    };
    return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
