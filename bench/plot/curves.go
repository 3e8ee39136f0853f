package plot

import (
	"fmt"
	"math"
	"strings"
)

// Curve is what one program costs at points of growing work.
type Curve struct {
	Name string
	X, Y []float64
}

// Slope is the exponent s of the power y = a·x^s that fits the points best (least squares over the logarithms): 1 where cost grows as work does, 0 where
// it does not grow. Points that are not positive do not count; ok is false with fewer than two others.
func (c Curve) Slope() (s float64, ok bool) {
	var n, sx, sy, sxx, sxy float64
	for i := range c.X {
		if c.X[i] <= 0 || c.Y[i] <= 0 {
			continue
		}
		x, y := math.Log(c.X[i]), math.Log(c.Y[i])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; n >= 2 && d > 0 {
		return (n*sxy - sx*sy) / d, true
	}
	return 0, false
}

// Curves draws cost against work, both axes logarithmic, with each curve's slope.
func Curves(title, xLabel, yLabel string, curves []Curve) string {
	const left, right, top, bottom = 80, 30, 80, 50
	c := &canvas{width: 640, height: 420}
	var xs, ys []float64
	for _, curve := range curves {
		xs, ys = append(xs, curve.X...), append(ys, curve.Y...)
	}
	x, y := newAxis(xs, left, float64(c.width-right)), newAxis(ys, float64(c.height-bottom), top)
	c.text(16, 24, "start", title)
	for _, v := range x.ticks() {
		c.line(x.at(v), top, x.at(v), y.from, "#d1d5db", "")
		c.text(x.at(v), y.from+16, "middle", short(v))
	}
	for _, v := range y.ticks() {
		c.line(left, y.at(v), x.to, y.at(v), "#d1d5db", "")
		c.text(left-8, y.at(v)+4, "end", short(v))
	}
	c.text((x.from+x.to)/2, float64(c.height-12), "middle", xLabel)
	c.text(16, 62, "start", yLabel)
	for i, curve := range curves {
		colour := colours[i%len(colours)]
		name := curve.Name
		if s, ok := curve.Slope(); ok {
			name += fmt.Sprintf(", slope %.2f", s)
		}
		at := float64(left + 260*i)
		c.rect(at, 34, 12, 12, colour)
		c.text(at+18, 44, "start", name)
		var points strings.Builder
		for j := range curve.X {
			if curve.X[j] > 0 && curve.Y[j] > 0 {
				fmt.Fprintf(&points, "%.1f,%.1f ", x.at(curve.X[j]), y.at(curve.Y[j]))
				fmt.Fprintf(&c.body, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.at(curve.X[j]), y.at(curve.Y[j]), colour)
			}
		}
		fmt.Fprintf(&c.body, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.TrimSpace(points.String()), colour)
	}
	return c.svg()
}
