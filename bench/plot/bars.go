package plot

import "fmt"

// Bar is how many times better something is.
type Bar struct {
	Label string
	Ratio float64
	Goal  float64 // what was aimed at; 0: nothing
	Limit float64 // what the bare programs reach; 0: not measured
}

// Bars draws ratios on a logarithmic axis, one below the other: to the right of 1 is better, a bar beside it is the goal, a ring the limit.
func Bars(title string, bars []Bar) string {
	const left, right, top, step = 480, 100, 70, 22
	c := &canvas{width: 1000, height: top + step*len(bars) + 30}
	values := []float64{1}
	for _, b := range bars {
		values = append(values, b.Ratio, b.Goal, b.Limit)
	}
	x := newAxis(values, left, float64(c.width-right))
	bottom := float64(c.height - 25)
	c.text(16, 24, "start", title)
	c.text(16, 44, "start", "times better than Apache Kafka; green line: goal; grey ring: what a bare program reaches")
	for _, v := range x.ticks() {
		c.line(x.at(v), top-10, x.at(v), bottom, "#d1d5db", "")
		c.text(x.at(v), bottom+16, "middle", short(v))
	}
	c.line(x.at(1), top-10, x.at(1), bottom, "#111827", "")
	for i, b := range bars {
		y := float64(top + i*step)
		c.text(left-12, y+11, "end", b.Label)
		if b.Ratio > 0 {
			from, to := min(x.at(1), x.at(b.Ratio)), max(x.at(1), x.at(b.Ratio))
			colour := colours[1]
			if b.Ratio < 1 {
				colour = colours[0]
			}
			c.rect(from, y, to-from, 14, colour)
			c.text(float64(c.width-16), y+11, "end", factor(b.Ratio))
		}
		if b.Goal > 0 {
			c.rect(x.at(b.Goal)-1.5, y-3, 3, 20, colours[3])
		}
		if b.Limit > 0 {
			fmt.Fprintf(&c.body, `<circle cx="%.1f" cy="%.1f" r="5" fill="none" stroke="%s" stroke-width="2"/>`+"\n", x.at(b.Limit), y+7, colours[2])
		}
	}
	return c.svg()
}

// factor shows a ratio with two or three digits that count.
func factor(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0fx", v)
	}
	return fmt.Sprintf("%.3gx", v)
}
