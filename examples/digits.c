/* SPDX-License-Identifier: MIT
 * digits.c - draws digits as a hand might: strokes through control points that tremble, with a
 * random slant, size, place, pen and paper. */
#include "digits.h"

#include <math.h>
#include <stdlib.h>

/* ---- random numbers */

static const double two_pi = 6.283185307179586;

/* Where the random numbers of one picture begin. */
static uint64_t begin(uint64_t seed, uint64_t index)
{
    return seed * UINT64_C(0xD1342543DE82EF95) + index;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(next(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state, double deviation)
{
    const double radius = sqrt(-2 * log(1 - uniform(state, 0, 1)));
    return deviation * radius * cos(two_pi * uniform(state, 0, 1));
}

/* ---- the shapes */

enum { MAX_POINTS = 9, SPAN_STEPS = 6 };

typedef struct point {
    double x, y;
} point;

/* Strokes through control points x,y, in hundredths of a box in which y points down. */
typedef struct glyph {
    int digit;
    const char *strokes;
} glyph;

/* Several hands write several forms. */
static const glyph glyphs[] = {
    { 0, "50,0 18,20 10,55 30,95 65,97 90,50 76,10 50,0" },
    { 0, "70,5 30,10 8,50 40,100 85,75 85,25 45,-3" },
    { 1, "50,0 50,100" },
    { 1, "28,26 55,0; 55,0 52,100" },
    { 1, "30,22 50,0; 50,0 50,100; 25,100 78,100" },
    { 2, "12,26 32,2 68,4 82,30 55,65 12,100; 12,100 92,98" },
    { 2, "15,20 45,0 78,20 60,60 25,95 12,85 30,78 60,95 95,90" },
    { 3, "15,12 50,0 80,20 66,42 38,48; 38,48 78,58 84,84 50,100 10,90" },
    { 3, "12,2 82,2; 82,2 42,42; 42,42 80,52 85,82 50,100 10,88" },
    { 4, "28,0 12,55 92,56; 72,10 66,100" },
    { 4, "66,0 8,66; 8,66 96,66; 66,0 66,100" },
    { 5, "85,2 25,2; 25,2 20,45; 20,45 55,38 85,62 76,90 40,100 10,90" },
    { 5, "30,5 22,42 65,45 75,80 15,97; 30,5 85,0" },
    { 6, "74,2 36,25 13,65 30,97 68,96 82,70 55,50 16,70" },
    { 6, "40,0 20,50 25,92 60,100 75,74 50,60 22,80" },
    { 7, "10,4 90,3; 90,3 58,48 42,100" },
    { 7, "10,4 86,3; 86,3 40,100; 32,52 80,50" },
    { 8, "50,47 20,25 45,0 78,20 50,47 15,75 45,100 85,78 50,47" },
    { 8, "75,12 40,0 25,25 60,50 80,78 45,100 20,78 45,48 78,10" },
    { 9, "80,28 50,50 17,30 40,2 72,8 80,28; 80,28 78,65 62,100" },
    { 9, "78,15 45,0 18,25 45,48 80,20 82,60 60,97 20,92" },
};

enum { N_GLYPHS = sizeof glyphs / sizeof glyphs[0] };

static const glyph *choose(int digit, uint64_t *random)
{
    const glyph *forms[N_GLYPHS];
    size_t n = 0;
    for (size_t i = 0; i < N_GLYPHS; i++) {
        if (glyphs[i].digit == digit) forms[n++] = &glyphs[i];
    }
    return forms[next(random) % n];
}

/* Reads the control points of one stroke and returns where the next begins; "" after the last. */
static const char *read_stroke(const char *text, point at[MAX_POINTS], int *n)
{
    char *end;
    for (*n = 0; *n < MAX_POINTS && *text != '\0' && *text != ';'; ++*n) {
        at[*n].x = (double)strtol(text, &end, 10) / 100;
        at[*n].y = (double)strtol(end + 1, &end, 10) / 100;
        text = end;
    }
    return *text == ';' ? text + 1 : text;
}

/* ---- pen and paper */

/* The place of a point p of the box is (xx px + xy py + x, yx px + yy py + y). */
typedef struct hand {
    double xx, xy, yx, yy, x, y;
    double radius;  /* of the pen, in pixels */
    double tremble; /* of the control points, in parts of the box */
} hand;

static hand random_hand(uint64_t *random)
{
    const double turn = normal(random, .15), slant = normal(random, .2);
    const double width = uniform(random, 9.5, 17), height = uniform(random, 15, 21);
    hand h = { 0 };
    h.xx = width * cos(turn);
    h.xy = -height * sin(turn) + height * slant;
    h.yx = width * sin(turn);
    h.yy = height * cos(turn);
    h.x = DIGITS_SIDE / 2.0 - (h.xx + h.xy) / 2 + uniform(random, -2.5, 2.5);
    h.y = DIGITS_SIDE / 2.0 - (h.yx + h.yy) / 2 + uniform(random, -2.5, 2.5);
    h.radius = uniform(random, .7, 1.9);
    h.tremble = uniform(random, .02, .07);
    return h;
}

static double distance_to_segment(point p, point a, point b)
{
    const double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    double t = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;
    t = fmin(fmax(t, 0), 1);
    const double x = p.x - a.x - t * dx, y = p.y - a.y - t * dy;
    return sqrt(x * x + y * y);
}

static int clip(double v) { return (int)fmin(fmax(v, 0), DIGITS_SIDE); }

/* Inks every pixel by the part of it that the pen covers: all of it within the radius, less over
 * one pixel at the edge. */
static void draw_segment(float *ink, point a, point b, double radius)
{
    const double reach = radius + 1;
    const int left = clip(fmin(a.x, b.x) - reach), right = clip(fmax(a.x, b.x) + reach + 1);
    const int top = clip(fmin(a.y, b.y) - reach), bottom = clip(fmax(a.y, b.y) + reach + 1);
    for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
            const double distance = distance_to_segment((point){ x + .5, y + .5 }, a, b);
            const double covered = fmin(fmax(radius + .5 - distance, 0), 1);
            float *pixel = &ink[y * DIGITS_SIDE + x];
            *pixel = fmaxf(*pixel, (float)covered);
        }
    }
}

