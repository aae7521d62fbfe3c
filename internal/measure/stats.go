package measure

import "slices"

// A Spread is how values are distributed.
type Spread struct {
	Min    float64 `json:"min"`
	Lower  float64 `json:"lower"` // quartile
	Median float64 `json:"median"`
	Upper  float64 `json:"upper"` // quartile
	Max    float64 `json:"max"`
}

// SpreadOf returns minimum, quartiles and maximum of values; quantiles between two
// values are interpolated. It is zero without values.
func SpreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	return Spread{quantile(v, 0), quantile(v, 0.25), quantile(v, 0.5), quantile(v, 0.75), quantile(v, 1)}
}

// quantile returns the value below which the fraction q of the sorted values lies.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
