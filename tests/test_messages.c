/* SPDX-License-Identifier: MIT
 * test_messages.c - first programs with one mistake each: the message names operation, operand,
 * shapes and what to do, and the program that does so is right. (test_misuse.c has the mistakes
 * that are made around a step of training.) */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define RANDOM(tm, ...) tarn_random_normal((tm), TARN_F32, TARN_SHAPE(__VA_ARGS__), 0, 1, 1)
#define LABELS(tm, ...)                                                                          \
    tarn_from_array((tm), TARN_I32,                                                              \
                    TARN_SHAPE((int64_t)(sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t))), \
                    (const int32_t[]){ __VA_ARGS__ })

/* ---- the programs: each with its mistake or, if `right`, with what the message says */

static void linear_of_images(tarn_manager *tm, bool right)
{
    tarn_linear fc = tarn_linear_create(tarn_module_create(tm), "fc", 784, 10);
    tarn_tensor *x = tarn_set_name(RANDOM(tm, 8, 28, 28), "images");
    (void)tarn_linear_forward(&fc, right ? tarn_flatten(x, 1, -1) : x);
}

static void linear_of_bytes(tarn_manager *tm, bool right)
{
    tarn_linear fc = tarn_linear_create(tarn_module_create(tm), "fc", 4, 2);
    tarn_tensor *x = tarn_zeros(tm, TARN_U8, TARN_SHAPE(3, 4));
    (void)tarn_linear_forward(&fc, right ? tarn_cast(x, TARN_F32) : x);
}

static void channels_last(tarn_manager *tm, bool right)
{
    tarn_conv_layer conv = tarn_conv2d_create(tarn_module_create(tm), "conv", 3, 4, 3);
    tarn_tensor *x = RANDOM(tm, 2, 8, 8, 3);
    (void)tarn_conv_forward(&conv, right ? tarn_permute(x, TARN_AXES(0, 3, 1, 2)) : x);
}

static void image_lines_last(tarn_manager *tm, bool right)
{
    tarn_conv_layer conv = tarn_conv1d_create(tarn_module_create(tm), "conv", 3, 4, 3);
    tarn_tensor *x = RANDOM(tm, 2, 8, 3);
    (void)tarn_conv_forward(&conv, right ? tarn_transpose(x, 1, 2) : x);
}

static void grey_images(tarn_manager *tm, bool right)
{
    tarn_conv_layer conv = tarn_conv2d_create(tarn_module_create(tm), "conv", 1, 4, 3);
    tarn_tensor *x = RANDOM(tm, 2, 8, 8);
    (void)tarn_conv_forward(&conv, right ? tarn_unsqueeze(x, 1) : x);
}

static void one_image(tarn_manager *tm, bool right)
{
    tarn_conv_layer conv = tarn_conv2d_create(tarn_module_create(tm), "conv", 3, 4, 3);
    tarn_tensor *x = RANDOM(tm, 3, 8, 8);
    (void)tarn_conv_forward(&conv, right ? tarn_unsqueeze(x, 0) : x);
}

static void product_of_rows(tarn_manager *tm, bool right)
{
    tarn_tensor *a = RANDOM(tm, 4, 3), *b = tarn_set_name(RANDOM(tm, 5, 3), "keys");
    (void)tarn_matmul(a, right ? tarn_transpose(b, -2, -1) : b);
}

static void products_of_other_batches(tarn_manager *tm, bool right)
{
    (void)tarn_matmul(RANDOM(tm, 5, 4, 3), right ? RANDOM(tm, 1, 3, 2) : RANDOM(tm, 2, 3, 2));
}

static void one_number_a_row(tarn_manager *tm, bool right)
{
    tarn_tensor *scores = tarn_set_name(RANDOM(tm, 32, 10), "scores"), *b = RANDOM(tm, 32);
    (void)tarn_sub(scores, right ? tarn_unsqueeze(b, -1) : b);
}

static void two_types(tarn_manager *tm, bool right)
{
    tarn_tensor *b = tarn_ones(tm, TARN_F64, TARN_SHAPE(3));
    (void)tarn_mul(RANDOM(tm, 2, 3), right ? tarn_cast(b, TARN_F32) : b);
}

static void label_too_large(tarn_manager *tm, bool right)
{
    (void)tarn_cross_entropy(RANDOM(tm, 3, 10), LABELS(tm, 1, right ? 9 : 10, 5));
}

