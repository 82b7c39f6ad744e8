/* SPDX-License-Identifier: MIT
 * text.c - a recurrent network learns a text letter by letter, and then writes.
 *
 * The text is a ring that several readers follow at once, each from a place of its own. A reader's
 * state goes on from window to window, the gradient does not: truncated back-propagation through
 * time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flags.h"
#include "tarns.h"

enum { READERS = 8, WINDOW = 32, EMBEDDING = 24, HIDDEN = 128, MAX_BYTES = 1 << 22, LINE = 88 };

typedef struct text {
    char bytes[MAX_BYTES];
    size_t n;
    int n_letters;
    uint8_t number[256]; /* of each byte, 0 being that of the first */
    char letter[256];    /* of each number */
} text;

typedef struct model {
    tarn_manager *tm;
    tarn_module *net;
    tarn_embedding_layer letters;
    tarn_rnn lstm;
    tarn_linear next;
} model;

/* ---- the text */

/* Reads a file, or takes the text about tarns if there is none. False with a line on stderr. */
static bool text_read(text *t, const char *file)
{
    FILE *stream = file != NULL ? fopen(file, "rb") : NULL;
    if (stream != NULL) t->n = fread(t->bytes, 1, MAX_BYTES, stream);
    if (file == NULL) memcpy(t->bytes, tarns, t->n = strlen(tarns));
    if (stream != NULL) fclose(stream);
    if (t->n < 2) fprintf(stderr, "text: %s cannot be read, or is empty\n", file);
    bool seen[256] = { false };
    for (size_t i = 0; i < t->n; i++) {
        const uint8_t byte = (uint8_t)t->bytes[i];
        if (seen[byte]) continue;
        seen[byte] = true;
        t->number[byte] = (uint8_t)t->n_letters;
        t->letter[t->n_letters++] = t->bytes[i];
    }
    return t->n >= 2;
}

/* What the readers read when each has read so many letters: a window, and the letters behind those
 * in it. */
static void text_window(const text *t, size_t read, uint8_t *letters, uint8_t *next)
{
    for (size_t reader = 0; reader < READERS; reader++) {
        for (size_t i = 0; i < WINDOW; i++) {
            const size_t place = reader * t->n / READERS + read + i;
            letters[reader * WINDOW + i] = t->number[(uint8_t)t->bytes[place % t->n]];
            next[reader * WINDOW + i] = t->number[(uint8_t)t->bytes[(place + 1) % t->n]];
        }
    }
}

/* ---- the model */

static model model_create(tarn_manager *tm, int n_letters)
{
    model m = { .tm = tm, .net = tarn_module_create(tm) };
    m.letters = tarn_embedding_create(m.net, "letters", n_letters, EMBEDDING);
    m.lstm = tarn_lstm_create(m.net, "lstm", EMBEDDING, HIDDEN);
    m.next = tarn_linear_create(m.net, "next", HIDDEN, n_letters);
    return m;
}

/* letters (B, T)  ->  logits of the letter behind each (B T, n_letters). Reads on from the state
 * and carries it to the end of the window. */
static tarn_tensor *model_forward(const model *m, tarn_tensor *letters, tarn_rnn_state *state)
{
    tarn_tensor *x = tarn_embedding_forward(&m->letters, letters);
    const tarn_rnn_output out = tarn_rnn_forward(&m->lstm, x, *state);
    tarn_rnn_state_carry(state, out.state);
    return tarn_linear_forward(&m->next, tarn_flatten(out.y, 0, 1));
}

/* ---- writing */

/* The number whose share of the probabilities p a draw from [0, 1) falls into. */
static uint8_t pick(const float *p, int n, double draw)
{
    int i = 0;
    for (; i < n - 1 && draw >= (double)p[i]; i++) draw -= (double)p[i];
    return (uint8_t)i;
}

/* Writes so many letters, drawn after the probabilities of the model: the lower the temperature,
 * the more often the likeliest. On one line, or as lines folded between words. */
