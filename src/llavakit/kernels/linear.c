/* y = x wᵀ + bias, where w has 4 or 8 bits, as `model.quantised` keeps it, and x is rounded to 8.

   A weight is scale * (level - zero). Levels of 4 bits are 0 … 15, two in a byte, and a group of them
   shares scale and zero; levels of 8 bits have a sign, a scale for the whole row, and no zero. Every `unit`
   numbers of a row of x share a scale too. Within a unit all sums are of whole numbers, so that rounding x
   is all that is lost. Weights are read where they lie: in a mapped file, for one.

   There are two ways. For few rows of x: dot products with the rows of w, which take as long as reading w
   once. For many: 32 rows of w, a stretch of each, become a panel that stays in the cache while tiles of
   12 rows of x pass by, four numbers of each at a time (Goto & van de Geijn 2008). */

#include "vectors.h"

#include <omp.h>

enum {
    CHUNK = 128,       /* numbers along a row that are handled together; a unit and a group divide it */
    PANEL = 2048,      /* numbers of a row of w in a panel: 64 KB for 32 rows */
    MOST = PANEL / 32, /* units in it */
};

enum { HALF, BRAIN, SINGLE }; /* types of scales */

typedef struct {
    int rows, out, in, chunks; /* x (rows, in), w (out, in); chunks of a row, the last one maybe partly */
    int bits, unit, shift;     /* unit = 1 << shift */
    int units;                 /* of a row of x */
    int groups;                /* of a row of w; 0: one scale for all of it */
    int type;                  /* of scales */
    size_t bytes;              /* of a row of w */
    const uint8_t *weight, *zero;
    const void *scale;
} Layer;

/* Rows of x: levels in the order of one of the two ways; of each unit, scale and the sum of its levels. */
typedef struct {
    uint8_t *levels;
    float *scale;
    int32_t *sum;
} Rounded;

/* 64 bytes of a row of w from byte `at` on, those that are `within` the row. */
INLINE __m512i stored(const Layer *l, int row, size_t at, __mmask64 within) {
    return _mm512_maskz_loadu_epi8(within, l->weight + row * l->bytes + at);
}

INLINE __mmask64 within(const Layer *l, size_t at) {
    return at + 64 <= l->bytes ? ~0ull : at >= l->bytes ? 0 : (1ull << (l->bytes - at)) - 1;
}

INLINE __m512i low(__m512i pairs) { return _mm512_and_si512(pairs, _mm512_set1_epi8(15)); }
INLINE __m512i high(__m512i pairs) { return low(_mm512_srli_epi16(pairs, 4)); }

/* Scales of 16 units of a row of w, from a unit on. */
INLINE __m512 scales(const Layer *l, int row, int unit) {
    size_t at = l->groups ? (size_t)row * l->groups + unit : (size_t)row;
    int left = l->groups ? l->groups - unit : 1;
    __mmask16 there = left > 0 ? first(left) : 0;
    __m512 found;
    if (l->type == SINGLE) found = _mm512_maskz_loadu_ps(there, (const float *)l->scale + at);
    else if (l->type == BRAIN) found = read_bf16((const uint16_t *)l->scale + at, there);
    else found = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(there, (const uint16_t *)l->scale + at));
    return l->groups ? found : _mm512_broadcastss_ps(_mm512_castps512_ps128(found));
}

/* The levels that mean 0 of 16 units. Bytes of 8 bits are read as level + 128. */
INLINE __m512i zeros(const Layer *l, int row, int unit) {
    if (l->bits == 8) return _mm512_set1_epi32(128);
    int left = l->groups - unit;
    __mmask16 there = left > 0 ? first(left) : 0;
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(there, l->zero + (size_t)row * l->groups + unit));
}

/* Rounding x ---------------------------------------------------------------------------------------- */