static void label_of_padding(tarn_manager *tm, bool right)
{
    const tarn_label_options o = { .ignores = right, .ignore_index = -1 };
    (void)tarn_cross_entropy_with(RANDOM(tm, 3, 10), LABELS(tm, 1, -1, 5), &o);
}

static void float_labels(tarn_manager *tm, bool right)
{
    tarn_tensor *labels = tarn_zeros(tm, TARN_F32, TARN_SHAPE(3));
    (void)tarn_cross_entropy(RANDOM(tm, 3, 10), right ? tarn_cast(labels, TARN_I64) : labels);
}

static void one_hot_labels(tarn_manager *tm, bool right)
{
    tarn_tensor *labels = tarn_eye(tm, TARN_F32, 3);
    (void)tarn_cross_entropy(RANDOM(tm, 3, 3), right ? tarn_argmax(labels, TARN_AXES(1)) : labels);
}

static void a_column_of_labels(tarn_manager *tm, bool right)
{
    tarn_tensor *labels = tarn_zeros(tm, TARN_I64, TARN_SHAPE(3, 1));
    (void)tarn_cross_entropy(RANDOM(tm, 3, 10), right ? tarn_squeeze(labels, 1) : labels);
}

static void classes_last(tarn_manager *tm, bool right)
{
    tarn_tensor *logits = RANDOM(tm, 4, 7, 10),
                *labels = tarn_zeros(tm, TARN_I64, TARN_SHAPE(4, 7));
    (void)tarn_cross_entropy(right ? tarn_transpose(logits, 1, 2) : logits, labels);
}

static void targets_without_axis(tarn_manager *tm, bool right)
{
    tarn_tensor *y = RANDOM(tm, 4);
    (void)tarn_mse(RANDOM(tm, 4, 1), right ? tarn_reshape(y, TARN_SHAPE(4, 1)) : y);
}

static void any_number_as_variance(tarn_manager *tm, bool right)
{
    tarn_tensor *v = tarn_full(tm, TARN_F32, TARN_SHAPE(2), -2);
    (void)tarn_gaussian_nll(RANDOM(tm, 2), RANDOM(tm, 2), right ? tarn_exp(v) : v);
}

static void nothing_to_learn(tarn_manager *tm, bool right)
{
    tarn_tensor *w = RANDOM(tm, 3);
    if (right) (void)tarn_require_grad(w);
    (void)tarn_backward(tarn_sum(tarn_square(w), TARN_ALL_AXES));
}

static void state_into_the_next_step(tarn_manager *tm, bool right)
{
    tarn_tensor *w = tarn_require_grad(RANDOM(tm, 3, 3)),
                *h = tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 3));
    for (int step = 0; step < 2; step++) {
        tarn_tensor *next = tarn_keep(tarn_matmul(h, w));
        h = right ? tarn_detach(next) : next;
        (void)tarn_backward(tarn_sum(next, TARN_ALL_AXES));
    }
}

static void reads_what_backward_took(tarn_manager *tm, bool right)
{
    tarn_tensor *w = tarn_require_grad(RANDOM(tm, 3)), *h = tarn_set_name(tarn_square(w), "hidden");
    if (right) (void)tarn_keep(h);
    (void)tarn_backward(tarn_sum(h, TARN_ALL_AXES));
    (void)tarn_add(w, h);
}

static void gradient_in_between(tarn_manager *tm, bool right)
{
    tarn_tensor *w = tarn_require_grad(RANDOM(tm, 3)), *h = tarn_square(w), *gradient;
    tarn_tensor *loss = tarn_sum(h, TARN_ALL_AXES);
    if (right) (void)tarn_grad(TARN_LIST(loss), TARN_LIST(h), &gradient, NULL);
    if (right) return;
    (void)tarn_backward(loss);
    (void)tarn_grad_of(h);
}

static void step_before_backward(tarn_manager *tm, bool right)
{
    tarn_module *net = tarn_module_create(tm);
    tarn_linear fc = tarn_linear_create(net, "fc", 2, 1);
    tarn_optimizer *optimizer = tarn_adam_create(net, NULL);
    tarn_tensor *loss = tarn_mean(tarn_linear_forward(&fc, RANDOM(tm, 4, 2)), TARN_ALL_AXES);
    if (right) (void)tarn_backward(loss);
    (void)tarn_optimizer_step(optimizer);
}

static void optimizer_of_a_frozen_module(tarn_manager *tm, bool right)
{
    tarn_module *net = tarn_module_create(tm);
    tarn_linear fc = tarn_linear_create(net, "fc", 2, 1);
    if (right) (void)tarn_stop_grad(fc.bias);
    else (void)tarn_module_freeze(net);
    (void)tarn_sgd_create(net, NULL);
}

