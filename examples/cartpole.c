/* SPDX-License-Identifier: MIT
 * cartpole.c - a network learns by trying to balance a pole on a cart.
 *
 * Many carts run at once. What a cart did at a time counts for as much as the time that it went on
 * from there exceeds what all carts had on average, and becomes more likely by that: REINFORCE with
 * a baseline (Williams 1992). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flags.h"

enum { CARTS = 32, TIME = 200, STEPS = TIME * CARTS, TESTS = 4, LEFT = 0, RIGHT = 1, OVER = -1 };

/* How much a reward counts that comes a step later. */
static const double discount = 0.98;

/* ---- the cart of Barto, Sutton and Anderson 1983, in steps of 0.02 s */

typedef struct cart {
    double place, speed;
    double angle, turning; /* of the pole, in radians; upright is 0 */
} cart;

/* The track has ended, or the pole has fallen too far, by 12 degrees. */
static bool is_over(const cart *c) { return fabs(c->place) > 2.4 || fabs(c->angle) > 0.2094; }

static void push(cart *c, int action)
{
    const double gravity = 9.8, pole = 0.1, half_length = 0.5, mass = 1.1, step = 0.02;
    const double force = action == RIGHT ? 10 : -10, sine = sin(c->angle), cosine = cos(c->angle);
    const double pull = (force + pole * half_length * c->turning * c->turning * sine) / mass;
    const double falling = (gravity * sine - cosine * pull) /
                           (half_length * (4.0 / 3 - pole * cosine * cosine / mass));
    c->place += step * c->speed;
    c->speed += step * (pull - pole * half_length * falling * cosine / mass);
    c->angle += step * c->turning;
    c->turning += step * falling;
}

/* ---- trying */

/* What all carts did, time by time; once it has fallen, what a cart does is OVER. */
typedef struct tries {
    float state[TIME][CARTS][4];
    int32_t action[TIME][CARTS];
    double mean_length;
} tries;

static void observe(const cart *c, float state[4])
{
    const double numbers[] = { c->place, c->speed, 8 * c->angle, 2 * c->turning };
    for (int i = 0; i < 4; i++) state[i] = (float)numbers[i];
}

/* The next action of each cart: drawn by the probabilities of the policy, or the likeliest if draws
 * is NULL. */
static void choose(const tarn_mlp *policy, tarn_manager *tm, const float *states,
                   const float *draws, int32_t *actions)
{
    TARN_SCOPE(tm);
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(CARTS, 4), states);
    const float *p = tarn_data(tarn_softmax(tarn_mlp_forward(policy, x), 1)); /* (CARTS, 2) */
    for (int i = 0; i < CARTS && p != NULL; i++)
        if (actions[i] != OVER)
            actions[i] = p[2 * i + RIGHT] > (draws != NULL ? draws[i] : 0.5F) ? RIGHT : LEFT;
}

/* Runs all carts from near the middle until they fall or the time is up; `run` numbers the draws.
 */
static void attempt(const tarn_mlp *policy, tarn_manager *tm, uint64_t run, bool best, tries *t)
{
    TARN_NO_GRAD(tm);
    cart carts[CARTS];
    tarn_tensor *starts =
        tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(CARTS, 4), -0.05, 0.05, 2 * run);
    tarn_tensor *draws =
        tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(TIME, CARTS), 0, 1, 2 * run + 1);
    const float *drawn = tarn_data(draws); /* NULL on failure */
    t->mean_length = 0;
    if (tarn_copy_to(starts, carts, sizeof(carts)) != TARN_OK) return;
    for (int time = 0; time < TIME && tarn_ok(tm); time++) {
        for (int i = 0; i < CARTS; i++) {
            t->action[time][i] = is_over(&carts[i]) ? OVER : LEFT;
            observe(&carts[i], t->state[time][i]);
        }
        choose(policy, tm, &t->state[time][0][0], best ? NULL : drawn + time * CARTS,
               t->action[time]);
        for (int i = 0; i < CARTS; i++) {
            if (t->action[time][i] == OVER) continue;
            push(&carts[i], t->action[time][i]);
            t->mean_length += 1.0 / CARTS;
        }
    }
}

/* ---- learning */