/* A chunk of a row in units, each rounded to -127 … 127. What is not finite makes its scale so too. */
static void rounded(const Layer *l, const bf16 *x, int chunk, int8_t *levels, float *scale, int32_t *sum) {
    for (int start = 0; start < CHUNK; start += l->unit) {
        __m512 part[CHUNK / 16];
        __m512i most = _mm512_setzero_si512(), total = most; /* as bits: a NaN is above every number */
        for (int i = 0; i < l->unit / 16; i++) {
            int at = chunk * CHUNK + start + 16 * i, left = l->in - at;
            part[i] = read_bf16(x + at, left > 0 ? first(left) : 0);
            most = _mm512_max_epi32(most, _mm512_castps_si512(_mm512_abs_ps(part[i])));
        }
        int bits = _mm512_reduce_max_epi32(most);
        float largest;
        memcpy(&largest, &bits, 4);
        __m512 factor = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
        for (int i = 0; i < l->unit / 16; i++) {
            __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(part[i], factor));
            total = _mm512_add_epi32(total, level);
            _mm_storeu_si128((__m128i *)(levels + start + 16 * i), _mm512_cvtsepi32_epi8(level));
        }
        *scale++ = largest / 127;
        *sum++ = _mm512_reduce_add_epi32(total);
    }
}

/* Of every 8 levels the four even ones, then the four odd ones: as a byte of w holds a pair. */
INLINE __m512i parted(__m512i levels) {
    const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    return _mm512_shuffle_epi8(levels, _mm512_broadcast_i32x4(order));
}

/* Few rows: for 4 bits, the even levels of a chunk, then the odd ones. */
static void round_row(const Layer *l, const bf16 *x, Rounded to) {
    int8_t levels[CHUNK];
    for (int c = 0; c < l->chunks; c++) {
        int unit = c * (CHUNK / l->unit);
        rounded(l, x, c, levels, to.scale + unit, to.sum + unit);
        __m512i a = zmm(levels), b = zmm(levels + 64);
        if (l->bits == 4) {
            const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            __m512i pa = parted(a), pb = parted(b);
            a = _mm512_permutex2var_epi32(pa, even, pb);
            b = _mm512_permutex2var_epi32(pa, _mm512_add_epi32(even, _mm512_set1_epi32(1)), pb);
        }
        _mm512_storeu_si512(to.levels + c * CHUNK, a);
        _mm512_storeu_si512(to.levels + c * CHUNK + 64, b);
    }
}

/* Many rows: those of a tile in turn, four levels of each. */
static void round_tile(const Layer *l, const bf16 *x, int rows, Rounded to) {
    uint32_t fours[CHUNK / 4], *tile = (uint32_t *)to.levels;
    int8_t levels[CHUNK];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < l->chunks; c++) {
            size_t unit = (size_t)r * l->units + c * (CHUNK / l->unit);
            rounded(l, x + (size_t)r * l->in, c, levels, to.scale + unit, to.sum + unit);
            for (int half = 0; half < 2; half++) {
                __m512i part = zmm(levels + 64 * half);
                if (l->bits == 4) part = parted(part);
                _mm512_storeu_si512(fours + 16 * half, part);
            }
            for (int i = 0; i < CHUNK / 4; i++) tile[((size_t)c * (CHUNK / 4) + i) * rows + r] = fours[i];
        }
}

/* Few rows ------------------------------------------------------------------------------------------ */

/* y[m * out + n + r] for M rows of x and R of w, R * M <= 8. The levels of w are multiplied as they are;
   what their zeros make too much, zero times the sum of x's levels, goes off at the end. */