static void update_in_place(tarn_manager *tm, bool right)
{
    tarn_tensor *w = tarn_set_name(tarn_require_grad(RANDOM(tm, 3)), "w");
    if (!right) {
        (void)tarn_mul_scalar_(w, 0.5);
        return;
    }
    TARN_NO_GRAD(tm);
    (void)tarn_mul_scalar_(w, 0.5);
}

static void log_of_zero(tarn_manager *tm, bool right)
{
    (void)tarn_check_finite(tm, true);
    tarn_tensor *p = tarn_set_name(tarn_zeros(tm, TARN_F32, TARN_SHAPE(3)), "p");
    (void)tarn_log(right ? tarn_clamp(p, 1e-6, 1) : p);
}

static void mask_of_keys(tarn_manager *tm, bool right)
{
    tarn_tensor *q = RANDOM(tm, 2, 5, 4), *mask = tarn_ones(tm, TARN_U8, TARN_SHAPE(2, 5));
    if (right) mask = tarn_unsqueeze(mask, 1);
    (void)tarn_sdpa(q, q, q, &(tarn_sdpa_options){ .mask = mask });
}

static void mask_of_keys_for_heads(tarn_manager *tm, bool right)
{
    tarn_attention att = tarn_attention_create(tarn_module_create(tm), "att", 8, 4);
    tarn_tensor *mask = tarn_ones(tm, TARN_U8, TARN_SHAPE(2, 5));
    if (right) mask = tarn_unsqueeze(tarn_unsqueeze(mask, 1), 1);
    (void)tarn_attention_forward(&att, RANDOM(tm, 2, 5, 8), mask);
}

static void queries_of_another_size(tarn_manager *tm, bool right)
{
    tarn_tensor *k = right ? RANDOM(tm, 2, 6, 4) : RANDOM(tm, 2, 6, 3);
    (void)tarn_sdpa(RANDOM(tm, 2, 5, 4), k, RANDOM(tm, 2, 6, 4), NULL);
}

static void state_of_the_last_batch(tarn_manager *tm, bool right)
{
    tarn_rnn lstm = tarn_lstm_create(tarn_module_create(tm), "lstm", 2, 3);
    const int64_t B = right ? 5 : 4;
    const tarn_rnn_state state = { RANDOM(tm, 1, B, 3), RANDOM(tm, 1, B, 3) };
    (void)tarn_rnn_forward(&lstm, RANDOM(tm, 5, 7, 2), state);
}

static void state_of_another_cell(tarn_manager *tm, bool right)
{
    tarn_rnn_cell cell = tarn_gru_cell_create(tarn_module_create(tm), "cell", 2, 3);
    const tarn_rnn_state state = { right ? RANDOM(tm, 5, 3) : RANDOM(tm, 1, 3), NULL };
    (void)tarn_rnn_cell_forward(&cell, RANDOM(tm, 5, 2), state);
}

static void one_sequence(tarn_manager *tm, bool right)
{
    tarn_rnn gru = tarn_gru_create(tarn_module_create(tm), "gru", 2, 3);
    tarn_tensor *x = RANDOM(tm, 7, 2);
    (void)tarn_rnn_forward(&gru, right ? tarn_unsqueeze(x, 0) : x, (tarn_rnn_state){ 0 });
}

static void word_that_is_not_there(tarn_manager *tm, bool right)
{
    tarn_embedding_layer words = tarn_embedding_create(tarn_module_create(tm), "words", 100, 4);
    (void)tarn_embedding_forward(&words, LABELS(tm, 7, right ? 99 : 100));
}

static void joins_what_does_not_fit(tarn_manager *tm, bool right)
{
    tarn_tensor *const all[] = { RANDOM(tm, 2, 3), RANDOM(tm, 3, 3) };
    (void)tarn_concat(all, 2, right ? 0 : 1);
}

static void joins_a_row(tarn_manager *tm, bool right)
{
    tarn_tensor *row = RANDOM(tm, 3);
    if (right) row = tarn_unsqueeze(row, 0);
    tarn_tensor *const all[] = { RANDOM(tm, 2, 3), row };
    (void)tarn_concat(all, 2, 0);
}

/* ---- what they are told */

typedef struct mistake {
    const char *name;
    void (*program)(tarn_manager *tm, bool right);
    tarn_status code;
    const char *message;
} mistake;

#define M(program, code, message)              \
    {                                          \
#program, (program), (code), (message) \
    }