static void write_text(const model *m, const text *t, int64_t length, double temperature,
                       uint64_t stream, bool folded)
{
    TARN_NO_GRAD(m->tm);
    tarn_rnn_state state = { 0 };
    tarn_tensor *drawn = tarn_random_uniform(m->tm, TARN_F32, TARN_SHAPE(length), 0, 1, stream);
    const float *draws = tarn_data(drawn);
    uint8_t number = 0; /* the first letter of the text */
    int column = 0;
    for (int64_t i = 0; i < length && tarn_ok(m->tm); i++) {
        TARN_SCOPE(m->tm);
        const char letter = t->letter[number];
        const bool fold = folded && letter == ' ' && column >= LINE - 8;
        putchar(fold ? '\n' : !folded && letter == '\n' ? ' ' : letter);
        column = fold || letter == '\n' ? 0 : column + 1;
        tarn_tensor *one = tarn_from_array(m->tm, TARN_U8, TARN_SHAPE(1, 1), &number);
        tarn_tensor *logits = model_forward(m, one, &state);
        const float *p = tarn_data(tarn_softmax(tarn_div_scalar(logits, temperature), -1));
        if (p != NULL) number = pick(p, t->n_letters, (double)draws[i]);
    }
    putchar('\n');
    tarn_rnn_state_release(&state);
}

/* ---- learning */

/* Returns the bits that a letter of the text took, on average of the last pass over it. */
static double train(const model *m, const text *t, int64_t steps, double lr)
{
    tarn_optimizer *optimizer = tarn_adam_create(m->net, &(tarn_adam_options){ .lr = lr });
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE, .steps = (uint64_t)steps };
    const int64_t pass = (int64_t)(t->n / (READERS * WINDOW)) + 1;
    uint8_t letters[READERS * WINDOW], next[READERS * WINDOW];
    tarn_rnn_state state = { 0 };
    double bits = log2(t->n_letters);
    for (int64_t step = 0; step < steps && tarn_ok(m->tm); step++) {
        {
            TARN_SCOPE(m->tm);
            text_window(t, (size_t)step * WINDOW, letters, next);
            tarn_tensor *x = tarn_from_array(m->tm, TARN_U8, TARN_SHAPE(READERS, WINDOW), letters);
            tarn_tensor *y = tarn_from_array(m->tm, TARN_U8, TARN_SHAPE(READERS * WINDOW), next);
            tarn_tensor *loss = tarn_cross_entropy(model_forward(m, x, &state), y);
            tarn_backward(loss);
            tarn_clip_grad_norm(m->net, 1);
            tarn_schedule_apply(optimizer, &schedule, (uint64_t)step);
            tarn_optimizer_step(optimizer);
            bits += (tarn_item(loss) / log(2) - bits) / (double)(step < pass ? step + 1 : pass);
        }
        if (step >= 2) tarn_expect_steady(m->tm);
        if (tarn_ok(m->tm) && (step % (steps / 8 + 1) == 0 || step == steps - 1)) {
            printf("step %5lld  %5.2f bits a letter  ", (long long)step, bits);
            write_text(m, t, 50, 0.5, 0, false);
        }
    }
    tarn_rnn_state_release(&state);
    return bits;
}

int main(int argc, char **argv)
{
    static text t;
    uint64_t seed = 1;
    int64_t steps = 300, length = 600;
    double temperature = 0.5, lr = 0.01, bits = 0;
    const char *file = NULL;
    bool check = false;
    int status;
    const flag flags[] = {
        { "--file", "learn this text, up to 4 MiB, instead of one about tarns", .file = &file },
        { "--steps", "training steps", 1, 1000000, .count = &steps },
        { "--lr", "learning rate at the start, falling to 0", 1e-6, 1, .number = &lr },
        { "--length", "letters to write", 1, 1000000, .count = &length },
        { "--temperature", "of writing: near 0 the likeliest letters", 0.01, 100,
          .number = &temperature },
        { "--seed", "of weights and writing", .seed = &seed },
        { "--check", "fail unless a letter takes less than 0.1 bits", .on = &check },
    };
    static const char purpose[] = "Learns a text letter by letter, and writes.";
    if (!flags_parse("text", purpose, FLAGS(flags), argc, argv, &status)) return status;
    if (!text_read(&t, file)) return 1;

    tarn_runtime_init(&(tarn_runtime_options){ .threads = 1 });
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = seed });
    model m = model_create(tm, t.n_letters);
    if (tarn_ok(tm))
        printf("%zu letters, %d different ones; %lld parameters\n\n", t.n, t.n_letters,
               (long long)tarn_module_numel(m.net));
    bits = train(&m, &t, steps, lr);
    if (tarn_ok(tm)) write_text(&m, &t, length, temperature, 1, true);
    return flags_end("text", tm, check && bits >= 0.1 ? "a letter takes 0.1 bits or more" : NULL);
}
