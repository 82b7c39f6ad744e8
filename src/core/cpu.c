/* SPDX-License-Identifier: MIT
 * cpu.c - feature detection by cpuid and xgetbv.
 *
 * /proc/cpuinfo is not read: under Valgrind it describes the host, while cpuid answers for the
 * emulated processor. */
#include "core/cpu.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>
#include <string.h>

/* Bits of cpuid: leaf 1 (edx, ecx), leaf 7 (ebx), leaf 0x80000001 (ecx). */
#define EDX1_SSE2 (1u << 26)
#define ECX1_FMA (1u << 12)
#define ECX1_MOVBE (1u << 22)
#define ECX1_OSXSAVE (1u << 27)
#define ECX1_AVX (1u << 28)
#define EBX7_BMI1 (1u << 3)
#define EBX7_AVX2 (1u << 5)
#define EBX7_BMI2 (1u << 8)
#define EBX7_ERMS (1u << 9)
#define EBX7_AVX512F (1u << 16)
#define EBX7_AVX512DQ (1u << 17)
#define EBX7_AVX512CD (1u << 28)
#define EBX7_AVX512BW (1u << 30)
#define EBX7_AVX512VL (1u << 31)
#define EXT1_LZCNT (1u << 5)

/* Bits of the register XCR0: the parts of the register file that the system saves. */
#define XCR0_AVX 0x06u    /* xmm, ymm */
#define XCR0_AVX512 0xe6u /* xmm, ymm, opmask, zmm */

/* XCR0, or 0 where the system has not enabled the instruction that reads it. */
static unsigned read_xcr0(unsigned ecx1)
{
    unsigned low;
    unsigned high;
    if ((ecx1 & ECX1_OSXSAVE) == 0) return 0;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

static bool all_set(unsigned word, unsigned bits) { return (word & bits) == bits; }

static bool made_by_amd(void)
{
    unsigned eax;
    unsigned name[3]; /* the vendor's twelve letters, in the order ebx, edx, ecx */
    if (!__get_cpuid(0, &eax, &name[0], &name[2], &name[1])) return false;
    return memcmp(name, "AuthenticAMD", sizeof name) == 0 ||
           memcmp(name, "HygonGenuine", sizeof name) == 0;
}

tarn__cpu tarn__cpu_detect(void)
{
    static const unsigned avx512 = EBX7_AVX512F | EBX7_AVX512CD | EBX7_AVX512BW | EBX7_AVX512DQ |
                                   EBX7_AVX512VL | EBX7_BMI1 | EBX7_BMI2;
    tarn__cpu cpu = { .x86 = true };
    unsigned eax, ebx, ecx, edx, ecx1, xcr0;

    if (!__get_cpuid(1, &eax, &ebx, &ecx1, &edx)) return cpu;
    cpu.amd = made_by_amd();
    cpu.sse2 = all_set(edx, EDX1_SSE2);
    xcr0 = read_xcr0(ecx1);
    cpu.avx = cpu.sse2 && all_set(ecx1, ECX1_AVX) && all_set(xcr0, XCR0_AVX);
    if (!cpu.avx || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return cpu;
    cpu.fast_strings = all_set(ebx, EBX7_ERMS);
    cpu.avx2 = all_set(ebx, EBX7_AVX2) && all_set(ecx1, ECX1_FMA);
    cpu.avx512 =
        cpu.avx2 && all_set(ebx, avx512) && all_set(ecx1, ECX1_MOVBE) && all_set(xcr0, XCR0_AVX512);
    if (cpu.avx512)
        cpu.avx512 = __get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx) && all_set(ecx, EXT1_LZCNT);
    return cpu;
}

#else

tarn__cpu tarn__cpu_detect(void) { return (tarn__cpu){ .x86 = false }; }

#endif

const char *tarn__cpu_simd(const tarn__cpu *cpu)
{
    if (cpu->avx512) return "avx512";
    if (cpu->avx2) return "avx2";
    if (cpu->avx) return "avx";
    if (cpu->sse2) return "sse2";
#if defined(__aarch64__)
    return "neon";
#else
    return "scalar";
#endif
}