static const mistake mistakes[] = {
    M(linear_of_images, TARN_ESHAPE,
      "linear \"fc\": x \"images\" [8,28,28], w \"fc.weight\" [10,784]: rows of x have 28 "
      "elements, and w takes 784 (tarn_flatten(x, 1, -1) makes it [8,784])"),
    M(linear_of_bytes, TARN_EDTYPE,
      "linear \"fc\": x is uint8; float32 or float64 is needed (tarn_cast converts)"),
    M(channels_last, TARN_ESHAPE,
      "conv2d \"conv\": x [2,8,8,3], w \"conv.weight\" [4,3,3,3]: x has 8 channels (axis 1), and w "
      "takes 3 (tarn_permute(x, TARN_AXES(0, 3, 1, 2)) makes it [2,3,8,8])"),
    M(image_lines_last, TARN_ESHAPE,
      "conv1d \"conv\": x [2,8,3], w \"conv.weight\" [4,3,3]: x has 8 channels (axis 1), and w "
      "takes 3 (tarn_transpose(x, 1, 2) makes it [2,3,8])"),
    M(grey_images, TARN_ESHAPE,
      "conv2d \"conv\": x [2,8,8], w \"conv.weight\" [4,1,3,3]; x (B, C, H, W) and w (O, C / "
      "groups, KH, KW) are needed (tarn_unsqueeze(x, 1) makes it [2,1,8,8])"),
    M(one_image, TARN_ESHAPE,
      "conv2d \"conv\": x [3,8,8], w \"conv.weight\" [4,3,3,3]; x (B, C, H, W) and w (O, C / "
      "groups, KH, KW) are needed (tarn_unsqueeze(x, 0) makes it [1,3,8,8])"),
    M(product_of_rows, TARN_ESHAPE,
      "matmul: a [4,3], b \"keys\" [5,3]: rows of a have 3 elements, and columns of b 5 "
      "(tarn_transpose(b, -2, -1) makes it [3,5])"),
    M(products_of_other_batches, TARN_ESHAPE,
      "matmul: a [5,4,3], b [2,3,2]: sizes 5 and 2 of axis -3 do not broadcast; they must be "
      "equal, or one of them 1"),
    M(one_number_a_row, TARN_ESHAPE,
      "sub: a \"scores\" [32,10], b [32]: sizes 10 and 32 of the last axis do not broadcast; they "
      "must be equal, or one of them 1 (tarn_unsqueeze(b, -1) makes it [32,1])"),
    M(two_types, TARN_EDTYPE,
      "mul: a is float32, b is float64; one type is needed (tarn_cast converts)"),
    M(label_too_large, TARN_EARG,
      "cross_entropy: label 10 of row 1 is not in [0, 10), the classes of logits [3,10]"),
    M(label_of_padding, TARN_EARG,
      "cross_entropy: label -1 of row 1 is not in [0, 10), the classes of logits [3,10] (rows with "
      "the ignore_index of the options are left out)"),
    M(float_labels, TARN_EDTYPE,
      "cross_entropy: labels is float32; int32, int64 or uint8 is needed (tarn_cast converts)"),
    M(one_hot_labels, TARN_EDTYPE,
      "cross_entropy: labels is float32; int32, int64 or uint8 is needed (tarn_argmax(labels, "
      "TARN_AXES(1)) gives the classes)"),
    M(a_column_of_labels, TARN_ESHAPE,
      "cross_entropy: logits [3,10], labels [3,1]; logits (B, C) and labels (B) are needed "
      "(tarn_squeeze(labels, 1) leaves the axis out)"),
    M(classes_last, TARN_ESHAPE,
      "cross_entropy: logits [4,7,10], labels [4,7]: sizes 10 and 7 differ; classes are along axis "
      "1 of logits (tarn_transpose(logits, 1, 2) has them there)"),
    M(targets_without_axis, TARN_ESHAPE,
      "mse: x [4,1], y [4]: one shape is needed (tarn_reshape(y, TARN_SHAPE(4, 1)) makes it "
      "[4,1])"),
    M(any_number_as_variance, TARN_EARG,
      "gaussian_nll: the variance of element 0 is -2; at least 0 is needed, such as tarn_exp or "
      "tarn_softplus give"),
    M(nothing_to_learn, TARN_ESTATE,
      "tarn_backward: nothing that requires a gradient leads to the loss []: its operands were "
      "constants, detached, frozen, or used inside TARN_NO_GRAD (tarn_require_grad makes a leaf of "
      "a tensor)"),
    M(state_into_the_next_step, TARN_ESTATE,
      "tarn_backward: the operations that computed tensor [1,3] were released by an earlier pass: "
      "set keep_graph in that pass, add the losses before one pass, or cut off what the earlier "
      "one computed (tarn_detach)"),
    M(reads_what_backward_took, TARN_ESTALE,
      "add: b: tensor \"hidden\" [3] was given back by tarn_backward: keep it with tarn_keep "
      "before, or read it before"),
    M(gradient_in_between, TARN_ESTATE,
      "tarn_grad_of: [3] was computed by an operation: only leaves keep a gradient (tarn_grad and "
      "tarn_on_gradient give those of others)"),
    M(step_before_backward, TARN_ESTATE,
      "adam: no parameter has received a gradient since the last step: was tarn_backward called, "
      "of a loss that they lead to? (An optimiser trains the parameters that its module had when "
      "it was made.)"),
    M(optimizer_of_a_frozen_module, TARN_ESTATE,
      "sgd: module is frozen: nothing of it can be trained (tarn_stop_grad holds single "
      "parameters, and not for good)"),
    M(update_in_place, TARN_ESTATE,
      "mul_scalar: x \"w\" [3] cannot be changed in place: it is a leaf that requires a gradient "
      "(inside TARN_NO_GRAD it can be): use tarn_mul_scalar"),
    M(log_of_zero, TARN_ENUMERIC,
      "log: the result is not finite: 0 NaN and 3 infinite, the first at 0, from x \"p\" [3] from "
      "0 to 0; tarn_clamp keeps x above 0 (tarn_log_softmax, tarn_bce_with_logits and "
      "tarn_cross_entropy need no log)"),
    M(mask_of_keys, TARN_ESHAPE,
      "sdpa: mask [2,5] does not broadcast to the scores [2,5,5] (to hide keys of each example, it "
      "is to be (B, 1, S): tarn_unsqueeze(mask, 1))"),
    M(mask_of_keys_for_heads, TARN_ESHAPE,
      "attention \"att\": mask [2,5] does not broadcast to the scores [2,4,5,5] (to hide keys of "
      "each example, it is to be (B, 1, 1, S): tarn_unsqueeze(mask, 1), twice)"),
    M(queries_of_another_size, TARN_ESHAPE,
      "sdpa: q [2,5,4], k [2,6,3], v [2,6,4]: the last sizes of q and k differ; q (..., L, E), k "
      "(..., S, E), v (..., S, V) are needed"),
    M(state_of_the_last_batch, TARN_ESHAPE,
      "lstm \"lstm\": x [5,7,2], h [1,4,3]: a state (layers directions, B, hidden) = [1,5,3] is "
      "needed"),
    M(state_of_another_cell, TARN_ESHAPE,
      "gru \"cell\": x [5,2], h [1,3]: a state (B, hidden) = [5,3] is needed"),
    M(one_sequence, TARN_ESHAPE,
      "gru \"gru\": x [7,2]; x (B, T, 2) of at least one time is needed (tarn_unsqueeze(x, 0) "
      "makes a batch of one sequence)"),
    M(word_that_is_not_there, TARN_EARG,
      "embedding \"words\": id 100 at [1] of ids [2] is not in [0, 100), the rows of weight "
      "\"words.weight\" [100,4]"),
    M(joins_what_does_not_fit, TARN_ESHAPE,
      "concat: tensor 0 [2,3], tensor 1 [3,3]: they may differ along axis 1 alone"),
    M(joins_a_row, TARN_ESHAPE,
      "concat: tensor 0 [2,3], tensor 1 [3]: as many axes are needed (tarn_unsqueeze adds one, "
      "tarn_stack makes a new one)"),
};

enum { MISTAKES = sizeof(mistakes) / sizeof(mistakes[0]) };

static void is_told_and_mended(void **state)
{
    const mistake *m = *state;
    check_fixture f;
    for (int right = 0; right < 2; right++) {
        check_begin(&f, NULL);
        m->program(f.tm, right == 1);
        check_error(f.tm, right == 1 ? TARN_OK : m->code, right == 1 ? "" : m->message);
        check_end(&f);
    }
}

int main(void)
{
    struct CMUnitTest tests[MISTAKES];
    for (int i = 0; i < MISTAKES; i++) {
        tests[i] = (struct CMUnitTest){ .name = mistakes[i].name,
                                        .test_func = is_told_and_mended,
                                        .initial_state = (void *)(uintptr_t)&mistakes[i] };
    }
    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
