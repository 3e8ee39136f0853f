package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestSlope(t *testing.T) {
	for _, c := range []struct {
		y    []float64
		want float64
		ok   bool
	}{
		{[]float64{5, 50, 500}, 1, true},
		{[]float64{7, 7, 7}, 0, true},
		{[]float64{1, 100, 10000}, 2, true},
		{[]float64{5, 0, 500}, 1, true}, // nothing was measured at the second point
		{[]float64{5, 0, 0}, 0, false},
	} {
		got, ok := Curve{X: []float64{1, 10, 100}, Y: c.y}.Slope()
		if ok != c.ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("slope of %v = %v, %v, want %v, %v", c.y, got, ok, c.want, c.ok)
		}
	}
}

// TestAxis spans whole decades, and finds the place of a value within.
func TestAxis(t *testing.T) {
	a := newAxis([]float64{0, 3, 250}, 100, 400)
	if a.low != 1 || math.Abs(a.high-1000) > 1e-6 || math.Abs(a.at(10)-200) > 1e-6 || len(a.ticks()) != 4 {
		t.Errorf("axis %+v, 10 at %v, ticks %v", a, a.at(10), a.ticks())
	}
	if a := newAxis([]float64{10, 10}, 0, 1); a.low != 10 || a.high <= a.low {
		t.Errorf("axis of one value: %+v", a)
	}
}

// TestDocuments reads both kinds of chart as XML, whatever their labels hold and whatever was not measured.
func TestDocuments(t *testing.T) {
	bars := Bars("a < b & c", []Bar{{Label: "worse", Ratio: 0.5}, {Label: "G1 <requests>", Ratio: 3, Goal: 2.9, Limit: 4}, {Label: "nothing"}})
	curves := Curves("cost", "bytes", "CPU-s", []Curve{{Name: "Apache Kafka", X: []float64{1, 10}, Y: []float64{2, 20}}, {Name: "gregor", X: []float64{1, 10}, Y: []float64{0, 2}}, {Name: "none"}})
	for _, doc := range []string{bars, curves} {
		d := xml.NewDecoder(strings.NewReader(doc))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, doc)
			}
		}
		if strings.Contains(doc, "NaN") || strings.Contains(doc, "Inf") {
			t.Errorf("a place that is none in\n%s", doc)
		}
	}
	if !strings.Contains(bars, "3x") || !strings.Contains(curves, "Apache Kafka, slope 1.00") {
		t.Errorf("labels are missing in\n%s\n%s", bars, curves)
	}
}