INLINE void dots(const Layer *l, Rounded x, int n, const int M, const int R, const int bits, float *y) {
    const int wide = 512 / bits; /* weights in 64 bytes */
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    /* the weights of a lane begin at … */
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    lane = _mm512_slli_epi32(lane, bits == 4 ? 3 : 2);
    __m512 sums[8], off[8];
    UNROLL for (int i = 0; i < R * M; i++) sums[i] = off[i] = _mm512_setzero_ps();
    for (int unit = 0; unit < l->units; unit += 16) {
        __mmask16 there = first(l->units - unit);
        __m512 both[8]; /* scales of w times those of x, of 16 units */
        UNROLL for (int r = 0; r < R; r++) {
            __m512 scale = scales(l, n + r, unit), zero = _mm512_cvtepi32_ps(zeros(l, n + r, unit));
            UNROLL for (int m = 0; m < M; m++) {
                size_t at = (size_t)m * l->units + unit;
                int i = r * M + m;
                both[i] = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(there, x.scale + at));
                __m512 sum = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(there, x.sum + at));
                off[i] = _mm512_fmadd_ps(_mm512_mul_ps(both[i], zero), sum, off[i]);
            }
        }
        int start = unit * l->unit, count = 16 * l->unit, left = l->chunks * CHUNK - start;
        if (count > left) count = left;
        for (int step = 0; step < count; step += wide) {
            __m512i which = _mm512_add_epi32(lane, _mm512_set1_epi32(step));
            which = _mm512_srl_epi32(which, _mm_cvtsi32_si128(l->shift));
            __m512i xa[4], xb[4];
            UNROLL for (int m = 0; m < M; m++) {
                const uint8_t *from = x.levels + (size_t)m * l->chunks * CHUNK + start + step;
                xa[m] = zmm(from);
                if (bits == 4) xb[m] = zmm(from + 64);
            }
            size_t at = (size_t)(start + step) * bits / 8;
            __mmask64 there = within(l, at);
            UNROLL for (int r = 0; r < R; r++) {
                /* The rows after the next, into the second cache: the first holds too few. */
                _mm_prefetch((const char *)l->weight + (n + r + 2 * R) * l->bytes + at, _MM_HINT_T1);
                __m512i w = stored(l, n + r, at, there);
                UNROLL for (int m = 0; m < M; m++) {
                    int i = r * M + m;
                    __m512i whole = _mm512_setzero_si512();
                    if (bits == 4) {
                        whole = _mm512_dpbusd_epi32(whole, low(w), xa[m]);
                        whole = _mm512_dpbusd_epi32(whole, high(w), xb[m]);
                    } else
                        whole = _mm512_dpbusd_epi32(whole, _mm512_xor_si512(w, sign), xa[m]);
                    __m512 scale = _mm512_permutexvar_ps(which, both[i]);
                    sums[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, sums[i]);
                }
            }
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int m = 0; m < M; m++)
            y[m * l->out + n + r] = _mm512_reduce_add_ps(_mm512_sub_ps(sums[r * M + m], off[r * M + m]));
}

INLINE void dots_of(const Layer *l, Rounded x, int n, int end, int m, int M, int R, int bits, float *y) {
    size_t unit = (size_t)m * l->units;
    Rounded here = {x.levels + (size_t)m * l->chunks * CHUNK, x.scale + unit, x.sum + unit};
    for (; n + R <= end; n += R) dots(l, here, n, M, R, bits, y + (size_t)m * l->out);
    for (; n < end; n++) dots(l, here, n, M, 1, bits, y + (size_t)m * l->out);
}

INLINE void few(const Layer *l, Rounded x, int n, int end, const int bits, float *y) {
    for (int block; n < end; n = block) { /* rows that are read once, for all of x */
        block = n + 8 < end ? n + 8 : end;
        int m = 0;
        for (; m + 4 <= l->rows; m += 4) dots_of(l, x, n, block, m, 4, 2, bits, y);
        if (l->rows - m == 3) dots_of(l, x, n, block, m, 3, 2, bits, y);
        if (l->rows - m == 2) dots_of(l, x, n, block, m, 2, 4, bits, y);
        if (l->rows - m == 1) dots_of(l, x, n, block, m, 1, 8, bits, y);
    }
}

/* Many rows ----------------------------------------------------------------------------------------- */

typedef struct {
    __m512i levels[PANEL / 4][2]; /* four a lane, of 32 rows of w */
    __m512 scale[MOST][2], zero[MOST][2]; /* of each unit; zero times scale */
} Panel;

