/**
 * Trainer of the demo model: a small llama-shaped language model on one CPU thread.
 *
 * Takes:     a data set (dataset.ts writes it: tokens and a loss mask per dialogue) and the sizes on the command line.
 * Gives:     one file of float32 weights in the order of `layout()`, which gguf.ts reads.
 * Not here:  the tokenizer, the corpus, quantisation.
 * Promise:   the run is limited by steps, never by time, so the same machine and data give the same weights.
 *
 * Build: c++ -std=c++17 -O3 -march=native -mprefer-vector-width=512 -ffast-math train.cpp -o train
 * Use:   train DATA OUT key=value...     (gradcheck=1 compares the backward pass with finite differences and exits)
 *        init=FILE goes on from weights of an earlier run instead of random ones.
 */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

using std::vector;
typedef float Lane __attribute__((vector_size(64), aligned(4)));
constexpr int laneFloats = 16, tileRows = 8, tileColumns = 2 * laneFloats, packDepth = 128;
constexpr float normEpsilon = 1e-5f, ropeBase = 10000.f;

// ---- one matrix product serves every use: C (+)= A * B, all strides free for A and B -------------------------------

template <int Rows>
static void tile (int depth, const float *a, long rowStride, long depthStride, const float *packed, float *out) {
  Lane sum[Rows][2] = {};
  for (int k = 0; k < depth; k++) {
    const Lane left = *(const Lane *)(packed + k * tileColumns), right = *(const Lane *)(packed + k * tileColumns + laneFloats);
    for (int r = 0; r < Rows; r++) {
      const float value = a[r * rowStride + k * depthStride];
      sum[r][0] += value * left;
      sum[r][1] += value * right;
    }
  }
  for (int r = 0; r < Rows; r++) {
    *(Lane *)(out + r * tileColumns) = sum[r][0];
    *(Lane *)(out + r * tileColumns + laneFloats) = sum[r][1];
  }
}

static void product (int rows, int columns, int depth, const float *a, long aRow, long aDepth,
                     const float *b, long bDepth, long bColumn, float *c, long cRow, bool add) {
  alignas(64) static float packed[packDepth * tileColumns], out[tileRows * tileColumns];
  for (int n = 0; n < columns; n += tileColumns) {
    const int width = std::min(tileColumns, columns - n);
    for (int k0 = 0; k0 < depth; k0 += packDepth) {
      const int kk = std::min(packDepth, depth - k0);
      // The panel of B is copied once so that the inner loop reads it in order, whatever its strides are.
      if (width < tileColumns) memset(packed, 0, sizeof packed);
      if (bColumn == 1) for (int k = 0; k < kk; k++) memcpy(packed + k * tileColumns, b + (k0 + k) * bDepth + n, sizeof(float) * width);
      else for (int j = 0; j < width; j++) for (int k = 0; k < kk; k++) packed[k * tileColumns + j] = b[(k0 + k) * bDepth + (n + j) * bColumn];
      for (int m = 0; m < rows; m += tileRows) {
        const int height = std::min(tileRows, rows - m);
        const float *from = a + m * aRow + k0 * aDepth;
        switch (height) {
          case 8: tile<8>(kk, from, aRow, aDepth, packed, out); break;
          case 7: tile<7>(kk, from, aRow, aDepth, packed, out); break;
          case 6: tile<6>(kk, from, aRow, aDepth, packed, out); break;
          case 5: tile<5>(kk, from, aRow, aDepth, packed, out); break;
          case 4: tile<4>(kk, from, aRow, aDepth, packed, out); break;
          case 3: tile<3>(kk, from, aRow, aDepth, packed, out); break;
          case 2: tile<2>(kk, from, aRow, aDepth, packed, out); break;
          default: tile<1>(kk, from, aRow, aDepth, packed, out);
        }
        const bool sum = add || k0 > 0;
        for (int r = 0; r < height; r++) {
          float *to = c + (m + r) * cRow + n;
          const float *value = out + r * tileColumns;
          if (sum) for (int j = 0; j < width; j++) to[j] += value[j];
          else for (int j = 0; j < width; j++) to[j] = value[j];
        }
      }
    }
  }
}

// ---- sizes and parameters -------------------------------------------------------------------------------------------

struct Sizes { int vocab = 1024, dim = 128, layers = 4, heads = 4, ffn = 384; };
struct Tensor { std::string name; long at, count; bool decays; };
enum Part { attnNorm, query, key, value, attnOut, ffnNorm, gate, up, down, parts };

