/* SPDX-License-Identifier: MIT
 * fit_progress.c - how a training by tarn_fit goes, in lines. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "nn/fit.h"

/* ns between two lines about a step: on a terminal, and elsewhere. */
static const uint64_t LIVE_NS = UINT64_C(100000000), PLAIN_NS = UINT64_C(10000000000);

void tarn__fit_show_begin(tarn__fit *f)
{
    if (f->tm->dry) f->o.progress = NULL;
    if (f->o.progress == NULL) return;
    f->live = isatty(fileno(f->o.progress)) == 1;
    f->shown_ns = f->began_ns;
}

/* Begins a line, over the one that may stand there: "epoch  3/20". */
static void begin_line(tarn__fit *f)
{
    int width = 1;
    for (int64_t n = f->o.epochs; n >= 10; n /= 10) width++;
    if (f->line_open) (void)fputs("\r\033[K", f->o.progress);
    (void)fprintf(f->o.progress, "epoch %*" PRId64 "/%" PRId64, width, f->now.epoch, f->o.epochs);
    f->line_open = false;
}

/* A figure, if there is one. */
static void show_figure(const tarn__fit *f, const char *prefix, const char *name, double value)
{
    if (!isnan(value)) (void)fprintf(f->o.progress, "  %s%s %.4f", prefix, name, value);
}

void tarn__fit_show_step(tarn__fit *f)
{
    FILE *stream = f->o.progress;
    if (stream == NULL || f->now.step == f->now.steps) return;
    const uint64_t now = tarn__clock_ns();
    if (now - f->shown_ns < (f->live ? LIVE_NS : PLAIN_NS)) return;
    f->shown_ns = now;

    const double part = (double)f->now.step / (double)f->now.steps;
    const double done = (double)(f->now.epoch - 1 - f->o.done) + part;
    const double all = (double)(f->o.epochs - f->o.done);
    const double took = 1e-9 * (double)(now - f->began_ns);
    const double here = 1e-9 * (double)(now - f->epoch_ns);
    const int64_t left = (int64_t)(took * (all - done) / done);
    begin_line(f);
    (void)fprintf(stream, "  %3.0f%%", floor(100 * part));
    show_figure(f, "", "loss", f->mean.loss / f->mean.rows);
    (void)fprintf(stream, "  %.0f rows/s  %" PRId64 ":%02" PRId64 " left%s", f->mean.rows / here,
                  left / 60, left % 60, f->live ? "" : "\n");
    f->line_open = f->live;
    (void)fflush(stream);
}

void tarn__fit_show_epoch(tarn__fit *f)
{
    FILE *stream = f->o.progress;
    if (stream == NULL) return;
    const bool tells_best = f->o.validation != NULL || f->o.patience > 0;
    begin_line(f);
    show_figure(f, "", "loss", f->now.loss);
    show_figure(f, "", f->o.metric_name, f->now.metric);
    if (f->o.validation != NULL) {
        show_figure(f, "validation ", "loss", f->now.validation_loss);
        show_figure(f, "validation ", f->o.metric_name, f->now.validation_metric);
    }
    (void)fprintf(stream, "  lr %.3g  %.2f s%s\n", f->now.lr,
                  1e-9 * (double)(tarn__clock_ns() - f->epoch_ns),
                  tells_best && f->now.best ? "  best" : "");
    (void)fflush(stream);
    f->shown_ns = tarn__clock_ns();
}

void tarn__fit_show_end(tarn__fit *f)
{
    FILE *stream = f->o.progress;
    if (stream == NULL) return;
    if (f->line_open) (void)fputs("\r\033[K", stream);
    f->line_open = false;
    if (f->result.end == TARN_FIT_NO_IMPROVEMENT)
        (void)fprintf(stream, "no improvement in %" PRId64 " epoch%s\n", f->not_improved,
                      f->not_improved == 1 ? "" : "s");
    if (f->result.restored && f->result.best_epoch != f->now.epoch)
        (void)fprintf(stream, "weights of epoch %" PRId64 " restored\n", f->result.best_epoch);
    (void)fflush(stream);
}
