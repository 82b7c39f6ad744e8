/* SPDX-License-Identifier: MIT
 * progress.c - the line that tells epoch, step, loss, speed and the time left. */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A live line changes ten times a second; elsewhere an epoch has three lines, of which the last
 * gives its result. */
static const double live_interval = 0.1;
enum { PLAIN_LINES = 3 };

double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_begin(progress *p)
{
    p->epoch++;
    p->step = p->seen = 0;
    p->loss_sum = 0;
    p->live = isatty(STDOUT_FILENO) == 1;
    p->began = p->shown = seconds();
}

double progress_loss(const progress *p) { return p->loss_sum / (double)p->seen; }

static void show(const progress *p, double elapsed)
{
    const double done = (double)(p->epoch - 1) * (double)p->images + (double)p->seen;
    const double all = (double)p->epochs * (double)p->images;
    const double left = (p->before + elapsed) * (all - done) / done;
    printf("%sepoch %*lld/%lld  step %*lld/%lld  loss %.4f  %.0f images/s  %.0f:%02d left%s",
           p->live ? "\r" : "", p->epochs > 9 ? 2 : 1, (long long)p->epoch, (long long)p->epochs,
           p->steps > 999 ? 4 : 3, (long long)p->step, (long long)p->steps, progress_loss(p),
           (double)p->seen / elapsed, (double)((int64_t)left / 60), (int)((int64_t)left % 60),
           p->live ? "\033[K" : "\n");
    fflush(stdout);
}

void progress_step(progress *p, int64_t n, double loss)
{
    p->step++;
    p->seen += n;
    p->loss_sum += loss * (double)n;
    const double now = seconds();
    const bool third = p->step * PLAIN_LINES / p->steps > (p->step - 1) * PLAIN_LINES / p->steps;
    if (p->live ? now - p->shown < live_interval : !third || p->step == p->steps) return;
    p->shown = now;
    show(p, now - p->began);
}

double progress_end(progress *p)
{
    const double took = seconds() - p->began;
    p->before += took;
    if (p->live) fputs("\r\033[K", stdout);
    return took;
}