static Sizes size;
static vector<Tensor> tensors;
static vector<float> weight, grad, mean, square;
static long partAt (int layer, int part) { return tensors[1 + layer * parts + part].at; }
static long finalNormAt () { return tensors.back().at; }

/** Matrices are [out][in], which is the memory order of GGUF; the embedding serves as output layer too. */
static void layout () {
  long at = 0;
  auto put = [&] (const std::string &name, long count, bool decays) { tensors.push_back({name, at, count, decays}); at += count; };
  const long d = size.dim, f = size.ffn;
  put("token_embd", (long)size.vocab * d, true);
  for (int l = 0; l < size.layers; l++) {
    const std::string p = "blk." + std::to_string(l) + ".";
    put(p + "attn_norm", d, false); put(p + "attn_q", d * d, true); put(p + "attn_k", d * d, true);
    put(p + "attn_v", d * d, true); put(p + "attn_output", d * d, true); put(p + "ffn_norm", d, false);
    put(p + "ffn_gate", d * f, true); put(p + "ffn_up", d * f, true); put(p + "ffn_down", d * f, true);
  }
  put("output_norm", d, false);
  weight.assign(at, 0); grad.assign(at, 0); mean.assign(at, 0); square.assign(at, 0);
}

static void initialise (uint32_t seed) {
  std::mt19937 random(seed);
  for (const Tensor &t : tensors) {
    if (!t.decays) { std::fill_n(weight.begin() + t.at, t.count, 1.f); continue; }
    const bool residual = t.name.find("attn_output") != std::string::npos || t.name.find("ffn_down") != std::string::npos;
    const float spread = (t.name == "token_embd" ? 0.05f : 0.08f) / (residual ? std::sqrt(2.f * size.layers) : 1.f);
    // Sum of four uniforms: close to normal and, unlike std::normal_distribution, the same on every library.
    for (long i = 0; i < t.count; i++) {
      double u = 0; for (int j = 0; j < 4; j++) u += random() / 4294967296.0 - 0.5;
      weight[t.at + i] = (float)(u * 1.7320508) * spread;
    }
  }
}

// ---- data -----------------------------------------------------------------------------------------------------------

struct Dialogue { const uint16_t *tokens; const uint8_t *scored; int length; };
static vector<uint8_t> file;
static vector<Dialogue> dialogues;

static void readData (const char *path) {
  FILE *in = fopen(path, "rb");
  if (!in) { fprintf(stderr, "cannot open %s\n", path); exit(1); }
  fseek(in, 0, SEEK_END); file.resize(ftell(in)); rewind(in);
  if (fread(file.data(), 1, file.size(), in) != file.size()) { fprintf(stderr, "cannot read %s\n", path); exit(1); }
  fclose(in);
  // Each dialogue: u16 count, count x u16 tokens, count x u8 mask, padded to two bytes.
  for (size_t at = 0; at + 2 <= file.size();) {
    const int count = *(const uint16_t *)(file.data() + at);
    dialogues.push_back({(const uint16_t *)(file.data() + at + 2), file.data() + at + 2 + 2 * count, count - 1});
    at += 2 + 3 * count + (count & 1);
  }
}

// ---- forward and backward -------------------------------------------------------------------------------------------

struct Saved { vector<float> input, normed, q, k, v, mixed, middle, normed2, gated, upped, active, probabilities; };
static vector<Saved> saved;
static vector<float> stream, normedOut, logits, scoredIn, scoredGrad, gStream, gA, gB, gC, gD, gF, gU, scores, ropeCos, ropeSin;

