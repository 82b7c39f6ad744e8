/* SPDX-License-Identifier: MIT
 * xor.c - a network of two layers learns the exclusive or. */
#include <stdio.h>

#include <tarn/tarn.h>

static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };

/* What the network answers to each row of X: the probability of a one. */
static void print_answers(const tarn_linear *l1, const tarn_linear *l2, tarn_tensor *x)
{
    TARN_NO_GRAD(tarn_manager_of(x));
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(l1, x));
    tarn_tensor *answer = tarn_sigmoid(tarn_linear_forward(l2, hidden));
    const float *p = tarn_data(answer); /* (4, 1) */
    if (p == NULL) return;
    printf(" a  b   a xor b   network\n");
    for (int i = 0; i < 4; i++) {
        printf(" %.0f  %.0f      %.0f       %.4f\n", X[2 * i], X[2 * i + 1], Y[i], p[i]);
    }
}

int main(void)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y);

    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });

    for (int step = 0; step < 500 && tarn_ok(tm); step++) {
        TARN_SCOPE(tm); /* what is made here ends here */
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&l1, x));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y);
        tarn_backward(loss);
        tarn_optimizer_step(opt);
        if (step % 100 == 0) printf("%4d  loss %.5f\n", step, tarn_item(loss));
        if (step >= 2) tarn_expect_steady(tm); /* an error, should a step ask for memory */
    }
    print_answers(&l1, &l2, x);

    tarn_pool_stats s = tarn_pool_get_stats(tarn_manager_pool(tm));
    printf("pool: %.1f%% of %llu acquisitions reused, peak %zu bytes\n", 100 * s.hit_ratio,
           (unsigned long long)s.allocations, s.peak_usage);

    int failed = !tarn_ok(tm);
    if (failed) fprintf(stderr, "%s\n", tarn_error_message(tm));
    tarn_manager_destroy(tm);
    return failed;
}
