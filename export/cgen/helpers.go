package cgen

// A helper is a function of the generated program that several nodes call. It is
// written only if one does.
type helper struct {
	name   string
	needs  []string
	floats bool
	text   string // $P is the prefix
}

// helpers are in the order of definition: a helper calls only earlier ones.
var helpers = []helper{
	{name: "asr", text: `/* a / 2^n rounded down, for negative a too; 0 <= n <= 62. */
static int64_t $P_asr(int64_t a, int n)
{
    return a >= 0 ? a >> n : ~(~a >> n);
}

`},
	{name: "clamp", text: `static int32_t $P_clamp(int64_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : (int32_t)v;
}

`},
	{name: "unpack", text: `/* Unpacks n codes of fewer than 8 bits, two's complement if sign is not 0. */
static void $P_unpack(const uint8_t *packed, int32_t n, int bits, int sign, int8_t *codes)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        int32_t at = i * bits;
        int first = (int)(at % 8);
        int code = packed[at / 8] >> first;
        if (first + bits > 8)
            code |= (int)packed[at / 8 + 1] << (8 - first);
        code &= (1 << bits) - 1;
        if (sign && code >> (bits - 1))
            code -= 1 << bits;
        codes[i] = (int8_t)code;
    }
}

`},
	{name: "shift", needs: []string{"asr", "clamp"}, text: `/* acc / 2^n, ties rounded up. A left shift of more than 2^17 is beyond every code. */
static int64_t $P_shift(int64_t acc, int n)
{
    if (n > 0)
        return $P_asr(acc + ((int64_t)1 << (n - 1)), n);
    return (int64_t)$P_clamp(acc, -131072, 131072) * ((int64_t)1 << -n);
}

`},
	{name: "shift_floor", needs: []string{"asr", "clamp"}, text: `/* acc / 2^n, rounded down, for levels between which zero lies. */
static int64_t $P_shift_floor(int64_t acc, int n)
{
    if (n > 0)
        return $P_asr(acc, n);
    return (int64_t)$P_clamp(acc, -131072, 131072) * ((int64_t)1 << -n);
}

`},
	{name: "single", needs: []string{"asr", "clamp"}, text: `/* acc * m * 2^(e - 31), rounded once; -31 <= e <= 30. */
static int32_t $P_single(int64_t acc, int32_t m, int e)
{
    int64_t a = $P_clamp(acc, INT32_MIN, INT32_MAX);
    return $P_clamp($P_asr(a * m + ((int64_t)1 << (30 - e)), 31 - e), INT32_MIN, INT32_MAX);
}

`},
	{name: "double_round", needs: []string{"asr", "clamp"}, text: `/* acc * m * 2^(e - 31), rounded twice: the product to 31 bits fewer, then the shift. */
static int32_t $P_double_round(int64_t acc, int32_t m, int e)
{
    int64_t a = $P_clamp(acc, INT32_MIN, INT32_MAX);
    int64_t half = (int64_t)1 << 30;
    int64_t product = (int64_t)$P_clamp(a * ((int64_t)1 << (e > 0 ? e : 0)), INT32_MIN, INT32_MAX) * m;
    int64_t high = (product + (product >= 0 ? half : 1 - half)) / (2 * half);
    int k = e < 0 ? -e : 0;
    int64_t mask = ((int64_t)1 << k) - 1;
    int64_t threshold = (mask >> 1) + (high < 0);
    return (int32_t)($P_asr(high, k) + ((high & mask) > threshold));
}

`},
	{name: "average", needs: []string{"clamp"}, text: `/* sum / n * 2^k, ties rounded up. Dividing first keeps every step within 64 bits; a whole
 * part of more than 2^17 is beyond every code. */
static int64_t $P_average(int64_t sum, int64_t n, int k)
{
    int64_t up = (int64_t)1 << (k > 0 ? k : 0);
    int64_t den = n * ((int64_t)1 << (k < 0 ? -k : 0));
    int64_t whole = sum / den;
    int64_t rest = sum % den;
    if (rest < 0) {
        whole--;
        rest += den;
    }
    return $P_clamp(whole, -131072, 131072) * up + (2 * (rest * up) + den) / (2 * den);
}

`},
	{name: "average_floor", needs: []string{"clamp"}, text: `/* sum / n * 2^k, rounded down, for levels between which zero lies. */
static int64_t $P_average_floor(int64_t sum, int64_t n, int k)
{
    int64_t up = (int64_t)1 << (k > 0 ? k : 0);
    int64_t den = n * ((int64_t)1 << (k < 0 ? -k : 0));
    int64_t whole = sum / den;
    int64_t rest = sum % den;
    if (rest < 0) {
        whole--;
        rest += den;
    }
    return $P_clamp(whole, -131072, 131072) * up + rest * up / den;
}

`},
	{name: "floor", floats: true, text: `/* The largest integer that is not above v; |v| < 2^31. */
static int32_t $P_floor(float v)
{
    int32_t n = (int32_t)v;
    return (float)n > v ? n - 1 : n;
}

`},
	{name: "round_even", floats: true, text: `/* The nearest integer, of two the even one, whatever the rounding mode; |v| < 2^31. The rest is
 * exact: above 2^24 it is 0. */
static int32_t $P_round_even(float v)
{
    int32_t n = (int32_t)v;
    float rest = v - (float)n;
    if (rest > 0.5f || (rest == 0.5f && n % 2 != 0))
        return n + 1;
    if (rest < -0.5f || (rest == -0.5f && n % 2 != 0))
        return n - 1;
    return n;
}

`},
	{name: "round_up", needs: []string{"floor"}, floats: true, text: `/* The nearest integer, of two the larger one; |v| < 2^31. */
static int32_t $P_round_up(float v)
{
    int32_t n = $P_floor(v);
    return v - (float)n >= 0.5f ? n + 1 : n;
}

`},
	{name: "round_away", floats: true, text: `/* The nearest integer, of two the one away from zero; |v| < 2^31. */
static int32_t $P_round_away(float v)
{
    int32_t n = (int32_t)v;
    float rest = v - (float)n;
    return rest >= 0.5f ? n + 1 : rest <= -0.5f ? n - 1 : n;
}

`},
	{name: "scale", needs: []string{"round_even"}, floats: true, text: `/* v within lo and hi, which are integers, rounded half to even: clamped while it is a float. */
static int32_t $P_scale(float v, float lo, float hi)
{
    return $P_round_even(v < lo ? lo : v > hi ? hi : v);
}

`},
	{name: "scale_floor", needs: []string{"floor"}, floats: true, text: `/* v within lo and hi, which are integers, rounded down, for levels between which zero lies. */
static int32_t $P_scale_floor(float v, float lo, float hi)
{
    return $P_floor(v < lo ? lo : v > hi ? hi : v);
}

`},
	{name: "common32", needs: []string{"round_even"}, floats: true, text: `/* v rounded half to even, saturated. */
static int32_t $P_common32(float v)
{
    return v >= 2147483648.0f ? INT32_MAX : v < -2147483648.0f ? INT32_MIN : $P_round_even(v);
}

`},
	{name: "common64", needs: []string{"round_even"}, floats: true, text: `/* v rounded half to even; a float of 2^24 or more is an integer. */
static int64_t $P_common64(float v)
{
    return v >= 16777216.0f || v <= -16777216.0f ? (int64_t)v : $P_round_even(v);
}

`},
}