/* 16 rows of w from row n on (the last one again where there are fewer), so many units from a unit on. */
INLINE void pack(const Layer *l, int n, int unit, int count, Panel *panel, int side, const int bits) {
    int rows[16];
    UNROLL for (int r = 0; r < 16; r++) rows[r] = n + r < l->out ? n + r : l->out - 1;
    for (int u = 0; u < count; u += 16) {
        __m512i scale[16], zero[16];
        UNROLL for (int r = 0; r < 16; r++) {
            __m512 own = scales(l, rows[r], unit + u);
            scale[r] = _mm512_castps_si512(own);
            zero[r] = _mm512_castps_si512(_mm512_mul_ps(own, _mm512_cvtepi32_ps(zeros(l, rows[r], unit + u))));
        }
        transpose(scale);
        transpose(zero);
        for (int i = 0; i < 16 && u + i < count; i++) {
            panel->scale[u + i][side] = _mm512_castsi512_ps(scale[i]);
            panel->zero[u + i][side] = _mm512_castsi512_ps(zero[i]);
        }
    }
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    /* What will be packed next: further along these rows, or the first of the 32 after them. */
    size_t begin = (size_t)unit * l->unit * bits / 8, ahead = PANEL / 8 * bits;
    if (begin + ahead >= l->bytes) ahead = 32 * l->bytes - begin;
    for (int c = 0; c < count * l->unit / CHUNK; c++) {
        __m512i a[16], b[16];
        size_t at = begin + (size_t)c * CHUNK * bits / 8;
        __mmask64 there = within(l, at), next = within(l, at + 64);
        UNROLL for (int r = 0; r < 16; r++) {
            const char *soon = (const char *)l->weight + rows[r] * l->bytes + at + ahead;
            _mm_prefetch(soon, _MM_HINT_T1);
            a[r] = stored(l, rows[r], at, there);
            if (bits == 8) {
                _mm_prefetch(soon + 64, _MM_HINT_T1);
                b[r] = _mm512_xor_si512(stored(l, rows[r], at + 64, next), sign);
                a[r] = _mm512_xor_si512(a[r], sign);
            } else {
                b[r] = high(a[r]);
                a[r] = low(a[r]);
            }
        }
        transpose(a);
        transpose(b);
        __m512i(*to)[2] = panel->levels + c * (CHUNK / 4);
        UNROLL for (int i = 0; i < 16; i++) { /* in the order of `round_tile` */
            to[bits == 4 ? 2 * i : i][side] = a[i];
            to[bits == 4 ? 2 * i + 1 : i + 16][side] = b[i];
        }
    }
}

/* In assembler, since compilers copy sums to and fro that they are told to keep in place. */
#define DOT(sum, w, x) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x))

/* y (row, 32) += a tile of M rows times a panel, so many units of both. */
INLINE void multiply(const Layer *l, const Panel *panel, int count, Rounded x, const int M, float *y) {
    const uint8_t *from = x.levels;
    const __m512i(*w)[2] = panel->levels;
    for (int u = 0; u < count; u++) {
        __m512i sums[TILE][2];
        UNROLL for (int m = 0; m < M; m++) sums[m][0] = sums[m][1] = _mm512_setzero_si512();
        for (int i = 0; i < l->unit / 4; i++, w++, from += 4 * M) {
            __m512i left = (*w)[0], right = (*w)[1];
            UNROLL for (int m = 0; m < M; m++) {
                __m512i four;
                __asm__("vpbroadcastd %1, %0" : "=v"(four) : "m"(*(const int32_t *)(from + 4 * m)));
                DOT(sums[m][0], left, four);
                DOT(sums[m][1], right, four);
            }
        }
        __asm__ volatile("" ::: "memory"); /* y stays in memory: there are no registers for it */
        UNROLL for (int m = 0; m < M; m++) {
            size_t own = (size_t)m * l->units + u;
            __m512 scale = _mm512_set1_ps(x.scale[own]), sum = _mm512_set1_ps((float)x.sum[own]);
            for (int side = 0; side < 2; side++) {
                float *at = y + 32 * m + 16 * side;
                __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][side]), panel->scale[u][side]);
                part = _mm512_fnmadd_ps(panel->zero[u][side], sum, part);
                _mm512_storeu_ps(at, _mm512_fmadd_ps(part, scale, _mm512_loadu_ps(at)));
            }
        }
    }
}

static void many(const Layer *l, Rounded x, int n, Panel *panel, float *y) {
    int most = PANEL / l->unit;
    memset(y, 0, (size_t)l->rows * 32 * sizeof(float));
    for (int unit = 0; unit < l->units; unit += most) {
        int count = l->units - unit < most ? l->units - unit : most;
        for (int side = 0; side < 2; side++) {
            if (l->bits == 4) pack(l, n + 16 * side, unit, count, panel, side, 4);
            else pack(l, n + 16 * side, unit, count, panel, side, 8);
        }
        for (int t = 0; t < tiles(l->rows); t++) {
            size_t m = tile(l->rows, t), rows = tile(l->rows, t + 1) - m;
            Rounded here = {x.levels + m * l->chunks * CHUNK + (size_t)unit * l->unit * rows,
                            x.scale + m * l->units + unit, x.sum + m * l->units + unit};
#define ROWS(M) case M: multiply(l, panel, count, here, M, y + 32 * m); break;
            switch (rows) { EACH_TILE(ROWS) }
        }
    }
}

