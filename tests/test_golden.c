/* SPDX-License-Identifier: MIT
 * test_golden.c - results and gradients that PyTorch computed from the same operands, kept in
 * golden/operations.txt. golden/make.py writes them: it runs this program with --inputs, which
 * prints trials of every row as JSON, one a line.
 *
 * Each case of the file names its row, its variant and a digest of what PyTorch was given; a row
 * that has changed since is found by that. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

enum { SEED = 1 };

/* ---- operations without a counterpart */

static const struct {
    const char *op, *reason;
} exceptions[] = {
    { "dropout", "draws of tarn's own" },
};

static const char *exception(const char *op)
{
    for (int i = 0; i < OP_LENGTH(exceptions); i++)
        if (strcmp(exceptions[i].op, op) == 0) return exceptions[i].reason;
    return NULL;
}

/* ---- trials as text */

typedef struct text {
    char *data;
    size_t n, capacity;
} text;

static void add(text *t, const char *format, ...) TARN_PRINTF(2, 3);

static void add(text *t, const char *format, ...)
{
    va_list arguments;
    if (t->capacity - t->n < 256) {
        t->capacity += 4096;
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    va_start(arguments, format);
    t->n += (size_t)vsnprintf(t->data + t->n, t->capacity - t->n, format, arguments);
    va_end(arguments);
}

/* As JSON is read by many: infinities by name. */
static void add_number(text *t, double x)
{
    if (isinf(x)) add(t, "%sInfinity", x < 0 ? "-" : "");
    else add(t, "%.17g", x);
}

static void add_shape(text *t, const char *name, const tarn_shape *shape)
{
    add(t, "\"%s\": [", name);
    for (int i = 0; i < shape->ndim; i++)
        add(t, "%s%lld", i > 0 ? ", " : "", (long long)shape->dims[i]);
    add(t, "]");
}

static void add_array(text *t, const op_array *a, tarn_dtype dtype)
{
    add(t, "{ ");
    add_shape(t, "shape", &a->shape);
    add(t, ", \"dtype\": \"%s\", \"data\": [", tarn_dtype_name(dtype));
    for (int64_t i = 0; i < a->n; i++) {
        if (i > 0) add(t, ", ");
        add_number(t, a->data[i]);
    }
    add(t, "] }");
}

/* Rows of one operation are told apart by their order. */
static int row_number(const op_case *row)
{
    int n = 0;
    OP_EACH_CASE(c)
    {
        if (c == row) return n;
        if (strcmp(c->op, row->op) == 0) n++;
    }
    return n;
}

/* The cotangent's shape is that of the reference. */
static op_array draw_cotangent(const op_trial *t)
{
    op_array out, magnitude, a;
    uint64_t random = 7;
    const op_case any = { .values = { OP_ANY } };
    t->c->reference(t->in, &t->v, &out, &magnitude);
    const op_variant variant = { .shape = { out.shape } };
    op_array_draw(&a, &any, &variant, 0, &random);
    op_array_free(&out);
    op_array_free(&magnitude);
    return a;
}

/* Everything that PyTorch is told. */
static text describe(const op_trial *t, const op_array *cotangent)
{
    const op_variant *v = &t->v;
    text s = { .n = 0 };
    add(&s, "\"op\": \"%s\", \"row\": %d, \"variant\": %d, \"gradient\": %d, \"in\": [", t->c->op,
        row_number(t->c), t->number, op_is_differentiable(t));
    for (int i = 0; i < t->n; i++) {
        if (i > 0) add(&s, ", ");
        add_array(&s, &t->in[i], op_operand_dtype(t, i, TARN_F64));
    }
    add(&s, "], \"cotangent\": ");
    add_array(&s, cotangent, TARN_F64);
    add(&s, ", \"value\": ");
    add_number(&s, v->value);
    add(&s, ", \"value_b\": ");
    add_number(&s, v->value_b);
    add(&s, ", \"axis\": %d, \"axis_b\": %d, \"choice\": %d", v->axis, v->axis_b, v->choice);
    add(&s, ", \"start\": %lld, \"stop\": %lld, \"step\": %lld", (long long)v->start,
        (long long)v->stop, (long long)v->step);
    add(&s, ", \"dtype\": \"%s\", \"keep\": %d, \"axes\": [", tarn_dtype_name(v->dtype),
        (int)v->axes.keep);
    for (int i = 0; i < v->axes.n; i++) add(&s, "%s%d", i > 0 ? ", " : "", v->axes.axis[i]);
    add(&s, "], ");
    add_shape(&s, "target", &v->target);
    add(&s, ", \"classes\": %lld, \"sizes\": [", (long long)v->classes);
    for (int i = 0; i < TARN_MAX_DIMS; i++)
        add(&s, "%s%lld", i > 0 ? ", " : "", (long long)v->target.dims[i]);
    add(&s, "]");
    return s;
}

/* FNV-1a. */
static uint64_t digest(const text *s)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s->n; i++)
        hash = (hash ^ (unsigned char)s->data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- what PyTorch is given */

enum { INPUTS = 150, OUTPUTS = 64, TRIALS = 4 }; /* the most elements, and trials of a row */

/* Nothing empty either, with which PyTorch has troubles of its own. */
static bool is_small(const op_trial *t)
{
    op_array out, magnitude;
    t->c->reference(t->in, &t->v, &out, &magnitude);
    bool small = op_trial_elements(t) <= INPUTS && out.n >= 1 && out.n <= OUTPUTS;
    for (int i = 0; i < t->n; i++) small = small && t->in[i].n > 0;
    op_array_free(&out);
    op_array_free(&magnitude);
    return small;
}

static int count_small(const op_case *c)
{
    int n = 0;
    op_trial t;
    for (int i = 0; op_trial_begin(&t, c, i, SEED); i++) {
        n += is_small(&t);
        op_trial_end(&t);
    }
    return n;
}

/* The small variants of a row, or, of more than there is room for, some at equal distances. */
static void print_row(const op_case *c)
{
    const int n = count_small(c);
    int small = 0, printed = 0;
    op_trial t;
    for (int i = 0; op_trial_begin(&t, c, i, SEED); i++) {
        const int due = n <= TRIALS ? small : printed * (n - 1) / (TRIALS - 1);
        if (is_small(&t) && small++ == due) {
            op_array cotangent = draw_cotangent(&t);
            text s = describe(&t, &cotangent);
            printf("{ %s, \"digest\": \"%016" PRIx64 "\" }\n", s.data, digest(&s));
            free(s.data);
            op_array_free(&cotangent);
            printed++;
        }
        op_trial_end(&t);
    }
}

static int print_inputs(void)
{
    OP_EACH_CASE(c)
    {
        if (exception(c->op) == NULL) print_row(c);
    }
    return ferror(stdout) != 0;
}

/* ---- the file: words and numbers between spaces */

typedef struct golden {
    char op[64];
    int row, variant;
    uint64_t digest;
    op_array out;
    op_array of[OP_OPERANDS]; /* gradients; without data where there is none */
} golden;

static FILE *open_golden(void)
{
    FILE *f = fopen(TARN_GOLDEN_FOLDER "/operations.txt", "r");
    if (f == NULL) fail_msg("there is no " TARN_GOLDEN_FOLDER "/operations.txt");
    char line[256];
    assert_non_null(fgets(line, sizeof(line), f)); /* who made it */
    return f;
}

static void read_array(FILE *f, op_array *a)
{
    tarn_shape shape = { 0 };
    assert_int_equal(fscanf(f, "%d", &shape.ndim), 1);
    assert_in_range(shape.ndim, 0, TARN_MAX_DIMS);
    for (int i = 0; i < shape.ndim; i++) assert_int_equal(fscanf(f, "%" SCNd64, &shape.dims[i]), 1);
    assert_in_range(op_shape_numel(&shape), 0, INPUTS);
    op_array_make(a, shape);
    for (int64_t i = 0; i < a->n; i++) assert_int_equal(fscanf(f, "%lf", &a->data[i]), 1);
}

/* case OP ROW VARIANT DIGEST, out ARRAY, and grad OPERAND ARRAY for each operand that has one.
 * False at the end. */
static bool read_golden(FILE *f, golden *g)
{
    char word[16];
    *g = (golden){ .row = 0 };
    if (fscanf(f, "%15s", word) != 1) return false;
    assert_string_equal(word, "case");
    assert_int_equal(fscanf(f, "%63s %d %d %" SCNx64, g->op, &g->row, &g->variant, &g->digest), 4);
    assert_int_equal(fscanf(f, "%15s", word), 1);
    assert_string_equal(word, "out");
    read_array(f, &g->out);
    int i;
    while (fscanf(f, " grad %d", &i) == 1) {
        assert_in_range(i, 0, OP_OPERANDS - 1);
        read_array(f, &g->of[i]);
    }
    return true;
}

static void free_golden(golden *g)
{
    op_array_free(&g->out);
    for (int i = 0; i < OP_OPERANDS; i++) op_array_free(&g->of[i]);
}

/* ---- comparison */

static const op_case *find_row(const golden *g)
{
    OP_EACH_CASE(c)
    {
        if (strcmp(c->op, g->op) == 0 && row_number(c) == g->row) return c;
    }
    return NULL;
}

static double largest(const op_array *a)
{
    double most = 1;
    for (int64_t i = 0; i < a->n; i++)
        if (isfinite(a->data[i])) most = fmax(most, fabs(a->data[i]));
    return most;
}

static void expect_array(const op_array *a, const op_array *e, double bound, const char *what)
{
    assert_int_equal(a->shape.ndim, e->shape.ndim);
    for (int i = 0; i < e->shape.ndim; i++) assert_int_equal(a->shape.dims[i], e->shape.dims[i]);
    for (int64_t i = 0; i < e->n; i++) {
        const double x = a->data[i], y = e->data[i];
        if (isnan(y) ? isnan(x) : x == y || fabs(x - y) <= bound) continue;
        fail_msg("%s: %s, element %lld is %.17g, but %.17g +- %.3g by PyTorch", op_trial_text, what,
                 (long long)i, x, y, bound);
    }
}

/* Computes both in a type. F64 is exact but for the order of sums; F32 errs as its row says. */
static void compare(tarn_manager *tm, op_trial *t, const golden *g, tarn_dtype dtype)
{
    const double cotangents = (double)g->out.n;
    const double ulps = dtype == TARN_F64 ? 0x1p-40 : (t->c->ulps + 1) * 0x1p-24;
    op_gradients a = { .largest = 0 };
    if (op_is_differentiable(t)) {
        a = op_differentiate(tm, t, &(op_pass){ .dtype = dtype });
    } else {
        op_subject s = op_make_subject(tm, t, dtype, OP_PLAIN, 0);
        op_array_read(&a.out, op_evaluate(s.leaf, t->n, &s));
    }
    op_array expected, magnitude;
    t->c->reference(t->in, &t->v, &expected, &magnitude);
    expect_array(&a.out, &g->out, ulps * fmax(largest(&magnitude), largest(&g->out)), "result");
    op_array_free(&expected);
    op_array_free(&magnitude);
    for (int i = 0; i < t->n; i++) {
        char what[40];
        snprintf(what, sizeof(what), "gradient %d", i);
        if (g->of[i].data == NULL) continue;
        const double grad_ulps =
            dtype == TARN_F64 ? 0x1p-40 : (t->c->grad_ulps + cotangents) * 0x1p-22;
        expect_array(&a.of[i], &g->of[i], grad_ulps * largest(&g->of[i]), what);
    }
    op_free_gradients(&a);
}

static void check_golden(tarn_manager *tm, const golden *g)
{
    TARN_SCOPE(tm);
    op_trial t;
    char name[200];
    const op_case *c = find_row(g);
    if (c == NULL || !op_trial_begin(&t, c, g->variant, SEED))
        fail_msg("%s, row %d, has no variant %d any more: run tests/golden/make.py", g->op, g->row,
                 g->variant);
    op_trial_text = op_case_text(c, &t.v, name);
    op_array cotangent = draw_cotangent(&t);
    text s = describe(&t, &cotangent);
    if (digest(&s) != g->digest)
        fail_msg("%s, variant %d: the row was changed since tests/golden/make.py ran: run it again",
                 name, g->variant);
    free(s.data);
    op_array_free(&cotangent);
    for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) compare(tm, &t, g, (tarn_dtype)dtype);
    op_trial_end(&t);
}