/* The curve of Catmull and Rom from b to c, with a before and d after them, at t from 0 to 1. */
static double spline(double a, double b, double c, double d, double t)
{
    return .5 * (2 * b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))));
}

static void draw_stroke(float *ink, const point *at, int n, const hand *h, uint64_t *random)
{
    point p[MAX_POINTS + 2]; /* in pixels, between copies of the first and the last */
    for (int i = 0; i < n; i++) {
        const double x = at[i].x + normal(random, h->tremble);
        const double y = at[i].y + normal(random, h->tremble);
        p[i + 1] = (point){ h->xx * x + h->xy * y + h->x, h->yx * x + h->yy * y + h->y };
    }
    p[0] = p[1];
    p[n + 1] = p[n];
    for (int i = 1; i < n; i++) {
        const int steps = n == 2 ? 1 : SPAN_STEPS; /* two points make a straight line */
        point from = p[i];
        for (int k = 1; k <= steps; k++) {
            const double t = (double)k / steps;
            const point to = { spline(p[i - 1].x, p[i].x, p[i + 1].x, p[i + 2].x, t),
                               spline(p[i - 1].y, p[i].y, p[i + 1].y, p[i + 2].y, t) };
            draw_segment(ink, from, to, h->radius);
            from = to;
        }
    }
}

void digits_draw(unsigned char pixels[DIGITS_PIXELS], int digit, uint64_t seed, uint64_t index)
{
    uint64_t random = begin(seed, index);
    float ink[DIGITS_PIXELS] = { 0 };
    const glyph *g = choose(digit, &random);
    const hand h = random_hand(&random);
    for (const char *text = g->strokes; *text != '\0';) {
        point at[MAX_POINTS];
        int n;
        text = read_stroke(text, at, &n);
        draw_stroke(ink, at, n, &h, &random);
    }

    const double strength = uniform(&random, 150, 255), grain = uniform(&random, 0, 40);
    for (int i = 0; i < DIGITS_PIXELS; i++) {
        const double value = strength * (double)ink[i] + uniform(&random, -grain, grain);
        pixels[i] = (unsigned char)fmin(fmax(value, 0), 255);
    }
}

bool digits_write(tarn_manager *tm, const char *images, const char *labels, int64_t n,
                  uint64_t seed, uint64_t first)
{
    TARN_SCOPE(tm);
    tarn_tensor *pictures = tarn_empty(tm, TARN_U8, TARN_SHAPE(n, DIGITS_SIDE, DIGITS_SIDE));
    tarn_tensor *names = tarn_empty(tm, TARN_U8, TARN_SHAPE(n));
    if (tarn_is_dry_run(tm)) return tarn_ok(tm);
    unsigned char *pixels = tarn_data_mut(pictures), *digits = tarn_data_mut(names);
    for (int64_t i = 0; i < n && tarn_ok(tm); i++) {
        uint64_t random = begin(seed, ~(first + (uint64_t)i));
        digits[i] = (unsigned char)(next(&random) % 10);
        digits_draw(pixels + i * DIGITS_PIXELS, digits[i], seed, first + (uint64_t)i);
    }
    return tarn_idx_save(pictures, images) == TARN_OK && tarn_idx_save(names, labels) == TARN_OK;
}
