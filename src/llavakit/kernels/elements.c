/* What stands between the products, in one pass over memory each: norm, gate, rotation. All of bfloat16. */

#include "vectors.h"

enum { ALONE = 1 << 15 }; /* numbers: up to so many, a second thread would come too late */

/* out = weight * (x / rms(x)), rounded before the product too, as PyTorch has it. */
void llavakit_rms_norm(int rows, int width, const bf16 *x, const bf16 *weight, float eps, bf16 *out, int threads) {
#pragma omp parallel for num_threads(threads) if ((int64_t)rows * width > ALONE)
    for (int r = 0; r < rows; r++) {
        const bf16 *from = x + (size_t)r * width;
        __m512 squares = _mm512_setzero_ps();
        for (int i = 0; i < width; i += 16) {
            __m512 part = read_bf16(from + i, first(width - i));
            squares = _mm512_fmadd_ps(part, part, squares);
        }
        __m512 inverse = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(squares) / width + eps));
        for (int i = 0; i < width; i += 16) {
            __mmask16 there = first(width - i);
            __m512i normed = _mm512_cvtepu16_epi32(to_bf16(_mm512_mul_ps(read_bf16(from + i, there), inverse)));
            __m512 part = _mm512_castsi512_ps(_mm512_slli_epi32(normed, 16));
            write_bf16(out + (size_t)r * width + i, there, _mm512_mul_ps(part, read_bf16(weight + i, there)));
        }
    }
}

/* out = x * sigmoid(slope * x) * other; without `other` where it is NULL. */
void llavakit_gate(int64_t count, const bf16 *x, float slope, const bf16 *other, bf16 *out, int threads) {
#pragma omp parallel for num_threads(threads) if (count > ALONE)
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 there = count - i >= 16 ? 0xffff : first((int)(count - i));
        __m512 value = read_bf16(x + i, there), scaled = _mm512_mul_ps(value, _mm512_set1_ps(slope));
        __m512 one = _mm512_set1_ps(1), small = power(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_abs_ps(scaled)));
        __m512 top = _mm512_mask_mov_ps(small, _mm512_cmp_ps_mask(scaled, _mm512_setzero_ps(), _CMP_GE_OQ), one);
        value = _mm512_mul_ps(value, _mm512_div_ps(top, _mm512_add_ps(one, small)));
        if (other) value = _mm512_mul_ps(value, read_bf16(other + i, there));
        write_bf16(out + i, there, value);
    }
}

/* out = x * cos + turned(x) * sin, where the second half of a head, negated, and the first change places:
   x, out (token, head, dim), cos, sin (token, dim), dim a multiple of 32. */
void llavakit_rotate(int tokens, int heads, int dim, const bf16 *x, const bf16 *cos, const bf16 *sin, bf16 *out,
                     int threads) {
    const int half = dim / 2;
#pragma omp parallel for num_threads(threads) if ((int64_t)tokens * heads * dim > ALONE)
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < half; i += 16) {
            const bf16 *c = cos + (size_t)t * dim + i, *s = sin + (size_t)t * dim + i;
            __m512 c0 = read_bf16(c, 0xffff), c1 = read_bf16(c + half, 0xffff);
            __m512 s0 = read_bf16(s, 0xffff), s1 = read_bf16(s + half, 0xffff);
            for (int h = 0; h < heads; h++) {
                size_t at = ((size_t)t * heads + h) * dim + i;
                __m512 a = read_bf16(x + at, 0xffff), b = read_bf16(x + at + half, 0xffff);
                write_bf16(out + at, 0xffff, _mm512_fnmadd_ps(b, s0, _mm512_mul_ps(a, c0)));
                write_bf16(out + at + half, 0xffff, _mm512_fmadd_ps(a, s1, _mm512_mul_ps(b, c1)));
            }
        }
}