static void linear (int rows, int in, int out, const float *x, const float *w, float *y, bool add) {
  product(rows, out, in, x, in, 1, w, 1, in, y, out, add);
}
/** Gradients of linear(): adds to gw, writes (or adds) gx. */
static void linearBack (int rows, int in, int out, const float *x, const float *w, const float *gy, float *gw, float *gx, bool add) {
  product(out, in, rows, gy, 1, out, x, in, 1, gw, in, true);
  product(rows, in, out, gy, out, 1, w, in, 1, gx, in, add);
}
static float inverseRms (const float *x) {
  float sum = 0; for (int i = 0; i < size.dim; i++) sum += x[i] * x[i];
  return 1.f / std::sqrt(sum / size.dim + normEpsilon);
}
static void norm (int rows, const float *x, const float *w, float *y) {
  for (int t = 0; t < rows; t++, x += size.dim, y += size.dim) {
    const float r = inverseRms(x);
    for (int i = 0; i < size.dim; i++) y[i] = x[i] * r * w[i];
  }
}
static void normBack (int rows, const float *x, const float *w, const float *gy, float *gw, float *gx) {
  for (int t = 0; t < rows; t++, x += size.dim, gy += size.dim, gx += size.dim) {
    const float r = inverseRms(x);
    float dot = 0; for (int i = 0; i < size.dim; i++) dot += gy[i] * w[i] * x[i];
    const float c = dot * r * r * r / size.dim;
    for (int i = 0; i < size.dim; i++) { gw[i] += gy[i] * x[i] * r; gx[i] += gy[i] * w[i] * r - x[i] * c; }
  }
}
/** Rotates neighbouring pairs by position; direction -1 is the exact inverse, used for the gradient. */
static void rotate (float *x, int position, float direction) {
  const int half = size.dim / size.heads / 2;
  const float *cosines = ropeCos.data() + position * half, *sines = ropeSin.data() + position * half;
  for (int h = 0; h < size.heads; h++) for (int i = 0; i < half; i++, x += 2) {
    const float c = cosines[i], s = sines[i] * direction, a = x[0], b = x[1];
    x[0] = a * c - b * s; x[1] = a * s + b * c;
  }
}

struct Batch { vector<int> tokens, targets, position, starts, lengths; int rows = 0; long area = 0; };

static void attention (const Batch &batch, Saved &s) {
  const int d = size.dim, hd = d / size.heads;
  const float scale = 1.f / std::sqrt((float)hd);
  long area = 0;
  for (size_t i = 0; i < batch.starts.size(); i++) {
    const int n = batch.lengths[i]; const long at = (long)batch.starts[i] * d;
    for (int h = 0; h < size.heads; h++, area += (long)n * n) {
      float *p = s.probabilities.data() + area; const long o = at + h * hd;
      product(n, n, hd, &s.q[o], d, 1, &s.k[o], 1, d, p, n, false);
      for (int t = 0; t < n; t++) {
        float *row = p + (long)t * n, top = -1e30f, sum = 0;
        for (int u = 0; u <= t; u++) top = std::max(top, row[u]);
        for (int u = 0; u <= t; u++) { row[u] = expf((row[u] - top) * scale); sum += row[u]; }
        for (int u = 0; u <= t; u++) row[u] /= sum;
        for (int u = t + 1; u < n; u++) row[u] = 0;
      }
      product(n, hd, n, p, n, 1, &s.v[o], d, 1, &s.mixed[o], d, false);
    }
  }
}
static void attentionBack (const Batch &batch, const Saved &s, const float *gMixed, float *gq, float *gk, float *gv) {
  const int d = size.dim, hd = d / size.heads;
  const float scale = 1.f / std::sqrt((float)hd);
  long area = 0;
  for (size_t i = 0; i < batch.starts.size(); i++) {
    const int n = batch.lengths[i]; const long at = (long)batch.starts[i] * d;
    for (int h = 0; h < size.heads; h++, area += (long)n * n) {
      const float *p = s.probabilities.data() + area; const long o = at + h * hd;
      product(n, hd, n, p, 1, n, gMixed + o, d, 1, gv + o, d, false);
      product(n, n, hd, gMixed + o, d, 1, &s.v[o], 1, d, scores.data(), n, false);
      for (int t = 0; t < n; t++) {
        float *row = scores.data() + (long)t * n, dot = 0; const float *q = p + (long)t * n;
        for (int u = 0; u < n; u++) dot += row[u] * q[u];
        for (int u = 0; u < n; u++) row[u] = q[u] * (row[u] - dot) * scale;
      }
      product(n, hd, n, scores.data(), n, 1, &s.k[o], d, 1, gq + o, d, false);
      product(n, hd, n, scores.data(), 1, n, &s.q[o], d, 1, gk + o, d, false);
    }
  }
}

static void fit (vector<float> &v, long count) { if ((long)v.size() < count) v.resize(count); }

