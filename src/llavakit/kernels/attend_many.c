/* Attention of many tokens of one sequence: a picture's patches, or a stretch of a prompt.

   A head's keys and values are laid out anew, pairs of bfloat16 side by side, so that both products are
   like that of `linear.c`: 12 queries at a time, two vectors of sums each. Of those 12 all scores are kept
   until their softmax, so that nothing is computed twice. */

#include "vectors.h"

#include <omp.h>

typedef struct {
    int dim, length, past, window; /* keys in all; past: where the first token stands; -1: all see all */
    size_t query_stride, key_stride, out_stride; /* between tokens, in numbers */
    float scale;
} Shape;

/* sum += a · b in float32, of 16 pairs of bfloat16, one of them the same pair 16 times. */
INLINE void dot(__m512 *sum, __m512i a, __m512i b) {
#ifdef __AVX512BF16__
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
#else
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512 a0 = _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)), a1 = _mm512_castsi512_ps(_mm512_and_si512(a, high));
    __m512 b0 = _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), b1 = _mm512_castsi512_ps(_mm512_and_si512(b, high));
    *sum = _mm512_fmadd_ps(a0, b0, _mm512_fmadd_ps(a1, b1, *sum));
#endif
}

/* to (row, 32) = M rows, `pairs` pairs of each, interleaved as in `tile_of`, times columns (pair, 32). */
INLINE void multiply(const uint32_t *rows, const __m512i (*columns)[2], int pairs, const int M, float *to, size_t stride) {
    __m512 sums[TILE][2];
    UNROLL for (int m = 0; m < M; m++) sums[m][0] = sums[m][1] = _mm512_setzero_ps();
    for (int i = 0; i < pairs; i++, rows += M) {
        __m512i left = columns[i][0], right = columns[i][1];
        UNROLL for (int m = 0; m < M; m++) {
            __m512i pair = _mm512_set1_epi32((int)rows[m]);
            dot(&sums[m][0], pair, left);
            dot(&sums[m][1], pair, right);
        }
    }
    UNROLL for (int m = 0; m < M; m++) {
        _mm512_storeu_ps(to + m * stride, sums[m][0]);
        _mm512_storeu_ps(to + m * stride + 16, sums[m][1]);
    }
}

/* Keys: (block of 32, pair along the head, 32 keys). */
static void lay_keys(const Shape *s, const bf16 *keys, const int64_t *slots, uint32_t *to) {
    for (int n = 0; n < s->length; n += 32)
        for (int side = 0; side < 2; side++)
            for (int d = 0; d < s->dim; d += 32) {
                __m512i part[16];
                __mmask32 there = s->dim - d >= 32 ? 0xffffffff : 0xffff;
                for (int i = 0; i < 16; i++) {
                    int at = n + 16 * side + i;
                    at = at < s->length ? at : s->length - 1;
                    part[i] = _mm512_maskz_loadu_epi16(there, keys + (size_t)(slots ? slots[at] : at) * s->key_stride + d);
                }
                transpose(part);
                for (int i = 0; i < 16 && d + 2 * i < s->dim; i++)
                    _mm512_storeu_si512(to + ((size_t)n * s->dim / 2 + (d / 2 + i) * 32 + 16 * side), part[i]);
            }
}

/* Values: (block of 32 along the head, pair of positions, 32 numbers). Beyond the last position: zeros. */
static void lay_values(const Shape *s, const bf16 *values, const int64_t *slots, uint32_t *to, size_t pairs) {
    for (int d = 0; d < s->dim; d += 16)
        for (size_t i = 0; i < pairs; i++) {
            __m512i both[2];
            for (int j = 0; j < 2; j++) {
                size_t at = 2 * i + j;
                both[j] = _mm512_setzero_si512();
                if (at >= (size_t)s->length) continue;
                const bf16 *from = values + (size_t)(slots ? slots[at] : (int64_t)at) * s->key_stride + d;
                both[j] = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
            }
            __m512i pair = _mm512_or_si512(both[0], _mm512_slli_epi32(both[1], 16));
            _mm512_storeu_si512(to + (d / 32 * pairs + i) * 32 + d % 32, pair);
        }
}

static void product(const uint32_t *rows, const void *columns, int pairs, int M, float *to, size_t stride) {
#define ROWS(M) case M: multiply(rows, columns, pairs, M, to, stride); break;
    switch (M) { EACH_TILE(ROWS) }
}

