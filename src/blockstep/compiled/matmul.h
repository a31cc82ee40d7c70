// Matrix products C = A B. Sizes and strides are template parameters, so that the compiler knows them.
//
// A has M rows and K columns, B has K rows and N columns. Element (m, k) of A is A[m * AM + k * AK], element (k, n) of
// B is B[k * BK + n * BN], and element (m, n) of C is C[m * CM + n * CN].
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
// It is used to access arrays of floats (may_alias) at any element, since rows of a batch may start there (aligned).
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

// A tile of C, ROWS rows by COLUMNS vectors, is summed in vector registers. AVX-512 and NEON have 32, others 16.
constexpr int ROWS = 6;
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int COLUMNS = 4;
#else
constexpr int COLUMNS = 2;
#endif

// Compute one tile of C, MR rows by NV vectors. The rows of B and C must be contiguous.
template <int MR, int NV, int K, int AM, int AK, int BK, int CM>
static inline void tile(const float *A, const float *B, float *C) {
  vec sum[MR][NV] = {};
  for (int k = 0; k < K; ++k)
    for (int i = 0; i < MR; ++i)
      for (int j = 0; j < NV; ++j)
        sum[i][j] += A[i * AM + k * AK] * *(const vec *)(B + k * BK + j * LANES);
  for (int i = 0; i < MR; ++i)
    for (int j = 0; j < NV; ++j) *(vec *)(C + i * CM + j * LANES) = sum[i][j];
}

// Interleave the elements of two vectors. Interleaving the first half of a square's rows with the second half,
// log2(LANES) times, transposes the square.
template <std::size_t... I>
static inline void interleave(vec &low, vec &high, vec a, vec b, std::index_sequence<I...>) {
#if defined(__clang__)
  low = __builtin_shufflevector(a, b, (I / 2 + I % 2 * LANES)...);
  high = __builtin_shufflevector(a, b, (LANES / 2 + I / 2 + I % 2 * LANES)...);
#else
  typedef int places __attribute__((vector_size(LANES * sizeof(int))));
  low = __builtin_shuffle(a, b, places{(I / 2 + I % 2 * LANES)...});
  high = __builtin_shuffle(a, b, places{(LANES / 2 + I / 2 + I % 2 * LANES)...});
#endif
}

// Transpose a square of LANES by LANES elements in registers.
static inline void turn(const float *from, int from_stride, float *to, int to_stride) {
  vec rows[LANES], next[LANES];
  for (int i = 0; i < LANES; ++i) rows[i] = *(const vec *)(from + i * from_stride);
  for (int stage = 1; stage < LANES; stage *= 2) {
    for (int i = 0; i < LANES / 2; ++i)
      interleave(next[2 * i], next[2 * i + 1], rows[i], rows[i + LANES / 2], std::make_index_sequence<LANES>());
    for (int i = 0; i < LANES; ++i) rows[i] = next[i];
  }
  for (int i = 0; i < LANES; ++i) *(vec *)(to + i * to_stride) = rows[i];
}

// Compute all M rows of C, NV vectors wide, in tiles of at most ROWS rows, all but the last of the same height.
template <int M, int NV, int K, int AM, int AK, int BK, int CM>
static inline void columns(const float *A, const float *B, float *C) {
  constexpr int TILES = (M + ROWS - 1) / ROWS, MR = (M + TILES - 1) / TILES, REST = M % MR;
  for (int m = 0; m + MR <= M; m += MR) tile<MR, NV, K, AM, AK, BK, CM>(A + m * AM, B, C + m * CM);
  if constexpr (REST > 0) tile<REST, NV, K, AM, AK, BK, CM>(A + (M - REST) * AM, B, C + (M - REST) * CM);
}

template <int M, int N, int K, int AM, int AK, int BK, int BN, int CM = N, int CN = 1>
static void matmul(const float *A, const float *B, float *C) {
  constexpr int WIDE = COLUMNS * LANES, FULL = N / WIDE * WIDE, VECTORS = (N - FULL) / LANES;
  constexpr int DONE = FULL + VECTORS * LANES;
  if constexpr (BN == 1 && CN == 1 && N >= LANES) {  // rows of B and C are contiguous: tiles
    for (int n = 0; n < FULL; n += WIDE) columns<M, COLUMNS, K, AM, AK, BK, CM>(A, B + n, C + n);
    if constexpr (VECTORS > 0) columns<M, VECTORS, K, AM, AK, BK, CM>(A, B + FULL, C + FULL);
    if constexpr (DONE < N) {  // the last columns, in a vector whose other elements are zero
      static thread_local float b[K * LANES], c[M * LANES];
      for (int k = 0; k < K; ++k)
        for (int n = DONE; n < N; ++n) b[k * LANES + n - DONE] = B[k * BK + n];
      columns<M, 1, K, AM, AK, LANES, LANES>(A, b, c);
      for (int m = 0; m < M; ++m)
        for (int n = DONE; n < N; ++n) C[m * CM + n] = c[m * LANES + n - DONE];
    }
  } else if constexpr (BK == 1 && AK == 1 && (M <= 2 || N < LANES)) {  // few scalar products of contiguous vectors
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int k = 0; k < K; ++k) sum += A[m * AM + k] * B[n * BN + k];
        C[m * CM + n * CN] = sum;
      }
  } else if constexpr (N >= LANES) {  // rows of B are not contiguous: transpose B once, then use tiles
    static thread_local float turned[K * N];
    constexpr int SQUARE_K = BK == 1 ? K / LANES * LANES : 0, SQUARE_N = N / LANES * LANES;
    for (int n = 0; n < SQUARE_N; n += LANES)
      for (int k = 0; k < SQUARE_K; k += LANES) turn(B + n * BN + k, BN, turned + k * N + n, N);
    for (int n = 0; n < N; ++n)
      for (int k = n < SQUARE_N ? SQUARE_K : 0; k < K; ++k) turned[k * N + n] = B[k * BK + n * BN];
    matmul<M, N, K, AM, AK, N, 1, CM, CN>(A, turned, C);
  } else if constexpr (AM == 1 && M >= LANES) {
    // Few columns, as in the gradient of a layer with two inputs: compute the transpose of C, whose rows are long.
    static thread_local float turned[N * M];
    matmul<N, M, K, BN, BK, AK, 1>(B, A, turned);
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) C[m * CM + n * CN] = turned[n * M + m];
  } else {  // any other sizes and strides
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) C[m * CM + n * CN] = 0;
    for (int k = 0; k < K; ++k)
      for (int n = 0; n < N; ++n)
        for (int m = 0; m < M; ++m) C[m * CM + n * CN] += A[m * AM + k * AK] * B[k * BK + n * BN];
  }
}
