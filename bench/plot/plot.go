// Package plot draws the bench's charts as SVG: bars of ratios and curves of cost against work, both on logarithmic axes. Nothing else is needed of a chart
// library here.
package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Colours of what is drawn, in order: distinct also in grey.
var colours = []string{"#c2410c", "#1d4ed8", "#4b5563", "#15803d"}

// canvas is an SVG document under construction.
type canvas struct {
	width, height int
	body          strings.Builder
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour, dash string) {
	fmt.Fprintf(&c.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="%s"/>`+"\n", x1, y1, x2, y2, colour, dash)
}

func (c *canvas) rect(x, y, width, height float64, colour string) {
	fmt.Fprintf(&c.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, colour)
}

// text writes a line; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, s string) {
	fmt.Fprintf(&c.body, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}

// svg is the finished document, on white so that it shows on any page.
func (c *canvas) svg() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" fill="#111827">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%s</svg>\n", c.width, c.height, c.width, c.height, c.body.String())
}

// axis maps values to places on a logarithmic scale.
type axis struct {
	low, high float64 // values at the ends
	from, to  float64 // places of the ends
}

// newAxis spans the positive ones of the values, widened to whole powers of ten.
func newAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if math.IsInf(low, 1) {
		low, high = 1, 10
	}
	first := math.Floor(math.Log10(low) + 1e-9) // a power of ten that is not quite one counts as one
	last := max(math.Ceil(math.Log10(high)-1e-9), first+1)
	return axis{math.Pow(10, first), math.Pow(10, last), from, to}
}

func (a axis) at(v float64) float64 {
	share := math.Log(v/a.low) / math.Log(a.high/a.low)
	return a.from + share*(a.to-a.from)
}

// ticks are the powers of ten.
func (a axis) ticks() (all []float64) {
	for v := a.low; v <= a.high*1.001; v *= 10 {
		all = append(all, v)
	}
	return all
}

// short shows a number of an axis.
func short(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%gG", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", math.Round(v*1e6)/1e6)
}