/* M queries of a head from token m on. */
static void tile_of(const Shape *s, const bf16 *query, int m, int M, const uint32_t *keys, const uint32_t *values,
                    size_t pairs, float *scores, uint32_t *rows, bf16 *out) {
    const size_t line = 2 * pairs;
    const __m512 scale = _mm512_set1_ps(s->scale);
    int end = s->past < 0 ? s->length : s->past + m + M; /* who nobody of them sees is left out */
    int start = s->past >= 0 && s->window && s->past + m + 1 > s->window ? s->past + m + 1 - s->window : 0;
    start = start / 32 * 32;
    for (int i = 0; i < M; i++) {
        const bf16 *from = query + (size_t)(m + i) * s->query_stride;
        for (int d = 0; d < s->dim / 2; d++) memcpy(rows + d * M + i, from + 2 * d, 4);
    }
    for (int n = start; n < end; n += 32)
        product(rows, keys + (size_t)n * s->dim / 2, s->dim / 2, M, scores + n, line);
    int even = (end + 31) / 32 * 32;
    for (int i = 0; i < M; i++) {
        float *of = scores + i * line;
        int last = s->past < 0 ? end : s->past + m + i + 1;
        int begin = s->past >= 0 && s->window && last > s->window ? last - s->window : 0;
        for (int n = start; n < even; n += 16) _mm512_storeu_ps(of + n, _mm512_mul_ps(_mm512_loadu_ps(of + n), scale));
        softmax(of, begin, last);
        for (int n = start; n < begin / 16 * 16; n += 16) _mm512_storeu_ps(of + n, _mm512_setzero_ps());
        for (int n = (last + 15) / 16 * 16; n < even; n += 16) _mm512_storeu_ps(of + n, _mm512_setzero_ps());
        uint32_t pairs_of[16];
        for (int n = start; n < even; n += 32) {
            _mm512_storeu_si512(pairs_of, _mm512_inserti64x4(
                _mm512_castsi256_si512(to_bf16(_mm512_loadu_ps(of + n))), to_bf16(_mm512_loadu_ps(of + n + 16)), 1));
            for (int j = 0; j < 16; j++) rows[((n - start) / 2 + j) * M + i] = pairs_of[j];
        }
    }
    for (int d = 0; d < s->dim; d += 32) {
        const uint32_t *column = values + ((size_t)d / 32 * pairs + start / 2) * 32;
        product(rows, column, (even - start) / 2, M, scores, 32);
        for (int i = 0; i < M; i++)
            for (int j = d; j < d + 32 && j < s->dim; j += 16)
                write_bf16(out + (size_t)(m + i) * s->out_stride + j, 0xffff, _mm512_loadu_ps(scores + 32 * i + j - d));
    }
}

/* query, out (token, head, dim) and keys, values (slot, kv_head, dim), bfloat16, dim a multiple of 16 up to
   256; strides between tokens of query and keys, in numbers. slots (length,): where positions stand; NULL: one behind the
   other. past: the first token's position, which sees itself and what is before, back to `window` positions
   (0: all of them); -1: every token sees all. Gives 0, or 1 where memory ran out. */
int llavakit_attend_many(int tokens, int query_heads, int kv_heads, int dim, int length, int past, int window,
                         const bf16 *query, size_t query_stride, const bf16 *keys, const bf16 *values,
                         size_t key_stride, const int64_t *slots, float scale, bf16 *out, int threads) {
    Shape s = {dim, length, past, window, query_stride, key_stride, (size_t)query_heads * dim, scale};
    int failed = 0, shared = query_heads / kv_heads;
    int parts = (2 * threads + kv_heads - 1) / kv_heads; /* of a head's queries */
    size_t pairs = ((size_t)length + 31) / 32 * 16, wide = ((size_t)dim + 31) / 32 * 32;
#pragma omp parallel num_threads(threads)
    {
        uint32_t *keys_of = memory(pairs * wide * 4), *values_of = memory(pairs * wide * 4);
        float *scores = memory(TILE * (2 * pairs + 32) * 4);
        uint32_t *rows = memory(TILE * (pairs + WIDEST) * 4);
        int there = keys_of && values_of && scores && rows;
#pragma omp for schedule(dynamic) collapse(2)
        for (int h = 0; h < kv_heads; h++)
            for (int part = 0; part < parts; part++) {
                if (!there) {
                    failed = 1;
                    continue;
                }
                lay_keys(&s, keys + h * dim, slots, keys_of);
                lay_values(&s, values + h * dim, slots, values_of, pairs);
                for (int q = h * shared; q < (h + 1) * shared; q++)
                    for (int t = part; t < tiles(tokens); t += parts) { /* in turn: later ones see more */
                        int m = tile(tokens, t), count = tile(tokens, t + 1) - m;
                        tile_of(&s, query + q * dim, m, count, keys_of, values_of, pairs, scores, rows, out + q * dim);
                    }
            }
        free(keys_of), free(values_of), free(scores), free(rows);
    }
    return failed;
}