/* Both ---------------------------------------------------------------------------------------------- */

static void write(const float *from, const bf16 *bias, int n, int count, bf16 *y) {
    for (int i = 0; i < count; i += 16) {
        __mmask16 there = first(count - i);
        __m512 sum = _mm512_maskz_loadu_ps(there, from + i);
        if (bias) sum = _mm512_add_ps(sum, read_bf16(bias + n + i, there));
        write_bf16(y + n + i, there, sum);
    }
}

/* All of bfloat16: x (rows, in), bias (out,) or NULL, y (rows, out). Weights as `model.quantised` has them,
   of 4 or 8 bits; numbers of x share scales in groups of 32, 64 or 128, which are those of weights of 4 bits.
   `few_rows`: up to so many take the first way. Gives 0, or 1 where memory ran out. */
int llavakit_linear(int rows, int out, int in, const bf16 *x, int bits, const void *weight, const void *scale,
                    int type, const uint8_t *zero, int group, const bf16 *bias, bf16 *y, int few_rows,
                    int threads) {
    Layer l = {.rows = rows, .out = out, .in = in, .chunks = (in + CHUNK - 1) / CHUNK, .bits = bits, .unit = group};
    l.shift = __builtin_ctz(group);
    l.units = l.chunks * (CHUNK / group);
    l.groups = bits == 4 ? (in + group - 1) / group : 0;
    l.type = type;
    l.bytes = bits == 4 ? (size_t)l.groups * group / 2 : (size_t)in;
    l.weight = weight, l.scale = scale, l.zero = zero;

    size_t width = (size_t)l.chunks * CHUNK;
    Rounded r = {memory(rows * width), memory((size_t)rows * l.units * 4), memory((size_t)rows * l.units * 4)};
    float *sums = rows <= few_rows ? memory((size_t)rows * out * 4) : NULL;
    int failed = !r.levels || !r.scale || !r.sum || (rows <= few_rows && !sums);
    if (!failed && rows <= few_rows) {
        for (int m = 0; m < rows; m++) {
            Rounded to = {r.levels + m * width, r.scale + (size_t)m * l.units, r.sum + (size_t)m * l.units};
            round_row(&l, x + (size_t)m * in, to);
        }
#pragma omp parallel num_threads(threads)
        {
            int64_t me = omp_get_thread_num(), all = omp_get_num_threads(), blocks = (out + 15) / 16;
            int n = (int)(blocks * me / all) * 16, end = (int)(blocks * (me + 1) / all) * 16;
            if (end > out) end = out;
            if (bits == 4) few(&l, r, n, end, 4, sums);
            else few(&l, r, n, end, 8, sums);
            for (int m = 0; m < rows; m++)
                write(sums + (size_t)m * out + n, bias, n, end - n, y + (size_t)m * out);
        }
    } else if (!failed) {
#pragma omp parallel num_threads(threads)
        {
#pragma omp for schedule(static)
            for (int t = 0; t < tiles(rows); t++) {
                size_t m = tile(rows, t);
                Rounded to = {r.levels + m * width, r.scale + m * l.units, r.sum + m * l.units};
                round_tile(&l, x + m * in, tile(rows, t + 1) - (int)m, to);
            }
            Panel *panel = memory(sizeof(Panel));
            float *part = memory((size_t)rows * 32 * sizeof(float));
#pragma omp for schedule(dynamic, 4)
            for (int n = 0; n < out; n += 32) {
                if (!panel || !part) {
                    failed = 1;
                    continue;
                }
                many(&l, r, n, panel, part);
                for (int m = 0; m < rows; m++)
                    write(part + 32 * m, bias, n, out - n < 32 ? out - n : 32, y + (size_t)m * out);
            }
            free(panel);
            free(part);
        }
    }
    free(r.levels), free(r.scale), free(r.sum), free(sums);
    return failed;
}
