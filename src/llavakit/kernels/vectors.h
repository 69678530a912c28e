/* What the kernels share: sixteen numbers at a time. */
#ifndef LLAVAKIT_VECTORS_H
#define LLAVAKIT_VECTORS_H

#if !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__))
#error "these kernels need AVX-512 with VNNI"
#endif

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef uint16_t bf16;

enum { WIDEST = 256 }; /* numbers in a head */

/* Memory that begins where a vector may. */
INLINE void *memory(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }

INLINE __mmask16 first(int count) { return (__mmask16)(count >= 16 ? 0xffff : (1u << count) - 1); }

INLINE __m512i zmm(const void *from) { return _mm512_loadu_si512(from); }

INLINE __m512 read_bf16(const bf16 *from, __mmask16 where) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(where, from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* Rounded to the nearest, ties to even; what is NaN stays NaN. */
INLINE __m256i to_bf16(__m512 x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i round = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    round = _mm512_mask_mov_epi32(round, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7fc00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round, 16));
}

INLINE void write_bf16(bf16 *to, __mmask16 where, __m512 x) { _mm256_mask_storeu_epi16(to, where, to_bf16(x)); }

/* 16 vectors of 16 numbers: rows become columns. */
INLINE void transpose(__m512i *r) {
    __m512i t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    UNROLL for (int i = 0; i < 16; i += 8)
        UNROLL for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
        }
    UNROLL for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
    }
}

/* Rows that are multiplied together: with two vectors beside them, 24 sums in 32 registers. Products of more
   rows go by tiles of equal size, nearly, since a small one would take about as long as a large one. */
enum { TILE = 12 };
#define EACH_TILE(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12)

INLINE int tiles(int rows) { return (rows + TILE - 1) / TILE; }

/* The first row of a tile. */
INLINE int tile(int rows, int i) { return (int)((int64_t)rows * i / tiles(rows)); }

/* e to the x <= 0: 2^n times a polynomial on half a step to either side (Cephes' expf). */
INLINE __m512 power(__m512 x) {
    static const float terms[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                                  1.6666665459e-1f, 5.0000001201e-1f, 1, 1};
    x = _mm512_max_ps(_mm512_set1_ps(-87), x); /* the second where one is NaN */
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    x = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    x = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), x);
    __m512 y = _mm512_set1_ps(terms[0]);
    for (int i = 1; i < 8; i++) y = _mm512_fmadd_ps(y, x, _mm512_set1_ps(terms[i]));
    return _mm512_scalef_ps(y, n);
}

/* Scores from one position to before another become weights with the sum 1; where a vector goes on to either
   side, zeros. `scores` begins where a vector may. */
INLINE void softmax(float *scores, int start, int end) {
    __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    for (int i = start / 16 * 16; i < end; i += 16) {
        __mmask16 where = first(end - i) & ~(i < start ? first(start - i) : 0);
        __m512 score = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), where, _mm512_loadu_ps(scores + i));
        most = _mm512_max_ps(most, score);
    }
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (int i = start / 16 * 16; i < end; i += 16) {
        __mmask16 where = first(end - i) & ~(i < start ? first(start - i) : 0);
        __m512 weight = power(_mm512_sub_ps(_mm512_loadu_ps(scores + i), most));
        weight = _mm512_maskz_mov_ps(where, weight);
        total = _mm512_add_ps(total, weight);
        _mm512_storeu_ps(scores + i, weight);
    }
    __m512 share = _mm512_set1_ps(1 / _mm512_reduce_add_ps(total));
    for (int i = start / 16 * 16; i < end; i += 16)
        _mm512_storeu_ps(scores + i, _mm512_mul_ps(_mm512_loadu_ps(scores + i), share));
}

#endif