/** Mean loss over the scored tokens; with `learn` it also fills `grad`. */
static double pass (const Batch &batch, bool learn) {
  const int rows = batch.rows, d = size.dim, f = size.ffn, V = size.vocab; const long n = (long)rows * d, nf = (long)rows * f;
  saved.resize(size.layers); fit(stream, n);
  for (int t = 0; t < rows; t++) memcpy(&stream[(long)t * d], &weight[(long)batch.tokens[t] * d], sizeof(float) * d);
  for (int l = 0; l < size.layers; l++) {
    Saved &s = saved[l]; auto w = [&] (int part) { return &weight[partAt(l, part)]; };
    for (auto *v : {&s.input, &s.normed, &s.q, &s.k, &s.v, &s.mixed, &s.middle, &s.normed2}) fit(*v, n);
    for (auto *v : {&s.gated, &s.upped, &s.active}) fit(*v, nf);
    fit(s.probabilities, batch.area * size.heads);
    std::copy_n(stream.begin(), n, s.input.begin());
    norm(rows, s.input.data(), w(attnNorm), s.normed.data());
    linear(rows, d, d, s.normed.data(), w(query), s.q.data(), false);
    linear(rows, d, d, s.normed.data(), w(key), s.k.data(), false);
    linear(rows, d, d, s.normed.data(), w(value), s.v.data(), false);
    for (int t = 0; t < rows; t++) { rotate(&s.q[(long)t * d], batch.position[t], 1); rotate(&s.k[(long)t * d], batch.position[t], 1); }
    attention(batch, s);
    linear(rows, d, d, s.mixed.data(), w(attnOut), stream.data(), true);
    std::copy_n(stream.begin(), n, s.middle.begin());
    norm(rows, s.middle.data(), w(ffnNorm), s.normed2.data());
    linear(rows, d, f, s.normed2.data(), w(gate), s.gated.data(), false);
    linear(rows, d, f, s.normed2.data(), w(up), s.upped.data(), false);
    for (long i = 0; i < nf; i++) s.active[i] = s.gated[i] / (1.f + expf(-s.gated[i])) * s.upped[i];
    linear(rows, f, d, s.active.data(), w(down), stream.data(), true);
  }
  fit(normedOut, n); norm(rows, stream.data(), &weight[finalNormAt()], normedOut.data());
  // Only scored places need logits, about half of all.
  vector<int> places; for (int t = 0; t < rows; t++) if (batch.targets[t] >= 0) places.push_back(t);
  const int count = (int)places.size();
  fit(scoredIn, (long)count * d); fit(logits, (long)count * V);
  for (int i = 0; i < count; i++) memcpy(&scoredIn[(long)i * d], &normedOut[(long)places[i] * d], sizeof(float) * d);
  linear(count, d, V, scoredIn.data(), weight.data(), logits.data(), false);
  double loss = 0;
  for (int i = 0; i < count; i++) {
    float *row = &logits[(long)i * V], top = row[0], sum = 0; const int target = batch.targets[places[i]];
    for (int j = 1; j < V; j++) top = std::max(top, row[j]);
    const float wanted = row[target] - top;
    for (int j = 0; j < V; j++) { row[j] = expf(row[j] - top); sum += row[j]; }
    loss += std::log((double)sum) - wanted;
    const float share = 1.f / (sum * count);
    for (int j = 0; j < V; j++) row[j] *= share;
    row[target] -= 1.f / count;
  }
  loss /= count;
  if (!learn) return loss;

  std::fill(grad.begin(), grad.end(), 0.f);
  for (auto *v : {&gStream, &gA, &gB, &gC, &gD}) fit(*v, n);
  for (auto *v : {&gF, &gU}) fit(*v, nf);
  fit(scoredGrad, (long)count * d);
  linearBack(count, d, V, scoredIn.data(), weight.data(), logits.data(), grad.data(), scoredGrad.data(), false);
  std::fill_n(gA.begin(), n, 0.f); std::fill_n(gStream.begin(), n, 0.f);
  for (int i = 0; i < count; i++) memcpy(&gA[(long)places[i] * d], &scoredGrad[(long)i * d], sizeof(float) * d);
  normBack(rows, stream.data(), &weight[finalNormAt()], gA.data(), &grad[finalNormAt()], gStream.data());
  for (int l = size.layers - 1; l >= 0; l--) {
    const Saved &s = saved[l];
    auto w = [&] (int part) { return &weight[partAt(l, part)]; }; auto g = [&] (int part) { return &grad[partAt(l, part)]; };
    linearBack(rows, f, d, s.active.data(), w(down), gStream.data(), g(down), gF.data(), false);
    for (long i = 0; i < nf; i++) {
      const float sig = 1.f / (1.f + expf(-s.gated[i])), go = gF[i];
      gU[i] = go * s.gated[i] * sig;
      gF[i] = go * s.upped[i] * sig * (1.f + s.gated[i] * (1.f - sig));
    }
    linearBack(rows, d, f, s.normed2.data(), w(gate), gF.data(), g(gate), gA.data(), false);
    linearBack(rows, d, f, s.normed2.data(), w(up), gU.data(), g(up), gA.data(), true);
    normBack(rows, s.middle.data(), w(ffnNorm), gA.data(), g(ffnNorm), gStream.data());
    linearBack(rows, d, d, s.mixed.data(), w(attnOut), gStream.data(), g(attnOut), gA.data(), false);
    attentionBack(batch, s, gA.data(), gB.data(), gC.data(), gD.data());
    for (int t = 0; t < rows; t++) { rotate(&gB[(long)t * d], batch.position[t], -1); rotate(&gC[(long)t * d], batch.position[t], -1); }
    linearBack(rows, d, d, s.normed.data(), w(query), gB.data(), g(query), gA.data(), false);
    linearBack(rows, d, d, s.normed.data(), w(key), gC.data(), g(key), gA.data(), true);
    linearBack(rows, d, d, s.normed.data(), w(value), gD.data(), g(value), gA.data(), true);
    normBack(rows, s.input.data(), w(attnNorm), gA.data(), g(attnNorm), gStream.data());
  }
  for (int t = 0; t < rows; t++) for (int i = 0; i < d; i++) grad[(long)batch.tokens[t] * d + i] += gStream[(long)t * d + i];
  return loss;
}

