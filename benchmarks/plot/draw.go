package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Sizes in the picture's units, which are about a pixel.
const (
	pictureWidth, pictureHeight = 860, 404
	plotWidth, plotHeight       = 330, 250
	plotTop                     = 62
	leftPlot, rightPlot         = 70, 500
)

// diagram is one of the two.
type diagram struct {
	title string
	left  float64 // edge of its plot
	lines []line
	conns []int // positions on the horizontal axis
	log   bool  // whether the vertical axis is logarithmic
	low   float64
	high  float64
}

// draw returns the picture.
func draw(title, note string, throughput, latency []line) string {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#222">`+"\n",
		pictureWidth, pictureHeight)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, pictureHeight)
	text(&out, pictureWidth/2, 22, "middle", title, ` font-size="15"`)
	for _, d := range []diagram{
		newDiagram("requests per second", leftPlot, throughput, false),
		newDiagram("99th percentile of the latency in ms", rightPlot, latency, true),
	} {
		d.draw(&out)
	}
	legend(&out, throughput)
	text(&out, pictureWidth/2, pictureHeight-10, "middle", note, ` font-size="10" fill="#666"`)
	out.WriteString("</svg>\n")
	return out.String()
}

// text writes text with further attributes.
func text(out *strings.Builder, x, y float64, anchor, words, attributes string) {
	fmt.Fprintf(out, `<text x="%s" y="%s" text-anchor="%s"%s>`, short(x), short(y), anchor, attributes)
	xml.EscapeText(out, []byte(words))
	out.WriteString("</text>\n")
}

// short formats a coordinate.
func short(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func newDiagram(title string, left float64, lines []line, log bool) diagram {
	d := diagram{title: title, left: left, lines: lines, log: log, low: math.Inf(1)}
	for _, l := range lines {
		for _, p := range l.points {
			if !slices.Contains(d.conns, p.conns) {
				d.conns = append(d.conns, p.conns)
			}
			d.high = max(d.high, p.Max)
			if p.Min > 0 {
				d.low = min(d.low, p.Min)
			}
		}
	}
	slices.Sort(d.conns)
	if log {
		d.low = math.Pow(10, math.Floor(math.Log10(d.low)))
		d.high = math.Pow(10, math.Ceil(math.Log10(d.high)))
		d.high = max(d.high, 10*d.low)
	} else {
		d.low, d.high = 0, roundUp(d.high)
	}
	return d
}

// roundUp returns the next number of the form 1, 2 or 5 times a power of ten, times at most four steps.
func roundUp(v float64) float64 {
	step := stepOf(v)
	return step * math.Max(1, math.Ceil(v/step))
}

// stepOf returns the distance of about five marks up to v.
func stepOf(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v/5)))
	for _, factor := range []float64{1, 2, 5} {
		if v/(factor*power) <= 6 {
			return factor * power
		}
	}
	return 10 * power
}

// marks returns the values that the vertical axis names.
func (d diagram) marks() (marks []float64) {
	if d.log {
		for v := d.low; v <= d.high*1.001; v *= 10 {
			marks = append(marks, v)
		}
		return marks
	}
	step := stepOf(d.high)
	for i := 0; float64(i)*step <= d.high*1.001; i++ {
		marks = append(marks, float64(i)*step)
	}
	return marks
}

// x returns the position of a number of connections. The numbers are usually powers, so they stand at equal distances.
func (d diagram) x(conns int) float64 {
	i := slices.Index(d.conns, conns)
	return d.left + plotWidth*(float64(i)+0.5)/float64(len(d.conns))
}

func (d diagram) y(v float64) float64 {
	part := v / d.high
	if d.log {
		part = math.Log(max(v, d.low)/d.low) / math.Log(d.high/d.low)
	}
	return plotTop + plotHeight*(1-part)
}

func (d diagram) draw(out *strings.Builder) {
	text(out, d.left+plotWidth/2, plotTop-16, "middle", d.title, "")
	if len(d.conns) == 0 {
		text(out, d.left+plotWidth/2, plotTop+plotHeight/2, "middle", "not measured", "")
		return
	}
	for _, v := range d.marks() {
		fmt.Fprintf(out, `<path d="M%s %sh%d" stroke="#ddd"/>`+"\n", short(d.left), short(d.y(v)), plotWidth)
		text(out, d.left-6, d.y(v)+4, "end", strconv.FormatFloat(v, 'f', -1, 64), "")
	}
	for _, conns := range d.conns {
		text(out, d.x(conns), plotTop+plotHeight+18, "middle", strconv.Itoa(conns), "")
	}
	text(out, d.left+plotWidth/2, plotTop+plotHeight+34, "middle", "connections", "")
	for i, l := range d.lines {
		d.drawLine(out, l, float64(i)-float64(len(d.lines)-1)/2)
	}
}

// drawLine draws the medians, and bars for the spread, which are moved sideways so that they do not cover each other.
func (d diagram) drawLine(out *strings.Builder, l line, place float64) {
	const apart = 4
	var path strings.Builder
	for i, p := range l.points {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		x := d.x(p.conns) + place*apart
		fmt.Fprintf(&path, "%s%s %s", verb, short(x), short(d.y(p.Median)))
		fmt.Fprintf(out, `<path d="M%s %sV%s" stroke="%s" stroke-width="2" stroke-opacity=".4"/>`+"\n", short(x), short(d.y(p.Min)),
			short(d.y(p.Max)), l.color)
		fmt.Fprintf(out, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`+"\n", short(x), short(d.y(p.Median)), l.color)
	}
	if path.Len() > 0 {
		fmt.Fprintf(out, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", path.String(), l.color)
	}
}

// legend names the lines in a row below the plots.
func legend(out *strings.Builder, lines []line) {
	const width, y = 116, plotTop + plotHeight + 50
	at := float64(pictureWidth)/2 - float64(len(lines))*width/2
	for _, l := range lines {
		fmt.Fprintf(out, `<rect x="%s" y="%d" width="12" height="12" fill="%s"/>`+"\n", short(at), y-2, l.color)
		text(out, at+18, y+9, "start", label(l.server), "")
		at += width
	}
}

// labels are the names of servers for readers who do not know these programs.
var labels = map[string]string{"mbserve": "Moonbridge", "nginx": "nginx + Lua", "nethttp": "net/http", "onloop": "Go on the loop", "limit": "C, epoll"}

func label(server string) string {
	if text := labels[server]; text != "" {
		return text
	}
	return server
}
