/* Attention of one new token in each of several sequences, over keys and values in a paged pool. */

#include "vectors.h"

#include <omp.h>

enum { AT_ONCE = 8 };

typedef struct {
    int kv_heads, shared; /* `shared`: heads of queries that share one of keys */
    float scale;
    const bf16 *keys, *values; /* (slot, kv_head, dim) */
} Pool;

/* The heads of one sequence from `h` to before `end`: all of them for a few positions, then the next few, so
   that memory is read in long stretches. `slots`: where positions stand; `sums` (head, dim). */
INLINE void heads(const Pool *p, const int dim, int h, int end, int length, const bf16 *query,
                  const int64_t *slots, float *scores, float *sums, bf16 *out) {
    const int begin = h;
    const size_t row = (size_t)(length + 15) / 16 * 16;
    const __m512 scale = _mm512_set1_ps(p->scale);
    for (int i = 0; i < length; i += AT_ONCE) {
        int until = length - i < AT_ONCE ? length : i + AT_ONCE;
        for (h = begin; h < end; h++) {
            __m512 wide[WIDEST / 16];
            UNROLL for (int d = 0; d < dim / 16; d++)
                wide[d] = _mm512_mul_ps(read_bf16(query + (size_t)h * dim + 16 * d, 0xffff), scale);
            for (int j = i; j < until; j++) {
                const bf16 *key = p->keys + (slots[j] * p->kv_heads + h / p->shared) * dim;
                __m512 sum = _mm512_setzero_ps();
                UNROLL for (int d = 0; d < dim / 16; d++)
                    sum = _mm512_fmadd_ps(wide[d], read_bf16(key + 16 * d, 0xffff), sum);
                scores[(h - begin) * row + j] = _mm512_reduce_add_ps(sum);
            }
        }
    }
    for (h = begin; h < end; h++) softmax(scores + (h - begin) * row, 0, length);
    memset(sums, 0, (size_t)(end - begin) * dim * sizeof(float));
    for (int i = 0; i < length; i += AT_ONCE) {
        int until = length - i < AT_ONCE ? length : i + AT_ONCE;
        for (h = begin; h < end; h++) {
            float *to = sums + (size_t)(h - begin) * dim;
            __m512 sum[WIDEST / 16];
            UNROLL for (int d = 0; d < dim / 16; d++) sum[d] = _mm512_loadu_ps(to + 16 * d);
            for (int j = i; j < until; j++) {
                const bf16 *value = p->values + (slots[j] * p->kv_heads + h / p->shared) * dim;
                __m512 weight = _mm512_set1_ps(scores[(h - begin) * row + j]);
                UNROLL for (int d = 0; d < dim / 16; d++)
                    sum[d] = _mm512_fmadd_ps(weight, read_bf16(value + 16 * d, 0xffff), sum[d]);
            }
            UNROLL for (int d = 0; d < dim / 16; d++) _mm512_storeu_ps(to + 16 * d, sum[d]);
        }
    }
    for (h = begin; h < end; h++)
        for (int d = 0; d < dim; d += 16)
            write_bf16(out + (size_t)h * dim + d, 0xffff, _mm512_loadu_ps(sums + (size_t)(h - begin) * dim + d));
}

/* query, out (row, head, dim) and keys, values (slot, kv_head, dim), all bfloat16, dim a multiple of 16 up to
   256; slots (row, longest) of the positions that each row sees, `lengths` of them. Gives 0, or 1 where memory
   ran out. */
int llavakit_attend_one(int rows, int query_heads, int kv_heads, int dim, int longest, const bf16 *query,
                        const bf16 *keys, const bf16 *values, const int64_t *slots, const int64_t *lengths,
                        float scale, bf16 *out, int threads) {
    Pool pool = {kv_heads, query_heads / kv_heads, scale, keys, values};
    int failed = 0, parts = (threads + rows - 1) / rows; /* of a sequence's heads */
    if (parts > query_heads) parts = query_heads;
    size_t most = (size_t)(query_heads + parts - 1) / parts, line = ((size_t)longest + 15) / 16 * 16;
#pragma omp parallel num_threads(threads)
    {
        float *scores = memory(most * (line + WIDEST) * sizeof(float));
#pragma omp for schedule(dynamic) collapse(2)
        for (int r = 0; r < rows; r++)
            for (int part = 0; part < parts; part++) {
                if (!scores) {
                    failed = 1;
                    continue;
                }
                size_t at = (size_t)r * query_heads * dim;
                int from = query_heads * part / parts, end = query_heads * (part + 1) / parts;
                const int64_t *where = slots + (size_t)r * longest;
                float *sums = scores + most * line;
#define HEADS(dim) heads(&pool, dim, from, end, (int)lengths[r], query + at, where, scores, sums, out + at)
                if (dim == 128) HEADS(128); /* known beforehand, all of it stays in registers */
                else if (dim == 64) HEADS(64);
                else HEADS(dim);
            }
        free(scores);
    }
    return failed;
}