// ---- training -------------------------------------------------------------------------------------------------------

static Batch nextBatch (size_t &cursor, int tokensMax) {
  Batch b;
  for (;;) {
    const Dialogue &x = dialogues[cursor % dialogues.size()];
    if (b.rows > 0 && b.rows + x.length > tokensMax) return b;
    cursor++;
    b.starts.push_back(b.rows); b.lengths.push_back(x.length);
    for (int i = 0; i < x.length; i++) {
      b.tokens.push_back(x.tokens[i]); b.position.push_back(i);
      b.targets.push_back(x.scored[i + 1] ? x.tokens[i + 1] : -1);
    }
    b.rows += x.length; b.area += (long)x.length * x.length;
    fit(scores, (long)x.length * x.length);
  }
}

/** Compares each tensor's gradient with a central difference along a random direction. */
static int gradientCheck () {
  size_t cursor = 0; const Batch batch = nextBatch(cursor, 400);
  pass(batch, true);
  const vector<float> g = grad, before = weight;
  std::mt19937 random(7); int bad = 0;
  for (const Tensor &t : tensors) {
    vector<float> direction(t.count); double dot = 0, length = 0;
    for (long i = 0; i < t.count; i++) {
      // Leaning on the gradient itself keeps the difference far above the rounding of float32.
      direction[i] = (random() & 1 ? 1.f : -1.f) * std::fabs(g[t.at + i]) * 0.5f + g[t.at + i];
      length += direction[i] * direction[i];
    }
    length = std::sqrt(length); const double step = 5e-3;
    for (long i = 0; i < t.count; i++) { direction[i] /= length; dot += (double)direction[i] * g[t.at + i]; }
    for (long i = 0; i < t.count; i++) weight[t.at + i] = before[t.at + i] + step * direction[i];
    const double above = pass(batch, false);
    for (long i = 0; i < t.count; i++) weight[t.at + i] = before[t.at + i] - step * direction[i];
    const double below = pass(batch, false), numeric = (above - below) / (2 * step);
    std::copy_n(before.begin() + t.at, t.count, weight.begin() + t.at);
    const double off = std::fabs(numeric - dot) / std::max(1e-4, std::fabs(numeric) + std::fabs(dot));
    if (off > 0.02) bad++;
    printf("%-20s backward %+.6f  difference %+.6f  %s\n", t.name.c_str(), dot, numeric, off > 0.02 ? "DIFFERENT" : "same");
  }
  printf("%d of %zu tensors differ\n", bad, tensors.size());
  return bad ? 1 : 0;
}