/* How much better than the average what followed each action was, in deviations. */
static void judge(const tries *t, float advantage[TIME][CARTS])
{
    double sum = 0, reward[CARTS] = { 0 }; /* from this time on */
    for (int time = TIME - 1; time >= 0; time--) {
        double mean = 0;
        for (int i = 0; i < CARTS; i++) {
            if (t->action[time][i] != OVER) reward[i] = 1 + discount * reward[i];
            mean += reward[i] / CARTS;
        }
        for (int i = 0; i < CARTS; i++) {
            const double more = t->action[time][i] != OVER ? reward[i] - mean : 0;
            advantage[time][i] = (float)more;
            sum += more * more;
        }
    }
    const double deviation = sqrt(sum / (t->mean_length * CARTS)) + 1e-6;
    for (int time = 0; time < TIME; time++)
        for (int i = 0; i < CARTS; i++) advantage[time][i] /= (float)deviation;
}

/* Makes what was better more likely, and what was worse less so. */
static void learn(const tarn_mlp *policy, tarn_optimizer *optimizer, tarn_manager *tm,
                  const tries *t)
{
    static float advantage[TIME][CARTS];
    TARN_SCOPE(tm);
    judge(t, advantage);
    tarn_tensor *states = tarn_from_array(tm, TARN_F32, TARN_SHAPE(STEPS, 4), t->state);
    tarn_tensor *actions = tarn_from_array(tm, TARN_I32, TARN_SHAPE(STEPS), t->action);
    tarn_tensor *weights = tarn_from_array(tm, TARN_F32, TARN_SHAPE(STEPS), advantage);
    const tarn_label_options options = { .ignores = true,
                                         .ignore_index = OVER,
                                         .reduction = TARN_REDUCE_NONE };
    tarn_tensor *logits = tarn_mlp_forward(policy, states);
    tarn_tensor *unlikely = tarn_cross_entropy_with(logits, actions, &options); /* -log p */
    tarn_backward(tarn_mean(tarn_mul(unlikely, weights), TARN_ALL_AXES));
    tarn_optimizer_step(optimizer);
}

/* The first cart's run, every `step`-th time: where it was, and to which side the pole leaned. */
static void show(const char *title, const tries *t, int step)
{
    printf("%s\n", title);
    for (int time = 0; time < TIME && t->action[time][0] != OVER; time += step) {
        const float *state = t->state[time][0];
        const int column = (int)lround(20 + 20 / 2.4 * (double)state[0]);
        const char pole = state[2] > 0.1F ? '/' : state[2] < -0.1F ? '\\' : '|';
        printf("  %.2f s [%*c%*s]\n", 0.02 * time, column, pole, 41 - column, "");
    }
}

int main(int argc, char **argv)
{
    static tries t;
    uint64_t seed = 1;
    int64_t rounds = 60;
    bool check = false;
    int status;
    const flag flags[] = {
        { "--rounds", "rounds of 32 tries", 1, 1000000, .count = &rounds },
        { "--seed", "of weights, starts and actions", .seed = &seed },
        { "--check", "fail unless the pole is balanced for 195 of 200 steps", .on = &check },
    };
    static const char purpose[] = "Learns to balance a pole on a cart by trying.";
    if (!flags_parse("cartpole", purpose, FLAGS(flags), argc, argv, &status)) return status;

    tarn_runtime_init(&(tarn_runtime_options){ .threads = 1 });
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = seed });
    tarn_module *net = tarn_module_create(tm);
    const int64_t sizes[] = { 4, 32, 2 };
    tarn_mlp policy = tarn_mlp_create(net, "policy", sizes, 3, NULL);
    tarn_optimizer *optimizer = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.01 });
    attempt(&policy, tm, 0, false, &t);
    if (tarn_ok(tm)) show("before learning, until the pole falls", &t, 3);
    for (int64_t done = 0; done < rounds && tarn_ok(tm); done++) {
        learn(&policy, optimizer, tm, &t);
        attempt(&policy, tm, (uint64_t)done + 1, false, &t);
        if (done >= 2) tarn_expect_steady(tm);
        if (tarn_ok(tm) && (done % (rounds / 10 + 1) == 0 || done == rounds - 1))
            printf("round %3lld  %5.1f of %d steps on average in %d tries\n", (long long)done + 1,
                   t.mean_length, TIME, CARTS);
    }
    double mean = 0;
    for (int i = 1; i <= TESTS && tarn_ok(tm); i++) {
        attempt(&policy, tm, (uint64_t)(rounds + i), true, &t);
        mean += t.mean_length / TESTS;
    }
    if (tarn_ok(tm)) {
        show("after learning", &t, 25);
        printf("always with the best action: %.1f of %d steps on average in %d tries\n", mean, TIME,
               TESTS * CARTS);
    }
    const bool missed = check && mean < 195;
    return flags_end("cartpole", tm, missed ? "that is less than 195" : NULL);
}
