package cgen

// declarations begin the header: what other files of a program see.
const declarations = `#ifndef $UP_H
#define $UP_H

#include <stddef.h>
#include <stdint.h>

#define $UP_OUTPUTS $OUTPUTS

#ifdef __cplusplus
extern "C" {
#endif

/* Runs one image and writes the $UP_OUTPUTS codes of the output, [C H W]. */
void $P_run(const $INPUT *image, $LOGIT *logits);

/* Runs one image and returns the index of the largest code of the output; of equal ones, the
 * lowest index. */
int32_t $P_classify(const $INPUT *image);

/* Called for every node, in order, with its n codes, [C H W]. codes is valid until it returns. */
typedef void (*$P_tap)(void *context, int node, const void *codes, int type, size_t n);

/* Runs one image and hands the codes of every node to tap; context is passed on. */
void $P_trace(const $INPUT *image, $P_tap tap, void *context);

/* Returns code number i of what a tap was given. type is the bytes of a code, negative if it is
 * signed. */
int64_t $P_at(const void *codes, int type, size_t i);

#ifdef __cplusplus
}
#endif

#endif /* $UP_H */

#if defined($UP_IMPLEMENTATION) && !defined($UP_IMPLEMENTED)
#define $UP_IMPLEMENTED

`

// floatGuard refuses compilers that round floats otherwise.
const floatGuard = `#include <float.h>

#if FLT_EVAL_METHOD != 0
#error "floats are computed in a wider format: the codes would differ (x86: compile with -msse2 -mfpmath=sse)"
#endif
#ifdef __FAST_MATH__
#error "floats are reordered: the codes would differ (compile without -ffast-math)"
#endif
#if defined(__clang__) || !defined(__GNUC__) /* GCC knows -ffp-contract=off only */
#pragma STDC FP_CONTRACT OFF
#endif

`

// entryPoints end the header.
const entryPoints = `int64_t $P_at(const void *codes, int type, size_t i)
{
    switch (type) {
    case -1:
        return ((const int8_t *)codes)[i];
    case 1:
        return ((const uint8_t *)codes)[i];
    case -2:
        return ((const int16_t *)codes)[i];
    case 2:
        return ((const uint16_t *)codes)[i];
    case -4:
        return ((const int32_t *)codes)[i];
    default:
        return ((const int64_t *)codes)[i];
    }
}

void $P_run(const $INPUT *image, $LOGIT *logits)
{
    const $CODE *y = $OUTPUT;
    int32_t i;
    $P_trace(image, NULL, NULL);
    for (i = 0; i < $UP_OUTPUTS; i++)
        logits[i] = y[i];
}

int32_t $P_classify(const $INPUT *image)
{
    const $CODE *y = $OUTPUT;
    int32_t i, best = 0;
    $P_trace(image, NULL, NULL);
    for (i = 1; i < $UP_OUTPUTS; i++)
        if (y[i] > y[best])
            best = i;
    return best;
}

#endif /* $UP_IMPLEMENTATION */
`