int main (int argc, char **argv) {
  if (argc < 3) { fprintf(stderr, "usage: train DATA OUT key=value...\n"); return 2; }
  std::map<std::string, double> option {{"vocab", size.vocab}, {"dim", size.dim}, {"layers", size.layers}, {"heads", size.heads},
    {"ffn", size.ffn}, {"steps", 2000}, {"batch", 4096}, {"rate", 4e-3}, {"decay", 0.05}, {"seed", 1}, {"gradcheck", 0}};
  const char *init = nullptr;
  for (int i = 3; i < argc; i++) {
    if (!strncmp(argv[i], "init=", 5)) { init = argv[i] + 5; continue; }
    char *equals = strchr(argv[i], '=');
    if (!equals || !option.count(std::string(argv[i], equals))) { fprintf(stderr, "unknown option %s\n", argv[i]); return 2; }
    option[std::string(argv[i], equals)] = atof(equals + 1);
  }
  size = {(int)option["vocab"], (int)option["dim"], (int)option["layers"], (int)option["heads"], (int)option["ffn"]};
  layout(); initialise((uint32_t)option["seed"]); readData(argv[1]);
  if (init) {
    FILE *in = fopen(init, "rb");
    if (!in || fread(weight.data(), sizeof(float), weight.size(), in) != weight.size()) { fprintf(stderr, "cannot read %s\n", init); return 1; }
    fclose(in);
  }
  int longest = 0; long total = 0;
  for (const Dialogue &x : dialogues) { longest = std::max(longest, x.length); total += x.length; }
  const int half = size.dim / size.heads / 2;
  for (int t = 0; t < longest; t++) for (int i = 0; i < half; i++) {
    const double angle = t * std::pow(ropeBase, -(double)i / half);
    ropeCos.push_back((float)std::cos(angle)); ropeSin.push_back((float)std::sin(angle));
  }
  printf("%zu parameters, %zu dialogues, %ld tokens, longest %d\n", weight.size(), dialogues.size(), total, longest + 1);
  if (option["gradcheck"]) return gradientCheck();

  const int steps = (int)option["steps"], warmUp = std::max(1, steps / 25), reportEvery = 50;
  const double beta1 = 0.9, beta2 = 0.98, tiny = 1e-8, clip = 1.0;
  double smooth = 0, power1 = 1, power2 = 1; size_t cursor = 0; long seen = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int step = 1; step <= steps; step++) {
    const Batch batch = nextBatch(cursor, (int)option["batch"]);
    const double loss = pass(batch, true);
    if (!std::isfinite((float)loss) || loss > 1e6) { fprintf(stderr, "loss is lost at step %d\n", step); return 1; }
    smooth = step == 1 ? loss : smooth * 0.98 + loss * 0.02; seen += batch.rows;
    double length = 0; for (float x : grad) length += (double)x * x;
    const float shrink = (float)std::min(1.0, clip / (std::sqrt(length) + tiny));
    // Warm up, then a straight line down to zero: the end of the line is what makes the answers exact.
    const double rate = option["rate"] * (step <= warmUp ? (double)step / warmUp : (double)(steps - step) / (steps - warmUp));
    power1 *= beta1; power2 *= beta2;
    const float b1 = beta1, b2 = beta2, c1 = 1 / (1 - power1), c2 = 1 / (1 - power2), r = rate, e = tiny;
    for (const Tensor &t : tensors) {
      const float keep = 1.f - r * (t.decays ? (float)option["decay"] : 0.f);
      for (long i = t.at; i < t.at + t.count; i++) {
        const float g = grad[i] * shrink;
        mean[i] = b1 * mean[i] + (1 - b1) * g; square[i] = b2 * square[i] + (1 - b2) * g * g;
        weight[i] = weight[i] * keep - r * mean[i] * c1 / (std::sqrt(square[i] * c2) + e);
      }
    }
    if (step % reportEvery == 0 || step == steps) {
      const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      printf("step %d/%d  loss %.5f  mean %.5f  %.0f s  %.0f tokens/s\n", step, steps, loss, smooth, s, seen / s);
      fflush(stdout);
    }
  }
  FILE *out = fopen(argv[2], "wb");
  if (!out || fwrite(weight.data(), sizeof(float), weight.size(), out) != weight.size() || fclose(out)) { fprintf(stderr, "cannot write %s\n", argv[2]); return 1; }
  return 0;
}
