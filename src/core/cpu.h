/* SPDX-License-Identifier: MIT
 * cpu.h - what the processor and the system support, asked of the processor itself. */
#ifndef TARN_CORE_CPU_H
#define TARN_CORE_CPU_H

#include <stdbool.h>

/* Vector extensions that may be used: the processor has them and the system saves their registers.
 * Each up to avx512 includes the ones above it. All false on processors that are not x86. */
typedef struct tarn__cpu {
    bool x86;
    bool amd; /* made by AMD, or by Hygon to AMD's design */
    bool sse2;
    bool avx;
    bool avx2;   /* AVX2 and FMA3 */
    bool avx512; /* AVX-512 F, CD, BW, DQ and VL, and the scalar extensions of its processors: BMI,
                    LZCNT, MOVBE */
    bool fast_strings; /* ERMS: long string instructions write whole cache lines; by itself */
} tarn__cpu;

/* Asks the processor. A few instructions, but slow ones on virtual machines: keep the answer. */
tarn__cpu tarn__cpu_detect(void);

/* The widest vectors in one word: "avx512", "avx2", "avx", "sse2", "neon", "scalar". Static
 * storage. */
const char *tarn__cpu_simd(const tarn__cpu *cpu);

#endif