static void results_are_those_of_pytorch(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    FILE *f = open_golden();
    golden g;
    int n = 0;
    for (; read_golden(f, &g); n++) {
        check_golden(tm, &g);
        free_golden(&g);
    }
    fclose(f);
    print_message("golden: %d trials computed by PyTorch\n", n);
    assert_true(n > 0);
}

/* ---- none is left out */

static bool has_golden(const op_case *c)
{
    FILE *f = open_golden();
    golden g;
    bool found = false;
    while (!found && read_golden(f, &g)) {
        found = strcmp(g.op, c->op) == 0 && g.row == row_number(c);
        free_golden(&g);
    }
    fclose(f);
    return found;
}

static void every_row_has_been_computed_by_pytorch(void **state)
{
    int missing = 0;
    (void)state;
    for (int i = 0; i < OP_LENGTH(exceptions); i++)
        print_message("not by PyTorch: %s: %s\n", exceptions[i].op, exceptions[i].reason);
    OP_EACH_CASE(c)
    {
        if (exception(c->op) != NULL || has_golden(c)) continue;
        print_error("%s, row %d: not in golden/operations.txt: add it to tests/golden/make.py and "
                    "run that\n",
                    c->op, row_number(c));
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--inputs") == 0) return print_inputs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_are_those_of_pytorch, check_setup, check_teardown),
        cmocka_unit_test(every_row_has_been_computed_by_pytorch),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
