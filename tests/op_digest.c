/* SPDX-License-Identifier: MIT
 * op_digest.c - prints, for every row of the table of cases, digests of the bits of all results and
 * gradients, and of the weights after some training: what must not depend on compiler, optimisation
 * or threads. scripts/check-compilers compares them.
 *
 * A line: operation, row, and for float32 and float64 the digests of results and of gradients. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

enum { SEED = 1 };

/* ---- digests: FNV-1a over the bits of doubles; all NaN are one, since their signs are nobody's */

static uint64_t begin(void) { return UINT64_C(0xcbf29ce484222325); }

static uint64_t digest(uint64_t hash, const op_array *a)
{
    for (int64_t i = 0; i < a->n; i++) {
        uint64_t bits = 1;
        if (!isnan(a->data[i])) memcpy(&bits, &a->data[i], sizeof(bits));
        for (int byte = 0; byte < 8; byte++)
            hash = (hash ^ (bits >> 8 * byte & 0xff)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* ---- operations */

typedef struct digests {
    uint64_t results, gradients;
} digests;

static void add_trial(tarn_manager *tm, op_trial *t, tarn_dtype dtype, digests *d)
{
    TARN_SCOPE(tm);
    op_gradients g = { .largest = 0 };
    if (op_is_differentiable(t)) {
        g = op_differentiate(tm, t, &(op_pass){ .dtype = dtype });
    } else {
        op_subject s = op_make_subject(tm, t, dtype, OP_PLAIN, 0);
        op_array_read(&g.out, op_evaluate(s.leaf, t->n, &s));
    }
    d->results = digest(d->results, &g.out);
    for (int i = 0; i < t->n; i++)
        if (g.of[i].data != NULL) d->gradients = digest(d->gradients, &g.of[i]);
    op_free_gradients(&g);
}

static void print_row(tarn_manager *tm, const op_case *c, int row)
{
    printf("%s %d", c->op, row);
    for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
        digests d = { begin(), begin() };
        op_trial t;
        for (int i = 0; op_trial_begin(&t, c, i, SEED); i++) {
            char text[200];
            op_trial_text = op_case_text(c, &t.v, text);
            add_trial(tm, &t, (tarn_dtype)dtype, &d);
            op_trial_end(&t);
        }
        printf(" %016" PRIx64 " %016" PRIx64, d.results, d.gradients);
    }
    printf("\n");
}

/* ---- training: a perceptron with dropout on a batch of draws, by every optimiser */

static tarn_optimizer *create_optimizer(const char *name, tarn_module *root)
{
    if (strcmp(name, "sgd") == 0)
        return tarn_sgd_create(root, &(tarn_sgd_options){ .momentum = 0.9, .nesterov = true });
    if (strcmp(name, "adam") == 0) return tarn_adam_create(root, NULL);
    if (strcmp(name, "adamw") == 0)
        return tarn_adamw_create(root, &(tarn_adam_options){ .weight_decay = 0.01 });
    if (strcmp(name, "rmsprop") == 0)
        return tarn_rmsprop_create(root,
                                   &(tarn_rmsprop_options){ .momentum = 0.5, .centered = true });
    if (strcmp(name, "adagrad") == 0) return tarn_adagrad_create(root, NULL);
    if (strcmp(name, "lion") == 0)
        return tarn_lion_create(root, &(tarn_lion_options){ .weight_decay = 0.01 });
    return tarn_lbfgs_create(root, NULL);
}

static const char *const optimizers[] = { "sgd",     "adam", "adamw", "rmsprop",
                                          "adagrad", "lion", "lbfgs" };

typedef struct training {
    tarn_mlp net;
    tarn_tensor *x, *y;
} training;

static double loss_of(void *context)
{
    const training *t = context;
    tarn_tensor *loss = tarn_cross_entropy(tarn_mlp_forward(&t->net, t->x), t->y);
    (void)tarn_backward(loss);
    return tarn_item(loss);
}

static void print_training(tarn_manager *tm, const char *name, tarn_dtype dtype)
{
    TARN_SCOPE(tm);
    const int64_t sizes[] = { 20, 64, 32, 10 };
    const tarn_mlp_options options = { .dropout = 0.1, .dtype = dtype };
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE, .steps = 50, .warmup = 5 };
    tarn_module *root = tarn_module_create(tm);
    training t = { .net = tarn_mlp_create(root, "net", sizes, 4, &options),
                   .x = tarn_random_normal(tm, dtype, TARN_SHAPE(64, 20), 0, 1, 1) };
    t.y = tarn_argmax(tarn_slice(t.x, 1, 0, 10), TARN_AXES(1));
    tarn_optimizer *opt = create_optimizer(name, root);
    const bool by_closure = strcmp(name, "lbfgs") == 0;
    if (by_closure) tarn_module_eval(root);
    for (uint64_t step = 0; step < (by_closure ? 3 : 50); step++) {
        TARN_SCOPE(tm);
        (void)tarn_schedule_apply(opt, &schedule, step);
        if (by_closure) {
            (void)tarn_lbfgs_step(opt, loss_of, &t, NULL);
            continue;
        }
        (void)loss_of(&t);
        (void)tarn_clip_grad_norm(root, 1);
        (void)tarn_optimizer_step(opt);
    }
    printf("training-%s %s %016" PRIx64 "\n", name, tarn_dtype_name(dtype),
           tarn_module_digest(root));
    (void)tarn_module_destroy(root);
}

int main(void)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    const char *last = "";
    int row = 0;
    OP_EACH_CASE(c)
    {
        row = strcmp(c->op, last) == 0 ? row + 1 : 0;
        last = c->op;
        print_row(tm, c, row);
    }
    for (size_t i = 0; i < sizeof(optimizers) / sizeof(optimizers[0]); i++)
        for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++)
            print_training(tm, optimizers[i], (tarn_dtype)dtype);
    if (!tarn_ok(tm)) fprintf(stderr, "%s\n", tarn_error_message(tm));
    const bool failed = !tarn_ok(tm);
    tarn_clear_error(tm);
    return tarn_manager_destroy(tm) != 0 || failed;
}
